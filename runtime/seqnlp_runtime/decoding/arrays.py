"""Names of array types, and the greatest of many columns."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

T = TypeVar("T", bound=np.generic)

NEVER = float("-inf")
FLOOR = -1e4
"""Log-probability of what is forced on a model that rules it out."""

_WIDTH = 64  # columns of a block


def top(values: Floats, count: int) -> tuple[Floats, Ints]:
    """The `count` greatest of each row, greatest first: (values, columns), each [N, count].

    Of many columns they lie in the `count` blocks of the greatest maxima, which are found at the
    speed of memory.

    Args:
        values: float [N, V].
        count: at most V.
    """
    rows, size = values.shape
    blocks = size // _WIDTH
    if count == 1:
        columns = values.argmax(1)[:, None]
    elif blocks < 4 * count:
        columns = _greatest(values, count)
    else:
        body = values[:, : blocks * _WIDTH].reshape(rows, blocks, _WIDTH)
        first = _greatest(body.max(2), count)
        near = np.take_along_axis(body, first[:, :, None], 1).reshape(rows, -1)
        rest = values[:, blocks * _WIDTH :]
        picked = _greatest(np.concatenate([near, rest], 1), count)
        block = np.take_along_axis(first, np.minimum(picked // _WIDTH, count - 1), 1)
        outside = picked + (blocks - count) * _WIDTH
        columns = np.where(picked < near.shape[1], block * _WIDTH + picked % _WIDTH, outside)
    return np.take_along_axis(values, columns, 1), columns


def _greatest(values: Floats, count: int) -> Ints:
    """Their columns, greatest first."""
    size = values.shape[1]
    if count < size:
        columns = np.argpartition(values, size - count, axis=1)[:, size - count :]
    else:
        columns = np.broadcast_to(np.arange(size), values.shape)
    order = np.argsort(-np.take_along_axis(values, columns, 1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, 1)


def repeat(values: NDArray[T], count: int) -> NDArray[T]:
    """Each value so many times in a row."""
    return values if count == 1 else np.repeat(values, count)


def padded(sequences: list[list[int]]) -> Ints:
    """Int64 [B, T], -1 after the end of each."""
    table = np.full((len(sequences), max(map(len, sequences), default=0)), -1, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        table[row, : len(sequence)] = sequence
    return table
