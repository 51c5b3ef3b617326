"""What was found, put together from back pointers: no history is copied while the search runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
    weights: NDArray[np.float32] | None = None
    cut: int | None = None


@dataclass(frozen=True, kw_only=True)
class Ends:
    """F finished hypotheses.

    sources: int64 [F]. steps: int64 [F], at which of them the end came, from 0. rows: int64 [F],
    after which of their source's rows. scores, log_probabilities: float64 [F]. cuts: int64 [F],
    see `Rules.cut`.
    """

    sources: Tensor
    steps: Tensor
    rows: Tensor
    scores: Tensor
    log_probabilities: Tensor
    cuts: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Ends]) -> Ends:
        """All of them, one part after another."""
        return cls(
            **{
                name: torch.cat([getattr(part, name) for part in parts])
                for name in cls.__dataclass_fields__
            }
        )

    def best(self, count: int) -> Ends:
        """The best `count` of each source, sources ascending, best first."""
        order = self.scores.argsort(descending=True, stable=True)
        order = order[self.sources[order].argsort(stable=True)]
        sources = self.sources[order]
        rank = torch.arange(len(order), device=order.device)
        order = order[rank - torch.searchsorted(sources, sources) < count]
        return Ends(**{name: getattr(self, name)[order] for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class _Step:
    """The rows that a step began with, [B', R] for each of its sources, and their weights."""

    sources: Tensor
    tokens: Tensor
    parents: Tensor
    weights: Tensor | None


@dataclass
class Trace:
    """The steps of a search.

    lengths: int64 [B], of the sources. want_weights: whether attention is kept.
    """

    lengths: Tensor
    want_weights: bool
    _steps: list[_Step] = field(default_factory=list)

    def add(self, sources: Tensor, tokens: Tensor, parents: Tensor, weights: Tensor | None) -> None:
        """Write down a step.

        Args:
            sources: int64 [B'], ascending, which were there.
            tokens: int64 [B', R], the last of each row.
            parents: int64 [B', R], the row of the step before that it continues.
            weights: float [B' * R, S], of the attention in this step.
        """
        kept = weights if self.want_weights else None
        self._steps.append(_Step(sources=sources, tokens=tokens, parents=parents, weights=kept))

    def follow(self, ends: Ends, eos: int) -> list[Found]:
        """The hypotheses that ended so, by the token `eos`, in the same order."""
        if not len(ends.steps):
            return []
        count, longest = len(ends.steps), int(ends.steps.max())
        ids = ends.steps.new_zeros(count, longest)
        weights: Tensor | None = None
        rows = ends.rows.clone()
        for time in range(longest, -1, -1):
            step = self._steps[time]
            there = (ends.steps >= time).nonzero().squeeze(1)
            place = torch.searchsorted(step.sources, ends.sources[there])
            row = rows[there]
            if step.weights is not None:
                if weights is None:
                    weights = step.weights.new_zeros(count, longest + 1, step.weights.shape[1])
                weights[there, time] = step.weights[place * step.tokens.shape[1] + row]
            if time:
                ids[there, time - 1] = step.tokens[place, row]
            rows[there] = step.parents[place, row]
        sizes = ends.steps.tolist()
        scores, log_probabilities = ends.scores.tolist(), ends.log_probabilities.tolist()
        maps: list[NDArray[np.float32] | None] = [None] * count
        if weights is not None:
            array = weights.float().cpu().numpy()
            widths = self.lengths[ends.sources].tolist()
            maps = [array[i, : sizes[i] + 1, : widths[i]].copy() for i in range(count)]
        return [
            Found(
                ids=tuple(row[:size]),
                score=score,
                log_probability=log_probability,
                weights=own,
                cut=None if cut == eos else cut,
            )
            for row, size, score, log_probability, own, cut in zip(
                ids.tolist(),
                sizes,
                scores,
                log_probabilities,
                maps,
                ends.cuts.tolist(),
                strict=True,
            )
        ]
