"""The greatest of many columns, row by row, several times faster than a plain `topk`."""

from __future__ import annotations

import torch
from torch import Tensor

WIDTH = 64  # columns of a block


def top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest of each row, greatest first: (values, columns), each [N, count].

    They lie in the `count` blocks of the greatest maxima. Maxima run at the speed of memory, where
    sorting does not; so only those blocks are sorted.

    Args:
        values: float [N, V].
        count: at most V.
    """
    rows, size = values.shape
    blocks = size // WIDTH
    if blocks < 4 * count:
        found = values.topk(count, 1)
        return found.values, found.indices
    maxima = values[:, : blocks * WIDTH].view(rows, blocks, WIDTH).amax(2)
    first = maxima.topk(count, 1, sorted=False).indices * WIDTH
    columns = (first.unsqueeze(2) + torch.arange(WIDTH, device=values.device)).flatten(1)
    rest = torch.arange(blocks * WIDTH, size, device=values.device).expand(rows, -1)
    columns = torch.cat([columns, rest], 1)
    found = values.gather(1, columns).topk(count, 1)
    return found.values, columns.gather(1, found.indices)
