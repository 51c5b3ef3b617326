"""Hypotheses and the ways to add a token to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqnlp.tasks.decoding.rules import NEVER
from seqnlp.tasks.decoding.top import top


@dataclass(frozen=True, kw_only=True)
class Grown:
    """Hypotheses longer by a token, best first: [B', M] each.

    totals: float64, their log-probabilities; -inf where there is none. tokens: int64, what was
    added. parents: int64, to which row of the group.
    """

    totals: Tensor
    tokens: Tensor
    parents: Tensor

    def take(self, places: Tensor) -> Grown:
        """Those at `places`, int64 [B', W]."""
        return Grown(
            totals=self.totals.gather(1, places),
            tokens=self.tokens.gather(1, places),
            parents=self.parents.gather(1, places),
        )

    def without(self, places: Tensor) -> Grown:
        """None at `places`, bool [B', M]."""
        totals = self.totals.masked_fill(places, NEVER)
        return Grown(totals=totals, tokens=self.tokens, parents=self.parents)

    @classmethod
    def interleaved(cls, groups: Sequence[Grown]) -> Grown:
        """Those of G groups of B' sources, [B' * G, M]."""
        return cls(
            totals=torch.stack([group.totals for group in groups], 1).flatten(0, 1),
            tokens=torch.stack([group.tokens for group in groups], 1).flatten(0, 1),
            parents=torch.stack([group.parents for group in groups], 1).flatten(0, 1),
        )

    def padded(self, count: int) -> Grown:
        """`count` of each, with none where there are fewer."""
        missing = (0, count - self.tokens.shape[1])
        return Grown(
            totals=pad(self.totals, missing, value=NEVER),
            tokens=pad(self.tokens, missing),
            parents=pad(self.parents, missing),
        )


def grow(scores: Tensor, totals: Tensor, count: int, keys: Tensor | None = None) -> Grown:
    """The best `count` ways to add a token to the hypotheses of each source.

    The best of each row come first, then the best of those, so that little is sorted.

    Args:
        scores: float [B', W, V], log-probabilities of the tokens.
        totals: float64 [B', W], log-probabilities of the hypotheses.
        keys: [B', W, V], what chooses in the place of `scores`.
    """
    sources, width, size = scores.shape
    each = min(count, size)
    values, tokens = top((scores if keys is None else keys).reshape(-1, size), each)
    marks = values.view(sources, width, each) + totals.unsqueeze(2)
    tokens = tokens.view(sources, width * each)
    found = marks.flatten(1).topk(min(count, width * each), 1)
    parents = found.indices.div(each, rounding_mode="floor")
    tokens = tokens.gather(1, found.indices)
    sums = found.values
    if keys is not None:
        sums = scores.flatten(1).gather(1, parents * size + tokens) + totals.gather(1, parents)
    return Grown(totals=sums, tokens=tokens, parents=parents).padded(count)


def first_of(wanted: Tensor, count: int) -> Tensor:
    """Places of the first `count` wanted ones of each row, the unwanted after them."""
    return (~wanted).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
