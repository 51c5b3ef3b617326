"""Summarization: a document in a few words, some of them copied from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from types import MappingProxyType
from typing import Any, ClassVar

from seqnlp.data.corpus import Corpus, Split
from seqnlp.tasks import summary_metrics
from seqnlp.tasks.summary_metrics import Reference
from seqnlp.tasks.utilities import rouge
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Field, Prediction

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "corpus": {"name": "reports"},
        "text": {
            "normalizers": ["nfc", "lowercase"],
            "tokenizer": "regex",
            "min_count": 2,
            "ngram_buckets": 0,
            "max_tokens": 200,
            "long_documents": "truncate",
        },
        "model": {"embedding_size": 128, "cell": "lstm", "hidden_size": 128},
        "train": {
            "batch_size": 32,
            "lr": 2e-3,
            "optimizer_options": {"betas": [0.9, 0.98], "weight_decay": 0.0},
            "monitor": "rouge1",
        },
        "head": {
            "joint": True,
            "outputs": "targets",
            "tie_all": True,
            "copying": True,
            "attention": "general",
            "decoder_layers_after": 0,
            "label_smoothing": 0.0,
            "decoding": {"max_ratio": 0.2, "max_extra": 20, "no_repeat_ngram": 3},
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
            "clip": {"norm": 2.0},
            "schedule": {"kind": "cosine", "warmup": 0.5, "final": 0.02},
            "early_stopping": False,
        },
    }
)
"""Settings that suit summarization where a recipe does not say otherwise."""


class SummarizationTask(WritingTask):
    """Short texts that say what long ones are about, by a decoder that may copy from them."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="document", aliases=("document", "text", "article", "body", "source", "input")),
        Field(
            name="summary",
            aliases=("summary", "highlights", "headline", "title", "subject", "target"),
        ),
        Field(name="references", aliases=("references",), required=False, several=True),
    )
    utility = staticmethod(rouge)
    figures = ("rouge1", "rouge2", "rougeL", "loss")
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    pipeline_names = ("document", "summary")
    cuts_sources = True

    def references(self, split: Split) -> list[Reference]:
        others: Iterable[Sequence[str]] = repeat(())
        if "references" in split.fields:
            others = split.column("references")
        return [
            Reference(summary=summary, others=tuple(own), document=document)
            for summary, document, own in zip(
                split.column("summary"), split.column("document"), others, strict=False
            )
        ]

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, float]:
        """Figures `rouge1`, `rouge2` and `rougeL`, in points."""
        return summary_metrics.score([each.output for each in predictions], references)

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[Reference]
    ) -> dict[str, Any]:
        return summary_metrics.report([each.output for each in predictions], references)

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[Reference],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of ROUGE."""
        return summary_metrics.compare(
            [each.output for each in first], [each.output for each in second], references
        )

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        from seqnlp.tasks.summary_baselines import summary_baselines

        return summary_baselines(corpus)
