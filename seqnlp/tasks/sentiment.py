"""Sentiment, or any other question whose answer is one label out of K."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import TokenizedText, tokenize_corpus, tokenize_split
from seqnlp.errors import InputError, SettingsError, suggest
from seqnlp.tasks import metrics
from seqnlp.tasks.base import Batch, Rows, Task
from seqnlp.tasks.classifier import Classifier, mean_log_probabilities
from seqnlp.tasks.evidence import FIRST_WEIGHT, FITS, LinearEvidence
from seqnlp.tasks.labeled import (
    LabeledBatch,
    LabeledRows,
    class_weights,
    example_weights,
    label_numbers,
    natural_order,
)
from seqnlp.tasks.options import SentimentOptions, options_of
from seqnlp.tasks.pipelines import fit_pipeline
from seqnlp.tasks.rows import Ints, TokenRows
from seqnlp.tasks.streaming import LabelStream
from seqnlp.tasks.token_vectors import embed_text
from seqnlp.tasks.vectors import start_vectors
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Field, Loss, Prediction

MOST_MEMBERS = 1000


class SentimentTask(Task):
    """Sentiment and other text classification, one label out of any number."""

    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            name="text",
            aliases=("text", "sentence", "review", "content", "body", "document", "question"),
        ),
        Field(
            name="label",
            aliases=("label", "labels", "sentiment", "stars", "rating", "class", "category",
                     "polarity", "target"),
        ),
    )  # fmt: skip
    Options = SentimentOptions
    figures = ("accuracy", "macro_f1", "loss")

    def __init__(
        self, settings: Settings, pipeline: TokenPipeline, *, labels: tuple[str, ...],
        weights: tuple[float, ...], members: int = 1, features: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.settings, self.pipeline, self.labels = settings, pipeline, labels
        self.options = options_of(settings)
        pooling = self.options.pooling
        if self.options.attention is not None:
            pooling = (*(name for name in pooling if name != "attention"), "attention")
        if not pooling:
            raise SettingsError("head.pooling: name at least one, or an attention")
        attention = {"attention": self.options.attention} if self.options.attention else {}
        self.members = nn.ModuleList(
            Classifier(
                settings,
                pipeline,
                classes=len(labels),
                pooling=pooling,
                pooling_options={**attention, "attention_options": self.options.attention_options},
                evidence=FIRST_WEIGHT.get(self.options.evidence),
            )
            for _ in range(members)
        )
        self.evidence: LinearEvidence | None = None
        if self.options.evidence != "none":
            normalized = self.options.evidence == "logistic"
            self.evidence = LinearEvidence(features, len(labels), normalized=normalized)
        self.class_weights = weights
        self._weights: Tensor
        self.register_buffer("_weights", torch.tensor(weights), persistent=False)

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> SentimentTask:
        train = corpus.split("train")
        counts = Counter(train.column("label"))
        labels = tuple(sorted(counts, key=natural_order))
        if len(labels) < 2:
            raise InputError(
                f"{train.origin}: every training example has the label {labels[0]!r}; "
                "a classifier needs at least two labels"
            )
        weights = class_weights(options_of(settings).class_weights, counts, labels)
        pipeline = fit_pipeline(settings.text, corpus, "text")
        task = cls(settings, pipeline, labels=labels, weights=weights)
        for name in {"validation", "test"} & corpus.splits.keys():
            # Hours later would be too late to find a label that cannot be scored.
            label_numbers(corpus.splits[name], labels)
        embeddings = (member.embedding for member in task.members)
        start_vectors(embeddings, settings.text, corpus, task.pipelines)  # type: ignore[arg-type]
        return task

    @classmethod
    def restore(
        cls, settings: Settings, pipelines: Mapping[str, TokenPipeline], state: Mapping[str, Any]
    ) -> SentimentTask:
        labels, weights, members = state["labels"], state["class_weights"], state["members"]
        if not all(isinstance(label, str) for label in labels) or len(weights) != len(labels):
            raise ValueError("labels must be strings, with a weight each")
        if not 0 <= members <= MOST_MEMBERS:
            raise ValueError(f"members must be 0 to {MOST_MEMBERS}, not {members}")
        return cls(
            settings,
            pipelines["text"],
            labels=tuple(labels),
            weights=tuple(float(weight) for weight in weights),
            members=members,
            features=state["features"],
        )

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        if any(task.pipeline.vocabulary != first.pipeline.vocabulary for task in tasks):
            raise ValueError("tasks of different vocabularies cannot be combined")
        state = {**first.state(), "members": 0}
        combined = cls.restore(first.settings, first.pipelines, state)
        combined.members.extend(member for task in tasks for member in task.members)
        combined.evidence = first.evidence
        return combined  # type: ignore[return-value]

    def state(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "class_weights": list(self.class_weights),
            "members": len(self.members),
            "features": 0 if self.evidence is None else len(self.evidence.keys),
        }

    def read(self, split: Split, *, training: bool = False) -> LabeledRows:
        text = tokenize_split(split, "text", self.pipeline)
        labels, weights = label_numbers(split, self.labels), example_weights(split)
        if self.evidence is None:
            return LabeledRows(self._rows(text), labels, weights=weights)
        if not training:
            return LabeledRows(self._rows(text), labels, self.evidence(text), weights)
        fit = FITS[self.options.evidence]
        self.evidence, held_out = fit(text, labels, len(self.labels), weights)
        return LabeledRows(self._rows(text), labels, held_out, weights)

    def read_texts(self, texts: Sequence[str]) -> LabeledRows:
        return self.read_tokens([self.pipeline.tokens(text) for text in texts])

    def read_tokens(self, documents: Sequence[Sequence[str]]) -> LabeledRows:
        """The rows of texts that are tokenized already, without references."""
        text = TokenizedText.from_tokens(documents)
        evidence = None if self.evidence is None else self.evidence(text)
        return LabeledRows(self._rows(text), None, evidence)

    def _rows(self, text: TokenizedText) -> TokenRows:
        return TokenRows(
            text,
            self.pipeline,
            max_tokens=self.settings.text.max_tokens,
            long_documents=self.settings.text.long_documents,
        )

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy summed over rows (and members), in nats; units: the weight of the rows."""
        assert isinstance(batch, LabeledBatch)
        assert batch.labels is not None
        logits = torch.stack([member(batch.tokens, batch.evidence) for member in self.members])
        total = functional.cross_entropy(
            logits.flatten(0, 1),
            batch.labels.repeat(len(self.members)),
            weight=self._weights,
            label_smoothing=self.options.label_smoothing,
            reduction="sum" if batch.weights is None else "none",
        )
        units = self._weights[batch.labels]
        if batch.weights is not None:
            total, units = total @ batch.weights.repeat(len(self.members)), units * batch.weights
        return Loss(total=total, units=float(units.sum()) * len(self.members))

    def log_probabilities(self, batch: LabeledBatch) -> Tensor:
        """Float [B, K]: logarithms of the members' mean probabilities."""
        return mean_log_probabilities(
            [member(batch.tokens, batch.evidence) for member in self.members]
        )

    def probabilities(self, rows: LabeledRows, *, batch_size: int) -> NDArray[np.float64]:
        """Float [N, K] by document; chunks of a document are combined by their geometric mean."""
        order = np.argsort(rows.lengths, kind="stable")
        logs = np.empty((len(order), len(self.labels)))
        with self.evaluating(), torch.inference_mode():
            for begin in range(0, len(order), batch_size):
                indices = order[begin : begin + batch_size]
                batch = rows.batch(indices).to(self.device)
                logs[indices] = self.log_probabilities(batch).cpu().numpy()
        documents = rows.tokens.documents
        if len(documents) != rows.tokens.size:
            sums = np.zeros((rows.tokens.size, len(self.labels)))
            np.add.at(sums, documents, logs)
            # Chunks that contradict each other leave every label too small for exp.
            logs = sums / np.bincount(documents, minlength=rows.tokens.size)[:, None]
            logs -= logs.max(1, keepdims=True, initial=-np.inf)
        shares: NDArray[np.float64] = np.exp(logs)
        shares /= shares.sum(1, keepdims=True)
        return shares

    def answer(self, rows: Rows, *, batch_size: int) -> list[Prediction]:
        assert isinstance(rows, LabeledRows)
        shares = self.probabilities(rows, batch_size=batch_size).tolist()
        return [self._prediction(row) for row in shares]

    def answer_texts(self, texts: Sequence[str], *, batch_size: int) -> list[Prediction]:
        """See `Task.answer_texts`."""
        if len(texts) != 1 or self.training:
            return super().answer_texts(texts, batch_size=batch_size)
        tokens = self.pipeline.tokens(texts[0])
        if len(tokens) > self.settings.text.max_tokens:
            return self.answer(self.read_tokens([tokens]), batch_size=batch_size)
        with torch.inference_mode():
            device = self._weights.device
            lengths = torch.tensor([len(tokens) or 1], device=device)
            evidence = None
            if self.evidence is not None:
                evidence = torch.from_numpy(self.evidence.of_one(tokens)).to(device)
            logits = []
            for member in self.members:
                vectors = embed_text(tokens, self.pipeline, member.embedding)  # type: ignore[arg-type]
                encoded = member.encoder(vectors, lengths)  # type: ignore[operator]
                logits.append(member.classify(encoded, evidence))  # type: ignore[operator]
            return [self.decide(mean_log_probabilities(logits))]

    def stream(self) -> LabelStream:
        return LabelStream(self)

    def decide(self, logs: Tensor) -> Prediction:
        """The answer to one text, from its log-probabilities float [1, K]."""
        shares = [math.exp(value) for value in logs[0].tolist()]
        total = sum(shares)
        return self._prediction([share / total for share in shares])

    def _prediction(self, shares: Sequence[float]) -> Prediction:
        return Prediction(
            output=self.labels[shares.index(max(shares))],
            probabilities=dict(zip(self.labels, shares, strict=True)),
        )

    def references(self, split: Split) -> list[str]:
        return list(split.column("label"))

    def score(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, float]:
        """accuracy, macro_f1, and loss: the mean negative log-likelihood in nats."""
        truth, guesses = self._numbers(references), self._numbers(p.output for p in predictions)
        counts = metrics.confusion(truth, guesses, len(self.labels))
        shares = [p.probabilities[r] for p, r in zip(predictions, references, strict=True)]  # type: ignore[index]
        return {
            "accuracy": float(metrics.accuracy(counts)),
            "macro_f1": float(metrics.macro_f1(counts)),
            "loss": float(-np.log(np.maximum(shares, 1e-12)).mean()),
        }

    def report(
        self, predictions: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, Any]:
        confidence = np.array([p.probabilities[p.output] for p in predictions])  # type: ignore[index]
        return metrics.classification_report(
            self._numbers(references),
            self._numbers(p.output for p in predictions),
            self.labels,
            confidence,
        )

    def compare(
        self,
        first: Sequence[Prediction],
        second: Sequence[Prediction],
        references: Sequence[str],
    ) -> dict[str, dict[str, Any]]:
        """See `Task.compare`; of accuracy and macro-F1."""
        for answers in (first, second):
            if unknown := {answer.output for answer in answers} - set(self.labels):
                raise InputError(
                    f"one model answers {min(unknown)!r}, which is no label of the other; "
                    f"{suggest(min(unknown), self.labels)}"
                )
        return metrics.paired_comparison(
            self._numbers(references),
            self._numbers(p.output for p in first),
            self._numbers(p.output for p in second),
            len(self.labels),
        )

    @classmethod
    def named_parts(cls, settings: Settings) -> list[tuple[str, str]]:
        options = options_of(settings)
        attention = [("attentions", options.attention)] if options.attention else []
        return [
            *super().named_parts(settings),
            *(("poolings", name) for name in options.pooling),
            *attention,
        ]

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        from seqnlp.tasks.baselines import classification_baselines

        texts = tokenize_corpus(corpus, "text", self.pipeline)
        return classification_baselines(corpus, texts, self.labels)

    def _numbers(self, labels: Sequence[str] | Iterator[str]) -> Ints:
        number = {label: k for k, label in enumerate(self.labels)}
        return np.array([number[label] for label in labels], dtype=np.int64)
