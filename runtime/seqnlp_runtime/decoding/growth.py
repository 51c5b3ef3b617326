"""Hypotheses and the ways to add a token to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqnlp_runtime.decoding.arrays import NEVER, Bools, Doubles, Ints


@dataclass(frozen=True, kw_only=True)
class Grown:
    """Hypotheses longer by a token, best first: [B', M] each.

    totals: float64, their log-probabilities; -inf where there is none. tokens: int64, what was
    added. parents: int64, to which row of the group.
    """

    totals: Doubles
    tokens: Ints
    parents: Ints

    def take(self, places: Ints) -> Grown:
        """Those at `places`, int64 [B', W]."""
        return Grown(
            totals=np.take_along_axis(self.totals, places, 1),
            tokens=np.take_along_axis(self.tokens, places, 1),
            parents=np.take_along_axis(self.parents, places, 1),
        )

    def without(self, places: Bools) -> Grown:
        """None at `places`, bool [B', M]."""
        totals = np.where(places, NEVER, self.totals)
        return Grown(totals=totals, tokens=self.tokens, parents=self.parents)

    def raised(self, amounts: Doubles) -> Grown:
        """Log-probabilities higher by float64 [B', M], in the same order."""
        return Grown(totals=self.totals + amounts, tokens=self.tokens, parents=self.parents)

    @classmethod
    def interleaved(cls, groups: Sequence[Grown]) -> Grown:
        """Those of G groups of B' sources, [B' * G, M]."""
        size = groups[0].tokens.shape[1]
        return cls(
            totals=np.stack([group.totals for group in groups], 1).reshape(-1, size),
            tokens=np.stack([group.tokens for group in groups], 1).reshape(-1, size),
            parents=np.stack([group.parents for group in groups], 1).reshape(-1, size),
        )

    def padded(self, count: int) -> Grown:
        """`count` of each, with none where there are fewer."""
        missing = count - self.tokens.shape[1]
        if not missing:
            return self
        behind = ((0, 0), (0, missing))
        return Grown(
            totals=np.pad(self.totals, behind, constant_values=NEVER),
            tokens=np.pad(self.tokens, behind),
            parents=np.pad(self.parents, behind),
        )


def grow(values: Doubles, tokens: Ints, totals: Doubles, count: int) -> Grown:
    """The best `count` ways to add a token to the hypotheses of each source.

    Args:
        values: [B' * W, M], log-probabilities of the best tokens of each row.
        tokens: int64 [B' * W, M].
        totals: [B', W], log-probabilities of the hypotheses.
    """
    sources, each = len(totals), tokens.shape[1]
    marks = (values.reshape(sources, -1, each) + totals[:, :, None]).reshape(sources, -1)
    places = np.argsort(-marks, axis=1, kind="stable")[:, :count]
    return Grown(
        totals=np.take_along_axis(marks, places, 1),
        tokens=np.take_along_axis(tokens.reshape(sources, -1), places, 1),
        parents=places // each,
    ).padded(count)


def first_of(wanted: Bools, count: int) -> Ints:
    """Places of the first `count` wanted ones of each row, the unwanted after them."""
    found: Ints = np.argsort(~wanted, axis=1, kind="stable")[:, :count]
    return found
