"""Batches of texts of like length, so that little of a batch is padding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqnlp.errors import InputError

Ints = NDArray[np.int64]

JITTER = 0.1
"""Lengths are compared as if each were up to this share longer: texts of nearly equal length meet
in other batches every epoch."""


class LengthBuckets:
    """Cuts rows into batches; the same batches for the same seed and epoch, each row once.

    With `shuffle`, rows are drawn in random order into pools of `pool` batches, sorted by length
    within each, cut, and the batches drawn in random order. Without, rows are sorted by length,
    the longest first (a batch too large for the memory fails at once, not at the end); the caller
    puts the results back in order.

    Args:
        lengths: int [R], tokens of each row; 0 counts as 1. Of rows with several sides int [R, C]:
            they are sorted by the first side, those of equal length by the next.
        batch_size: the most rows a batch.
        batch_tokens: the most tokens a batch, padding and all sides counted; a longer row is a
            batch by itself.
        shuffle: whether to draw anew every epoch.
        seed: of the draws.
        pool: batches a pool; larger pads less, smaller mixes better. None is 50, or 100 where
            rows have several sides, which takes more of them to agree in all.
    """

    def __init__(
        self,
        lengths: ArrayLike,
        *,
        batch_size: int,
        batch_tokens: int | None = None,
        shuffle: bool,
        seed: int = 0,
        pool: int | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens),
                            ("pool", pool)):  # fmt: skip
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        self.lengths: Ints = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
        if self.lengths.ndim == 1:
            self.lengths = self.lengths[:, None]
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.shuffle, self.seed = shuffle, seed
        self.pool = pool or (50 if self.lengths.shape[1] == 1 else 100)

    def batches(self, epoch: int = 0) -> list[Ints]:
        """The rows of every batch of an epoch, in the order of the batches; int64 [B] each."""
        if not len(self.lengths):
            return []
        if not self.shuffle:
            order: Ints = np.lexsort(-self.lengths.T[::-1])
            return self._cut(order)
        random = np.random.default_rng([self.seed, epoch])
        order = random.permutation(len(self.lengths))
        size = self._pool_size()
        order = order[np.lexsort((*self._keys(order, random), np.arange(len(order)) // size))]
        batches = [
            batch
            for begin in range(0, len(order), size)
            for batch in self._cut(order[begin : begin + size])
        ]
        return [batches[i] for i in random.permutation(len(batches))]

    def _keys(self, order: Ints, random: np.random.Generator) -> list[NDArray[Any]]:
        """What rows are sorted by, the weightiest last."""
        if self.lengths.shape[1] == 1:
            return [self.lengths[order, 0] * (1 + JITTER * random.random(len(order)))]
        return list(self.lengths[order].T[::-1])

    def _pool_size(self) -> int:
        """Rows a pool; whole batches where their size is fixed."""
        rows = self.batch_size
        if self.batch_tokens is not None:
            rows = min(rows, max(1, int(self.batch_tokens / self.lengths.sum(1).mean())))
        return self.pool * rows

    def _cut(self, order: Ints) -> list[Ints]:
        if self.batch_tokens is None:
            return [
                order[begin : begin + self.batch_size]
                for begin in range(0, len(order), self.batch_size)
            ]
        lengths = self.lengths[order]
        batches = []
        begin = 0
        while begin < len(order):
            most = min(self.batch_size, max(1, self.batch_tokens // int(lengths[begin].sum())))
            widths = np.maximum.accumulate(lengths[begin : begin + most]).sum(1)
            # Padded sizes grow with every row, so the last that fits is found by bisection.
            padded = widths * np.arange(1, len(widths) + 1)
            size = max(1, int(np.searchsorted(padded, self.batch_tokens, side="right")))
            batches.append(order[begin : begin + size])
            begin += size
        return batches
