"""How long outputs usually are, and what it costs to be longer or shorter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST_SPREAD = 0.1
"""So that a corpus whose lengths are all alike forbids no other."""
USUAL_SPREAD = 0.5
"""Of a ratio that was given where nothing was measured."""


@dataclass(frozen=True, kw_only=True)
class UsualLength:
    """log L is normal about intercept + slope * log S, with the standard deviation `spread`.

    L are the tokens of an output, S those of its source, both with their end. A slope of 1 is a
    constant ratio, e^intercept; of 0, outputs of one length whatever their source.
    """

    intercept: float
    slope: float
    spread: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.intercept, self.slope, self.spread))):
            raise ValueError(f"{self}: must be finite")
        if self.spread <= 0:
            raise ValueError(f"spread must be positive, not {self.spread}")

    @classmethod
    def measured(cls, sources: NDArray[np.int64], outputs: NDArray[np.int64]) -> UsualLength:
        """By least squares.

        Args:
            sources, outputs: int64 [N], S and L of pairs, at least 1 each; N at least 1.
        """
        x, y = np.log(sources), np.log(outputs)
        off = x - x.mean()
        varies = float(off @ off)
        # Of sources that are all alike nothing is learned about others: the ratio holds.
        slope = float(off @ y) / varies if varies > 1e-9 * len(x) else 1.0
        intercept = float(y.mean() - slope * x.mean())
        spread = float(np.std(y - intercept - slope * x))
        return cls(intercept=intercept, slope=slope, spread=max(spread, LEAST_SPREAD))

    @classmethod
    def of_ratio(cls, ratio: float, measured: UsualLength | None) -> UsualLength:
        """Outputs of `ratio` times their source, with the spread that was measured."""
        spread = USUAL_SPREAD if measured is None else measured.spread
        return cls(intercept=math.log(ratio), slope=1.0, spread=spread)

    def center(self, lengths: Tensor) -> Tensor:
        """The usual log L of sources of int64 lengths S, float64."""
        return self.intercept + self.slope * lengths.double().log()


@dataclass(frozen=True, kw_only=True)
class LengthPrior:
    """-weight * ((log L - its usual value) / spread)^2 / 2, added to the score of an output."""

    weight: float
    usual: UsualLength

    def of(self, lengths: Tensor, length: int) -> Tensor:
        """For outputs of L = `length` of sources of int64 lengths S, float64."""
        return self._at(math.log(length) - self.usual.center(lengths))

    def best(self, lengths: Tensor, least: int, most: Tensor) -> Tensor:
        """The greatest for any L from `least` to `most`, float64.

        Args:
            lengths: int64 [P], S of the sources.
            least: of all. most: int64 [P]; where it is less, only `least` counts.
        """
        center = self.usual.center(lengths)
        least_log = torch.full_like(center, math.log(least))
        nearest = torch.maximum(torch.minimum(center, most.double().log()), least_log)
        return self._at(nearest - center)

    def _at(self, off: Tensor) -> Tensor:
        return -0.5 * self.weight * (off / self.usual.spread).square()
