"""Translation, or any other question whose answer to a text is another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from seqnlp.data.corpus import Corpus, Split
from seqnlp.tasks import translation_metrics
from seqnlp.tasks.utilities import chrf
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Field, Prediction

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "corpus": {"name": "stories"},
        "text": {"normalizers": ["nfc"], "tokenizer": "bpe", "ngram_buckets": 0},
        "model": {
            "embedding_size": 256,
            "embedding_scale": 0.0625,
            "cell": "gru",
            "hidden_size": 256,
        },
        "train": {
            "epochs": 8,
            "batch_size": 64,
            "optimizer_options": {"betas": [0.9, 0.98], "weight_decay": 0.0},
            "monitor": "bleu",
        },
        "hooks": {
            "dropout": {
                "word": 0.0,
                "embedding": 0.3,
                "memory": 0.3,
                "layer": 0.3,
                "context": 0.3,
                "output": 0.3,
                "kind": "fast",
            },
            "clip": {"norm": 1.0},
            "schedule": {"kind": "cosine", "warmup": 0.5, "final": 0.02},
            "early_stopping": False,
        },
    }
)
"""Settings that suit translation where a recipe does not say otherwise."""


class TranslationTask(WritingTask):
    """Translation and other tasks that write a text, by a decoder with attention to the source."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="source", aliases=("source", "src", "input")),
        Field(name="target", aliases=("target", "tgt", "trg", "reference", "output")),
    )
    utility = staticmethod(chrf)
    figures = ("bleu", "chrf", "loss")
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    pipeline_names = ("source", "target")

    def references(self, split: Split) -> list[str]:
        return list(split.column("target"))

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, float]:
        """Figures `bleu` and `chrf`, in points."""
        return translation_metrics.score([each.output for each in predictions], references)

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, Any]:
        return translation_metrics.report([each.output for each in predictions], references)

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[str],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of BLEU and chrF."""
        return translation_metrics.compare(
            [each.output for each in first], [each.output for each in second], references
        )

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        from seqnlp.tasks.translation_baselines import translation_baselines

        return translation_baselines(corpus)
