"""Summarization: a document in a few words, some of them copied from it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from seqnlp.data.corpus import Corpus
from seqnlp.tasks import summary_baselines
from seqnlp.tasks.summary_metrics import Reference
from seqnlp.tasks.summary_task import SummaryTask
from seqnlp.tasks.utilities import rouge
from seqnlp.tasks.writing_task import WritingTask

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "corpus": {"name": "reports"},
        "text": {
            "normalizers": ["nfc"],
            "tokenizer": "regex",
            "min_count": 2,
            "ngram_buckets": 0,
            "max_tokens": 200,
            "long_documents": "truncate",
        },
        "model": {"embedding_size": 128, "cell": "lstm", "hidden_size": 128},
        "train": {
            "epochs": 8,
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
            "decoding": {"max_ratio": 0.2, "max_extra": 20, "no_repeat_ngram": 3, "tidy": True},
        },
        "hooks": {
            "dropout": {
                "word": 0.1,
                "embedding": 0.3,
                "memory": 0.3,
                "layer": 0.3,
                "context": 0.0,
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


class SummarizationTask(SummaryTask, WritingTask):
    """Short texts that say what long ones are about, by a decoder that may copy from them."""

    utility = staticmethod(rouge)
    figures = ("rouge1", "rouge2", "rougeL", "loss")
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    pipeline_names = ("document", "summary")
    cuts_sources = True

    def references_in(self, corpus: Corpus, split: str) -> list[Reference]:
        """See `Task.references_in`: how near each document is to train."""
        return summary_baselines.references_in(corpus, split, self.neighbors)
