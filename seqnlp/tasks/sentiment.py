"""Sentiment, or any other question whose answer is one label out of K."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field as Limit
from torch import Tensor, nn
from torch import device as Device
from torch.nn import functional

from seqnlp.config import Section, Settings, validate_section
from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.tokens import TokenizedText, tokenize_corpus, tokenize_split
from seqnlp.errors import InputError, SettingsError, suggest
from seqnlp.tasks import metrics
from seqnlp.tasks.base import Batch, Rows, Task
from seqnlp.tasks.classifier import Classifier, load_vectors
from seqnlp.tasks.naive_bayes import NaiveBayes
from seqnlp.tasks.rows import Ints, TokenRows, single_row
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import parse_tokenizer
from seqnlp.types import Bag, Field, Loss, Prediction, TokenBatch


class SentimentOptions(Section):
    """The table `head` of a recipe."""

    pooling: tuple[str, ...] = ("max",)
    """What is made of the states; several are concatenated."""
    attention: str | None = None
    """An attention whose pooling is added to the others."""
    attention_options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    label_smoothing: float = Limit(default=0.0, ge=0, lt=1)
    naive_bayes: bool = False
    """Adds naive Bayes log-odds of words and word pairs to the logits, by one learned weight."""
    class_weights: Literal["none", "balanced"] | dict[str, float] = "none"
    """Weights in the loss by label; "balanced" is inverse to the label's share of train."""


@dataclass(frozen=True, kw_only=True)
class LabeledBatch(Batch):
    """tokens: B rows. labels: int64 [B], numbers into the task's labels; None at prediction."""

    tokens: TokenBatch
    labels: Tensor | None

    def to(self, device: Device | str) -> LabeledBatch:
        if self.tokens.ids.device == torch.device(device):
            return self
        labels = None if self.labels is None else self.labels.to(device)
        return LabeledBatch(tokens=self.tokens.to(device), labels=labels)


class LabeledRows(Rows):
    """Token rows, each with the label of its document; labels: int64 [N] or None."""

    def __init__(self, tokens: TokenRows, labels: Ints | None) -> None:
        self.tokens, self.labels = tokens, labels
        self.lengths = tokens.lengths

    def batch(self, indices: Ints) -> LabeledBatch:
        labels = None
        if self.labels is not None:
            labels = torch.from_numpy(self.labels[self.tokens.documents[indices]])
        return LabeledBatch(tokens=self.tokens.tokens(indices), labels=labels)


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
                evidence=self.options.naive_bayes,
            )
            for _ in range(members)
        )
        self.naive_bayes = NaiveBayes(features, len(labels)) if self.options.naive_bayes else None
        self.class_weights = weights
        self._weights: Tensor
        self.register_buffer("_weights", torch.tensor(weights), persistent=False)

    @classmethod
    def create(cls, settings: Settings, corpus: Corpus) -> SentimentTask:
        train = corpus.split("train")
        counts = Counter(train.column("label"))
        labels = tuple(sorted(counts, key=_natural))
        if len(labels) < 2:
            raise InputError(
                f"{train.origin}: every training example has the label {labels[0]!r}; "
                "a classifier needs at least two labels"
            )
        weights = _class_weights(options_of(settings).class_weights, counts, labels)
        pipeline = fit_pipeline(settings, corpus, "text")
        task = cls(settings, pipeline, labels=labels, weights=weights)
        if task.options.naive_bayes:
            task.naive_bayes = task._count(train)
        if settings.text.vectors is not None:
            for member in task.members:
                load_vectors(member.embedding, pipeline, settings.text.vectors)  # type: ignore[arg-type]
        return task

    @classmethod
    def restore(
        cls, settings: Settings, pipeline: TokenPipeline, state: Mapping[str, Any]
    ) -> SentimentTask:
        return cls(
            settings,
            pipeline,
            labels=tuple(state["labels"]),
            weights=tuple(state["class_weights"]),
            members=state["members"],
            features=state["features"],
        )

    @classmethod
    def combine(cls, tasks: Sequence[Self]) -> Self:
        first = tasks[0]
        state = {**first.state(), "members": 0}
        combined = cls.restore(first.settings, first.pipeline, state)
        combined.members.extend(member for task in tasks for member in task.members)
        combined.naive_bayes = first.naive_bayes
        return combined  # type: ignore[return-value]

    def state(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "class_weights": list(self.class_weights),
            "members": len(self.members),
            "features": 0 if self.naive_bayes is None else len(self.naive_bayes.keys),
        }

    def read(self, split: Split) -> LabeledRows:
        return self._labeled(split, max_tokens=self.settings.text.max_tokens)

    def _labeled(self, split: Split, *, max_tokens: int) -> LabeledRows:
        numbers = {label: number for number, label in enumerate(self.labels)}
        labels = np.empty(len(split), dtype=np.int64)
        for row, label in enumerate(split.column("label")):
            if label not in numbers:
                raise InputError(
                    f"{split.where(row)}: the label {label!r} does not occur in train; "
                    f"{suggest(label, self.labels)}"
                )
            labels[row] = numbers[label]
        text = tokenize_split(split, "text", self.pipeline)
        return LabeledRows(self._rows(text, max_tokens), labels)

    def read_texts(self, texts: Sequence[str]) -> LabeledRows:
        tokens = [self.pipeline.tokens(text) for text in texts]
        rows = self._rows(TokenizedText.from_tokens(tokens), self.settings.text.max_tokens)
        return LabeledRows(rows, None)

    def _rows(self, text: TokenizedText, max_tokens: int) -> TokenRows:
        return TokenRows(
            text,
            self.pipeline,
            max_tokens=max_tokens,
            long_documents=self.settings.text.long_documents,
            bags=self.options.naive_bayes,
        )

    def _count(self, train: Split) -> NaiveBayes:
        """What naive Bayes knows of the training documents, each counted once and whole."""
        rows = self._labeled(train, max_tokens=sys.maxsize)
        assert rows.labels is not None
        parts = [np.zeros(0, dtype=np.int64)]
        sizes = np.zeros(len(rows.lengths), dtype=np.int64)
        for row in range(len(rows.lengths)):
            bag = rows.tokens.tokens(np.array([row])).bag
            assert bag is not None
            parts.append(bag.ids.numpy())
            sizes[row] = len(bag.ids)
        whole = Bag(
            ids=torch.from_numpy(np.concatenate(parts)),
            offsets=torch.from_numpy(np.cumsum(sizes) - sizes),
        )
        return NaiveBayes.fit(whole, torch.from_numpy(rows.labels), len(self.labels))

    def loss(self, batch: Batch) -> Loss:
        """Cross-entropy summed over rows (and members), in nats; units: the weight of the rows."""
        assert isinstance(batch, LabeledBatch)
        assert batch.labels is not None
        # The text's own label is left out of the evidence, in training only.
        evidence = self._evidence(batch.tokens, batch.labels if self.training else None)
        logits = torch.stack([member(batch.tokens, evidence) for member in self.members])
        total = functional.cross_entropy(
            logits.flatten(0, 1),
            batch.labels.repeat(len(self.members)),
            weight=self._weights,
            label_smoothing=self.options.label_smoothing,
            reduction="sum",
        )
        return Loss(total=total, units=float(self._weights[batch.labels].sum()) * len(self.members))

    def log_probabilities(self, batch: LabeledBatch) -> Tensor:
        """Float [B, K]: logarithms of the members' mean probabilities."""
        evidence = self._evidence(batch.tokens, None)
        logs = [
            functional.log_softmax(member(batch.tokens, evidence), dim=-1)
            for member in self.members
        ]
        if len(logs) == 1:
            return logs[0]
        return torch.logsumexp(torch.stack(logs), dim=0) - float(np.log(len(logs)))

    def _evidence(self, tokens: TokenBatch, labels: Tensor | None) -> Tensor | None:
        if self.naive_bayes is None:
            return None
        assert tokens.bag is not None
        evidence: Tensor = self.naive_bayes(tokens.bag, labels)
        return evidence

    def probabilities(self, rows: LabeledRows, *, batch_size: int) -> NDArray[np.float64]:
        """Float [N, K] by document; chunks of a document are combined by their geometric mean."""
        order = np.argsort(rows.lengths, kind="stable")
        logs = np.empty((len(order), len(self.labels)))
        device, training = self.device, self.training
        if training:
            self.eval()
        with torch.inference_mode():
            for begin in range(0, len(order), batch_size):
                indices = order[begin : begin + batch_size]
                batch = rows.batch(indices).to(device)
                logs[indices] = self.log_probabilities(batch).cpu().numpy()
        if training:
            self.train()
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
            return super().answer_texts(texts, batch_size=batch_size)
        with torch.inference_mode():
            batch = LabeledBatch(
                tokens=single_row(tokens, self.pipeline, bag=self.options.naive_bayes), labels=None
            )
            logs = self.log_probabilities(batch.to(self._weights.device))[0].tolist()
        shares = [math.exp(value) for value in logs]
        total = sum(shares)
        return [self._prediction([share / total for share in shares])]

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

    def parts(self) -> list[tuple[str, str]]:
        attention = [("attentions", self.options.attention)] if self.options.attention else []
        return [
            *super().parts(),
            *(("poolings", name) for name in self.options.pooling),
            *attention,
        ]

    def baselines(self, corpus: Corpus) -> dict[str, dict[str, Any]]:
        from seqnlp.tasks.baselines import classification_baselines

        texts = tokenize_corpus(corpus, "text", self.pipeline)
        return classification_baselines(corpus, texts, self.labels)

    def _numbers(self, labels: Sequence[str] | Iterator[str]) -> Ints:
        number = {label: k for k, label in enumerate(self.labels)}
        return np.array([number[label] for label in labels], dtype=np.int64)


def options_of(settings: Settings) -> SentimentOptions:
    """The validated table `head`.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    return validate_section(SentimentOptions, settings.head, "head")


def fit_pipeline(settings: Settings, corpus: Corpus, field: str) -> TokenPipeline:
    """The pipeline that the settings describe, its tokenizer and vocabulary fitted on train."""
    chosen = settings.text
    low, high = chosen.ngram_sizes
    pipeline = TokenPipeline(
        normalizers=chosen.normalizers,
        tokenizer=parse_tokenizer(chosen.tokenizer, chosen.tokenizer_options),
        hasher=(
            NgramHasher(buckets=chosen.ngram_buckets, min_size=low, max_size=high)
            if chosen.ngram_buckets
            else None
        ),
    )
    pipeline = pipeline.with_trained_tokenizer(corpus.split("train").column(field))
    text = tokenize_corpus(corpus, field, pipeline)["train"]
    counts = {token: int(n) for token, n in zip(text.types, text.counts, strict=True) if n}
    return pipeline.fit_counts(counts, min_count=chosen.min_count, max_size=chosen.max_size)


def _class_weights(
    chosen: str | dict[str, float], counts: Mapping[str, int], labels: tuple[str, ...]
) -> tuple[float, ...]:
    if chosen == "balanced":
        total = sum(counts.values())
        return tuple(total / (len(labels) * counts[label]) for label in labels)
    if isinstance(chosen, str):
        return (1.0,) * len(labels)
    for label, weight in chosen.items():
        if label not in labels:
            raise SettingsError(f"head.class_weights: no label {label!r}; {suggest(label, labels)}")
        if weight <= 0:
            raise SettingsError(f"head.class_weights.{label}: must be positive, not {weight}")
    return tuple(float(chosen.get(label, 1.0)) for label in labels)


def _natural(label: str) -> list[tuple[int, int, str]]:
    """Sorts "2" before "10"."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", label)
        if part
    ]
