"""A plain loop for sentiment: customary code, with the weights of the toolkit's model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from seqnlp.config import Settings
from seqnlp.tasks.sentiment import SentimentTask

BATCH = 64  # texts, in prediction
PAD, UNK = 0, 1


class PlainModel(nn.Module):
    """Bag of n-grams and word vector, bidirectional LSTM, max pooling, linear layer."""

    def __init__(self, settings: Settings, words: int, classes: int) -> None:
        super().__init__()
        size, hidden = settings.model.embedding_size, settings.model.hidden_size
        rates: Any = settings.hooks["dropout"]
        buckets = settings.text.ngram_buckets
        self.embedding = nn.Embedding(words, size, padding_idx=PAD)
        self.ngrams = nn.EmbeddingBag(buckets, size, mode="mean") if buckets else None
        self.lstm = nn.LSTM(size, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden, classes)
        self.word_rate = float(rates["word"])
        self.embedding_dropout = nn.Dropout(rates["embedding"])
        self.output_dropout = nn.Dropout(rates["output"])

    def forward(self, batch: PlainBatch) -> Tensor:
        """Logits [B, K]."""
        x: Tensor = self.embedding(batch.ids)
        if self.ngrams is not None and batch.inverse is not None:
            x = x + F.embedding(batch.inverse, self.ngrams(batch.ngrams, batch.offsets))
        if self.training:
            x = x * x.new_empty(*x.shape[:2], 1).bernoulli_(1 - self.word_rate)
        states, _ = self.lstm(self.embedding_dropout(x))
        logits: Tensor = self.output(self.output_dropout(states.amax(1)))
        return logits

    def copy_weights(self, task: SentimentTask) -> None:
        """Take the weights of the toolkit's model."""
        source: Any = task.members[0]
        layer = source.encoder.layers[0]
        pairs: list[tuple[Tensor, Tensor]] = [
            (self.embedding.weight, source.embedding.words),
            (self.output.weight, source.output.weight),
            (self.output.bias, source.output.bias),
        ]
        for cell, suffix in ((layer.forward_cell, "l0"), (layer.backward_cell, "l0_reverse")):
            pairs += [
                (getattr(self.lstm, f"weight_ih_{suffix}"), cell.weight_x),
                (getattr(self.lstm, f"weight_hh_{suffix}"), cell.weight_h),
                (getattr(self.lstm, f"bias_ih_{suffix}"), cell.bias),
                (getattr(self.lstm, f"bias_hh_{suffix}"), torch.zeros_like(cell.bias)),
            ]
        if self.ngrams is not None:
            pairs.append((self.ngrams.weight, source.embedding.ngrams))
        with torch.no_grad():
            for target, value in pairs:
                target.copy_(value)


@dataclass(slots=True)
class PlainBatch:
    """ids, inverse: int64 [B, T]. ngrams: int64 [N] of distinct tokens, which begin at offsets."""

    ids: Tensor
    ngrams: Tensor | None = None
    offsets: Tensor | None = None
    inverse: Tensor | None = None


class PlainReader:
    """Texts to batches: `str.split`, a dictionary of words, a cache of n-grams a token."""

    def __init__(self, words: dict[str, int], hash_ngrams: Callable[[str], Tensor] | None) -> None:
        self.words = words
        self.hash_ngrams = hash_ngrams
        self.numbers: dict[str, int] = {"<pad>": PAD}
        self.ngrams: list[Tensor] = [torch.zeros(0, dtype=torch.int64)]
        self.word_of: list[int] = [PAD]

    def read(self, text: str) -> Tensor:
        """The tokens of a text: word ids, or with n-grams numbers of token types."""
        tokens = text.split()
        if self.hash_ngrams is None:
            words = self.words
            return torch.tensor([words.get(token, UNK) for token in tokens])
        return torch.tensor([self.numbers.get(token) or self._add(token) for token in tokens])

    def _add(self, token: str) -> int:
        assert self.hash_ngrams is not None
        self.numbers[token] = len(self.numbers)
        self.ngrams.append(self.hash_ngrams(token))
        self.word_of.append(self.words.get(token, UNK))
        return self.numbers[token]

    def batch(self, rows: Sequence[Tensor]) -> PlainBatch:
        """Pad rows to the longest; the n-grams of a token that stands twice are read once."""
        padded = pad_sequence(list(rows), batch_first=True, padding_value=PAD)
        if self.hash_ngrams is None:
            return PlainBatch(padded)
        distinct, inverse = torch.unique(padded, return_inverse=True)
        types = distinct.tolist()
        bags = [self.ngrams[number] for number in types]
        offsets = torch.tensor([0, *map(len, bags[:-1])]).cumsum(0)
        words = torch.tensor([self.word_of[number] for number in types])
        return PlainBatch(words[inverse], torch.cat(bags), offsets, inverse)


class Plain:
    """The peer: a model and its reader, and the three loops that are timed."""

    def __init__(self, settings: Settings, task: SentimentTask) -> None:
        pipeline = task.pipeline
        assert pipeline.vocabulary is not None
        hasher = pipeline.hasher
        # The hash is borrowed, so that both sides know a token by the same n-grams; it is never
        # timed, since both remember the n-grams of a token.
        hash_ngrams = None if hasher is None else lambda token: torch.from_numpy(hasher.ids(token))
        self.settings, self.labels = settings, task.labels
        self.reader = PlainReader(dict(pipeline.vocabulary.index), hash_ngrams)
        self.model = PlainModel(settings, len(pipeline.vocabulary), len(task.labels))
        self.model.copy_weights(task)
        self.model.eval()

    def train(self, rows: list[Tensor], labels: Tensor, batches: list[Tensor]) -> float:
        """One epoch; the mean loss."""
        model, reader, limit = self.model, self.reader, self._limit
        weights = list(model.parameters())
        optimizer = torch.optim.AdamW(weights, lr=self.settings.train.lr, fused=True)
        model.train()
        total = 0.0
        for indices in batches:
            batch = reader.batch([rows[i] for i in indices.tolist()])
            loss = F.cross_entropy(model(batch), labels[indices])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(weights, limit)
            optimizer.step()
            total += loss.item() * len(indices)
        model.eval()
        return total / len(rows)

    @torch.inference_mode()
    def predict(self, texts: Sequence[str]) -> list[tuple[str, list[float]]]:
        """Label and probabilities of every text, in batches sorted by length."""
        rows = [self.reader.read(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        answers: list[tuple[str, list[float]]] = [("", [])] * len(rows)
        for begin in range(0, len(order), BATCH):
            indices = order[begin : begin + BATCH]
            logits = self.model(self.reader.batch([rows[i] for i in indices]))
            shares = logits.softmax(1).tolist()
            for i, number, share in zip(indices, logits.argmax(1).tolist(), shares, strict=True):
                answers[i] = self.labels[number], share
        return answers

    @torch.inference_mode()
    def predict_one(self, text: str) -> tuple[str, list[float]]:
        """Label and probabilities of a text."""
        logits = self.model(self.reader.batch([self.reader.read(text)]))
        return self.labels[int(logits.argmax(1))], logits.softmax(1)[0].tolist()

    @property
    def _limit(self) -> float:
        clip: Any = self.settings.hooks["clip"]
        return float(clip["norm"])
