"""How long outputs usually are, what it costs to be longer or shorter, and how long they may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from seqnlp_runtime.decoding.arrays import Doubles, Ints

USUAL_SPREAD = 0.5
"""Of a ratio that was given where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class UsualLength:
    """log L is normal about intercept + slope * log S, with the standard deviation `spread`.

    L are the tokens of an output, S those of its source, both with their end.
    """

    intercept: float
    slope: float
    spread: float

    def center(self, lengths: Ints) -> Doubles:
        """The usual log L of sources of int64 lengths S."""
        found: Doubles = self.intercept + self.slope * np.log(lengths.astype(np.float64))
        return found


@dataclass(frozen=True, kw_only=True)
class LengthPrior:
    """-weight * ((log L - its usual value) / spread)^2 / 2, added to the score of an output."""

    weight: float
    usual: UsualLength

    def of(self, lengths: Ints, length: int) -> Doubles:
        """For outputs of L = `length` of sources of int64 lengths S."""
        return self._at(math.log(length) - self.usual.center(lengths))

    def best(self, lengths: Ints, least: int, most: Ints) -> Doubles:
        """The greatest for any L from `least` to `most` of each; where that is less, of `least`."""
        center = self.usual.center(lengths)
        nearest = np.minimum(center, np.log(most.astype(np.float64)))
        return self._at(np.maximum(nearest, math.log(least)) - center)

    def _at(self, off: Doubles) -> Doubles:
        found: Doubles = -0.5 * self.weight * (off / self.usual.spread) ** 2
        return found


def limits(
    lengths: Ints, *, ratio: float, extra: int, least: int, most: int | None, forced: list[int]
) -> Ints:
    """The greatest length of the outputs of each source, int64 [B].

    Args:
        lengths: int64 [B], of the sources.
        ratio, extra: of ratio * length + extra.
        least: no limit is under it.
        most: none is over it.
        forced: tokens that each output must have in any case; no limit is under them.
    """
    found = np.floor(lengths * ratio).astype(np.int64) + extra
    found = np.maximum(np.clip(found, 1, most), least)
    longest: Ints = np.maximum(found, np.array(forced, dtype=np.int64))
    return longest
