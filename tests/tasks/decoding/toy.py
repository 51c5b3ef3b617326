"""A model whose next token depends on all tokens before it, and every output that it can give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.tasks.decoding import (
    Decoding,
    Found,
    Stepper,
    StepScores,
    UsualLength,
    WordMarks,
    search,
)

BOS, EOS = 0, 1


def _numbers(states: Tensor, count: int, salt: int) -> Tensor:
    """Float64 [N, count] in [-1, 1), scattered."""
    words = (
        states.unsqueeze(1) * 1_000_003 + torch.arange(count, device=states.device) * 7919 + salt
    )
    for _ in range(3):
        words = (words * 6364136223846793005 + 1442695040888963407) ^ (words >> 29)
    return ((words >> 11) & 0xFFFFFFFF).double() / 2**31 - 1


class Toy(Stepper):
    """Random distributions, keyed by the source's own number and the whole history.

    A state is a hash of both; so batches cannot change what it says, and any mistake in the order
    of rows changes everything.
    """

    def __init__(
        self,
        keys: Sequence[int],
        lengths: Sequence[int],
        *,
        size: int = 6,
        scale: float = 2.0,
        end: float = 0.0,
        attention: bool = True,
        device: str = "cpu",
    ) -> None:
        self.vocabulary_size, self.sources = size, len(keys)
        self.scale, self.end, self.attention = scale, end, attention
        self.lengths = torch.tensor(lengths, device=device)
        self.states = torch.tensor(keys, device=device) * 104_729
        self.width = max(lengths, default=0)
        self.rows_read: list[int] = []

    def step(self, ids: Tensor) -> StepScores:
        assert ids.dtype == torch.long
        assert ids.shape == self.states.shape
        assert ids.min() >= 0
        assert ids.max() < self.vocabulary_size
        self.rows_read.append(len(ids))
        self.states = (self.states * 31 + ids + 17) * 48271 % (2**45)
        logits = _numbers(self.states, self.vocabulary_size, 1) * self.scale
        logits[:, EOS] += self.end
        weights = None
        if self.attention:
            raw = _numbers(self.states, self.width, 2) * 3
            lengths = self.lengths.repeat_interleave(len(ids) // self.sources)
            padding = torch.arange(self.width, device=ids.device) >= lengths.unsqueeze(1)
            weights = torch.softmax(raw.masked_fill(padding, -math.inf), 1)
        return StepScores(logits=logits, weights=weights)

    def select(self, rows: Tensor) -> None:
        assert len(rows) % self.sources == 0
        before, after = len(self.states) // self.sources, len(rows) // self.sources
        own = torch.arange(self.sources, device=rows.device).repeat_interleave(after)
        assert (rows // before == own).all(), "a row left its source"
        self.states = self.states[rows]

    def keep(self, sources: Tensor) -> None:
        assert (sources.diff() > 0).all()
        assert 0 < len(sources) < self.sources
        self.states = self.states.view(self.sources, -1)[sources].flatten()
        self.lengths = self.lengths[sources]
        self.sources = len(sources)


@dataclass(frozen=True, kw_only=True)
class World:
    """Sources of a toy model, and how it is searched."""

    keys: tuple[int, ...]
    lengths: tuple[int, ...]
    size: int = 6
    scale: float = 2.0
    end: float = 0.0

    def toy(self, only: int | None = None) -> Toy:
        keys, lengths = self.keys, self.lengths
        if only is not None:
            keys, lengths = (keys[only],), (lengths[only],)
        return Toy(keys, lengths, size=self.size, scale=self.scale, end=self.end)

    def find(
        self,
        options: Decoding,
        *,
        only: int | None = None,
        prefixes: Sequence[Sequence[int]] | None = None,
        constraints: Sequence[Sequence[Sequence[int]]] | None = None,
        forbidden: Sequence[int] = (BOS,),
        want_weights: bool = False,
        words: WordMarks | None = None,
        usual_length: UsualLength | None = None,
    ) -> list[list[Found]]:
        """What the search gives, of all sources or of one alone."""
        own = slice(None) if only is None else slice(only, only + 1)
        return search(
            self.toy(only),
            options,
            bos=BOS,
            eos=EOS,
            source_lengths=torch.tensor(self.lengths[own]),
            forbidden=forbidden,
            prefixes=prefixes and prefixes[own],
            constraints=constraints and constraints[own],
            numbers=range(len(self.keys))[own],
            want_weights=want_weights,
            words=words,
            usual_length=usual_length,
        )

    @cache  # noqa: B019 - worlds are few and small
    def read(
        self, source: int, ids: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log-probabilities [len(ids) + 1, V] and weights [len(ids) + 1, S] along an output."""
        toy = self.toy(source)
        rows, weights = [], []
        for token in (BOS, *ids):
            scores = toy.step(torch.tensor([token]))
            rows.append(scores.log_probabilities()[0].numpy())
            assert scores.weights is not None
            weights.append(scores.weights[0].numpy())
        return np.stack(rows), np.stack(weights)

    def everything(
        self, source: int, limit: int, options: Decoding
    ) -> dict[tuple[int, ...], float]:
        """All sequences of at most `limit` tokens, with their scores."""
        toy, outputs = self.toy(source), [()]
        totals, coverage = np.zeros(1), np.zeros(())
        scores: dict[tuple[int, ...], float] = {}
        for length in range(limit + 1):
            step = toy.step(torch.tensor([(BOS, *ids)[-1] for ids in outputs]))
            gained = step.log_probabilities().numpy()
            assert step.weights is not None
            coverage = coverage + step.weights.numpy()
            marks = score(totals + gained[:, EOS], length + 1, coverage, options)
            scores.update(zip(outputs, marks.tolist(), strict=True))
            tokens = range(2, self.size)
            rows = np.repeat(np.arange(len(outputs)), len(tokens))
            outputs = [(*ids, token) for ids in outputs for token in tokens]
            totals = (totals[:, None] + gained[:, 2:]).reshape(-1)
            coverage = coverage[rows]
            toy.select(torch.from_numpy(rows))
        return scores

    def check(self, source: int, found: Found, options: Decoding) -> None:
        """Its figures are those of its ids."""
        rows, weights = self.read(source, found.ids)
        total = sum(row[token] for row, token in zip(rows, (*found.ids, EOS), strict=True))
        assert found.log_probability == pytest.approx(total, rel=1e-9)
        expected = score(total, len(rows), weights.sum(0), options)
        assert found.score == pytest.approx(expected, rel=1e-9)
        if found.weights is not None:
            assert found.weights.dtype == np.float32
            np.testing.assert_allclose(found.weights, weights, rtol=1e-6)

    def limit(self, source: int, options: Decoding) -> int:
        """The greatest length of the outputs of a source."""
        limit = math.floor(options.max_ratio * self.lengths[source]) + options.max_extra
        return max(min(limit, options.max_length or limit), options.min_length, 1)


def score(
    total: float | NDArray[np.float64],
    length: int,
    coverage: NDArray[np.float64],
    options: Decoding,
) -> Any:
    """Equation 14 of Wu et al., written down again."""
    penalty = (5 + length) ** options.length_penalty / 6**options.length_penalty
    covered = np.log(np.minimum(coverage, 1.0)).sum(-1)
    return total / penalty + options.coverage_penalty * covered


def contains(ids: Sequence[int], phrase: Sequence[int]) -> bool:
    """Whether the phrase occurs as a run."""
    size = len(phrase)
    return any(tuple(ids[i : i + size]) == tuple(phrase) for i in range(len(ids) - size + 1))


def repeats(ids: Sequence[int], size: int) -> bool:
    """Whether an n-gram of this size occurs twice."""
    grams = [tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)]
    return len(set(grams)) < len(grams)
