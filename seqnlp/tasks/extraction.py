"""Extraction: the sentences of a document that say the most of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from seqnlp.config import Settings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import TokenizedText, tokenize_sentences
from seqnlp.errors import InputError
from seqnlp.tasks.base import Batch, Rows
from seqnlp.tasks.extraction_options import DEFAULTS, ExtractionOptions, Selection, options_of
from seqnlp.tasks.extraction_rows import ExtractionBatch, ExtractionRows
from seqnlp.tasks.extractor import Extractor
from seqnlp.tasks.oracle import label_sentences
from seqnlp.tasks.pipelines import fit_pipeline
from seqnlp.tasks.summary_metrics import Reference
from seqnlp.tasks.summary_task import SummaryTask
from seqnlp.tasks.vectors import start_vectors
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sentences import split_sentences
from seqnlp.types import Hypothesis, Loss, Prediction

MOST_MEMBERS = 1000
TOKENS = 1 << 16
"""Tokens of the rows that are answered at once."""


class ExtractionTask(SummaryTask):
    """Extractive summarization: the best sentences of a document, in their order."""

    Options = ExtractionOptions
    figures = ("rouge1", "rouge2", "rougeL", "loss")
    defaults: ClassVar[Mapping[str, Any]] = DEFAULTS
    pipeline_names = ("document",)

    def __init__(
        self, settings: Settings, pipeline: TokenPipeline, *, members: int = 1, sentences: int = 1
    ) -> None:
        super().__init__()
        self.settings, self.pipeline, self.sentences = settings, pipeline, sentences
        self.options = options_of(settings)
        self.decoding: Selection = self.options.decoding
        self.members = nn.ModuleList(
            Extractor(
                settings,
                pipeline,
                pooling=self.options.pooling,
                pooling_options=self.options.pooling_options,
            )
            for _ in range(members)
        )

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> Self:
        pipeline = fit_pipeline(settings.text, corpus, "document")
        most = options_of(settings).oracle_sentences
        counts, labels = label_sentences(corpus.split("train"), most=most)
        known = np.bincount(np.repeat(np.arange(len(counts)), counts), labels)
        mean = known[known > 0].mean() if labels.any() else 1
        task = cls(settings, pipeline, sentences=max(1, round(mean)))
        embeddings = [member.embedding for member in task.members]
        start_vectors(embeddings, settings.text, corpus, task.pipelines)  # type: ignore[arg-type]
        return task

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> Self:
        members, sentences = int(state["members"]), int(state["sentences"])
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        if sentences < 1:
            raise ValueError(f"sentences must be at least 1, not {sentences}")
        return cls(settings, pipelines["document"], members=members, sentences=sentences)

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        if any(task.pipeline.vocabulary != first.pipeline.vocabulary for task in tasks):
            raise ValueError("tasks of different vocabularies cannot be combined")
        combined = cls(first.settings, first.pipeline, members=0, sentences=first.sentences)
        combined.members.extend(member for task in tasks for member in task.members)
        return combined

    def state(self) -> dict[str, Any]:
        return {"members": len(self.members), "sentences": self.sentences}

    def read(self, split: Split, *, training: bool = False) -> ExtractionRows:
        text = tokenize_sentences(split, "document", self.pipeline)
        counts, labels = label_sentences(split, most=self.options.oracle_sentences)
        notes: tuple[str, ...] = ()
        if training:
            known = np.bincount(np.repeat(np.arange(len(counts)), counts), labels, len(counts)) > 0
            missing = len(split) - int(known.sum())
            why = "no sentence shares a word with the summary"
            if missing == len(split):
                raise InputError(f"{split.origin}: all {missing:,} documents are left out: {why}")
            if missing:
                notes = (f"train: {missing:,} of {len(split):,} documents are left out: {why}",)
        return self._rows(text, counts, split, labels=labels, labeled_only=training, notes=notes)

    def read_texts(self, texts: Sequence[str]) -> ExtractionRows:
        sentences = [split_sentences(text) for text in texts]
        counts = np.array([len(each) for each in sentences], dtype=np.int64)
        tokens = (self.pipeline.tokens(sentence) for each in sentences for sentence in each)
        return self._rows(TokenizedText.from_tokens(tokens), counts, texts)

    def _rows(
        self, text: TokenizedText, counts: NDArray[np.int64], texts: Split | Sequence[str],
        **options: Any,
    ) -> ExtractionRows:  # fmt: skip
        limits = self.settings.text
        return ExtractionRows(
            text,
            counts,
            self.pipeline,
            documents=lambda: texts.column("document") if isinstance(texts, Split) else texts,
            sentence_tokens=self.options.sentence_tokens,
            max_tokens=limits.max_tokens,
            long_documents=limits.long_documents,
            **options,
        )

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy summed over sentences (and members), in nats."""
        assert isinstance(batch, ExtractionBatch)
        assert batch.labels is not None
        real = (batch.totals > 0).to(batch.labels)
        losses = [
            functional.binary_cross_entropy_with_logits(
                member(batch), batch.labels, weight=real, reduction="sum"
            )
            for member in self.members
        ]
        units = float(real.sum()) * len(self.members)
        return Loss(total=torch.stack(losses).sum(), units=units)

    def probabilities(self, rows: ExtractionRows, *, batch_size: int) -> NDArray[np.float64]:
        """Float [M] of all sentences, the mean of the members; -1 for one that was not read."""
        found = np.full(int(rows.counts.sum()), -1.0)
        buckets = LengthBuckets(
            rows.lengths, batch_size=batch_size, batch_tokens=TOKENS, shuffle=False
        )
        with self.evaluating(), torch.inference_mode():
            for indices in buckets.batches():
                batch = rows.batch(indices).to(self.device)
                each = torch.stack([torch.sigmoid(member(batch)) for member in self.members])
                found[rows.places(indices)] = each.mean(0)[batch.totals > 0].cpu().numpy()
        return found

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, ExtractionRows)
        return self._quote(rows, self.probabilities(rows, batch_size=batch_size))

    def _quote(self, rows: ExtractionRows, found: NDArray[np.float64]) -> list[Prediction]:
        ends = np.append(0, np.cumsum(rows.counts))
        selection = self.decoding
        if selection.sentences is None and selection.max_words is None:
            selection = selection.model_copy(update={"sentences": self.sentences})
        return [
            _quote(split_sentences(text), found[begin:end], selection)
            for text, (begin, end) in zip(rows.documents(), pairwise(ends.tolist()), strict=True)
        ]

    def validate(
        self, rows: Rows, references: Sequence[Reference], *, batch_size: int
    ) -> dict[str, float]:
        """Figures of the answers; `loss` in nats a sentence."""
        assert isinstance(rows, ExtractionRows)
        assert rows.labels is not None
        found = self.probabilities(rows, batch_size=batch_size)
        figures = self.score(self._quote(rows, found), references)
        hits = np.where(rows.labels, found, 1 - found)[found >= 0]
        return {**figures, "loss": float(-np.log(np.maximum(hits, 1e-12)).mean())}

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        return [*super().named_parts(settings), ("poolings", options_of(settings).pooling)]


def _quote(
    sentences: Sequence[str], probabilities: NDArray[np.float64], selection: Selection
) -> Prediction:
    taken = selection.choose(probabilities, [len(sentence.split()) for sentence in sentences])
    if not taken:
        return Prediction(output="")
    chosen = [sentences[number] for number in taken]
    text = " ".join(" ".join(chosen).split()[: selection.max_words])
    log_probability = float(np.log(np.maximum(probabilities[taken], 1e-12)).sum())
    best = Hypothesis(
        text=text,
        score=float(probabilities[taken].mean()),
        log_probability=log_probability,
        tokens=tuple(chosen),
    )
    return Prediction(output=text, hypotheses=(best,))
