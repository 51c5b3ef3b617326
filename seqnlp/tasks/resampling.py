"""The bootstrap over examples (Efron 1979), of figures that are functions of sums over examples."""

from __future__ import annotations

import numpy as np

from seqnlp.tasks.metrics import Floats

RESAMPLES, SEED = 1000, 12345
"""sacrebleu's."""
_BLOCK = 2_000_000
"""Indices that are drawn at once: what bounds memory on large test sets."""


def resampled(statistics: Floats) -> Floats:
    """Sums float [RESAMPLES, F] over N examples drawn with replacement from float [N, F].

    The draws depend on N alone: systems that answered the same examples are resampled as pairs.
    They are those of sacrebleu.
    """
    size = len(statistics)
    generator = np.random.default_rng(SEED)
    sums = np.empty((RESAMPLES, statistics.shape[1]))
    step = max(1, _BLOCK // size)
    for begin in range(0, RESAMPLES, step):
        block = sums[begin : begin + step]
        drawn = generator.integers(0, size, (len(block), size))
        drawn += size * np.arange(len(block))[:, None]
        times = np.bincount(drawn.reshape(-1), minlength=drawn.size).reshape(drawn.shape)
        np.matmul(times.astype(np.float64), statistics, out=block)
    return sums


def bounds(values: Floats) -> dict[str, float]:
    """`low` and `high` of the 95 % interval, as sacrebleu takes them from the sorted values."""
    ordered = np.sort(values)
    outside = len(ordered) // 40
    return {"low": float(ordered[outside]), "high": float(ordered[-1 - outside])}
