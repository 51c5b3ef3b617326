"""What was found, put together from back pointers: no history is copied while the search runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from seqnlp_runtime.decoding.arrays import Doubles, Floats, Ints


@dataclass(frozen=True, kw_only=True)
class Found:
    """An output.

    ids: without the tokens that begin and end it. score: what ranked it. log_probability: of ids
    and their end, in nats, by the model; what a search ruled out is not taken out of it.
    weights: float32 [len(ids) + 1, S], the attention of each token and of the end, if asked for.
    cut: where the greatest length ended it, what the model would have gone on with.
    """

    ids: tuple[int, ...]
    score: float
    log_probability: float
    weights: Floats | None = None
    cut: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ends:
    """F finished hypotheses, [F] each.

    sources: int64. steps: int64, at which of them the end came, from 0. rows: int64, after which
    of their source's rows. scores, log_probabilities: float64. cuts: int64, see `Rules.cut`.
    """

    sources: Ints
    steps: Ints
    rows: Ints
    scores: Doubles
    log_probabilities: Doubles
    cuts: Ints

    @classmethod
    def joined(cls, parts: Sequence[Ends]) -> Ends:
        """All of them, one part after another."""
        names = (each.name for each in fields(cls))
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts])
                      for name in names})  # fmt: skip

    def best(self, count: int) -> Ends:
        """The best `count` of each source, sources ascending, best first."""
        order = np.lexsort((-self.scores, self.sources))
        sources = self.sources[order]
        order = order[np.arange(len(order)) - np.searchsorted(sources, sources) < count]
        return Ends(**{each.name: getattr(self, each.name)[order] for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The rows that a step began with, [B', R] for each of its sources, and their weights."""

    sources: Ints
    tokens: Ints
    parents: Ints
    weights: Floats | None


@dataclass
class Trace:
    """The steps of a search.

    lengths: int64 [B], of the sources. want_weights: whether attention is kept.
    """

    lengths: Ints
    want_weights: bool
    _steps: list[_Step] = field(default_factory=list)

    def add(self, sources: Ints, tokens: Ints, parents: Ints, weights: Floats | None) -> None:
        """Write down a step.

        Args:
            sources: int64 [B'], ascending, which were there.
            tokens: int64 [B', R], the last of each row.
            parents: int64 [B', R], the row of the step before that it continues.
            weights: float32 [B' * R, S], of the attention in this step.
        """
        kept = weights if self.want_weights else None
        self._steps.append(_Step(sources=sources, tokens=tokens, parents=parents, weights=kept))

    def follow(self, ends: Ends, eos: int) -> list[Found]:
        """The hypotheses that ended so, by the token `eos`, in the same order."""
        if not len(ends.steps):
            return []
        count, longest = len(ends.steps), int(ends.steps.max())
        ids = np.zeros((count, longest), dtype=np.int64)
        weights: Floats | None = None
        rows = ends.rows.copy()
        for time in range(longest, -1, -1):
            step = self._steps[time]
            there = np.flatnonzero(ends.steps >= time)
            place = np.searchsorted(step.sources, ends.sources[there])
            row = rows[there]
            if step.weights is not None:
                if weights is None:
                    shape = count, longest + 1, step.weights.shape[1]
                    weights = np.zeros(shape, dtype=np.float32)
                weights[there, time] = step.weights[place * step.tokens.shape[1] + row]
            if time:
                ids[there, time - 1] = step.tokens[place, row]
            rows[there] = step.parents[place, row]
        return [
            Found(
                ids=tuple(ids[i, :size].tolist()),
                score=float(ends.scores[i]),
                log_probability=float(ends.log_probabilities[i]),
                weights=None
                if weights is None
                else weights[i, : size + 1, : self.lengths[ends.sources[i]]].copy(),
                cut=None if ends.cuts[i] == eos else int(ends.cuts[i]),
            )
            for i, size in enumerate(ends.steps.tolist())
        ]
