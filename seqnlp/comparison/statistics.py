"""Intervals and tests over seeds, and what becomes of p-values where there are several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.metrics import Floats, Interval

EXACT = 16
"""The most differences whose signs are tried in all ways."""
DRAWS, SEED = 100_000, 0
"""Of the signs of more."""


def t_interval(values: Sequence[float]) -> Interval:
    """The mean of N values with its 95 % interval, by Student's t with N - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two values, which say nothing of their spread.
    """
    from scipy.special import stdtrit

    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        raise ValueError(f"{len(found)} values have no interval: expected at least two")
    mean = float(found.mean())
    margin = float(stdtrit(len(found) - 1, 0.975) * found.std(ddof=1) / np.sqrt(len(found)))
    return Interval(value=mean, low=mean - margin, high=mean + margin)


def permutation_test(differences: Sequence[float]) -> float:
    """How probable so large a mean of paired differences is, of either sign, if there is none.

    Without a difference, each pair could as well stand the other way round. All 2^N ways are
    tried, or of more than `EXACT` pairs `DRAWS` random ones beside that which was found. N pairs
    give no p-value below `smallest_p(N)`.

    Source: Fisher 1935, "The Design of Experiments", section 21; Phipson and Smyth 2010, equation
    2, for random permutations.
    """
    found = np.asarray(differences, dtype=np.float64)
    count = len(found)
    if count <= EXACT:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return float(_as_large(found, np.where(bits, 1.0, -1.0)).mean())
    generator = np.random.default_rng(SEED)
    larger = 0
    for size in np.diff(np.linspace(0, DRAWS, 11).astype(int)):
        signs = np.where(generator.integers(0, 2, (size, count), dtype=np.int8), 1.0, -1.0)
        larger += int(_as_large(found, signs).sum())
    return (larger + 1) / (DRAWS + 1)


def _as_large(found: Floats, signs: Floats) -> NDArray[np.bool_]:
    """Of signs [R, N], which rows give the differences [N] a sum as large as theirs."""
    # Sums of the same numbers in another order differ in their last bits.
    slack = 1e-12 * np.abs(found).sum()
    large: NDArray[np.bool_] = np.abs(signs @ found) >= abs(found.sum()) - slack
    return large


def smallest_p(pairs: int) -> float:
    """The least p-value that `permutation_test` can give of so many pairs."""
    return 2.0 ** (1 - pairs) if pairs <= EXACT else 1 / (DRAWS + 1)


def pairs_needed(level: float) -> int:
    """How many pairs `permutation_test` needs at the least to come below a level."""
    return next(pairs for pairs in range(1, EXACT + 1) if smallest_p(pairs) < level)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that, at any level, one of all is wrong with that probability at most.

    Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
