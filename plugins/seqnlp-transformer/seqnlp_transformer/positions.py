"""Where a token stands: sinusoids that are added, or rotations of queries and keys."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Positions: TypeAlias = Literal["rotary", "sinusoidal"]
BASE = 10_000.0
"""The longest wave is this many times 2 pi positions."""


def angles(begin: int, count: int, size: int, like: Tensor) -> Tensor:
    """The angles of positions `begin` and on, float [count, ceil(size / 2)], in radians.

    Args:
        like: a tensor of the wanted device and type.
    """
    # In float32 or more: in half precision, neighbors far from the start would be one.
    kind = torch.promote_types(like.dtype, torch.float32)
    places = torch.arange(begin, begin + count, device=like.device, dtype=kind)
    waves = torch.arange(0, size, 2, device=like.device, dtype=kind)
    return places.unsqueeze(1) * torch.exp(waves * (-math.log(BASE) / size))


def sinusoids(begin: int, count: int, size: int, like: Tensor) -> Tensor:
    """Sines and cosines in turn, float [count, size], of any position: none is too far.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    """
    each = angles(begin, count, size, like)
    return torch.stack([each.sin(), each.cos()], dim=2).flatten(1)[:, :size].to(like.dtype)


def rotate(x: Tensor, begin: int) -> Tensor:
    """Turn pairs of features by angles that grow with the position; float [..., T, size].

    Products of a turned query and a turned key depend on how far apart they are, and on nothing
    else of where they stand.

    Source: Su et al. 2021, arXiv:2104.09864, equation 34, with halves in place of neighbors.

    Args:
        x: float [..., T, size], of an even size.
        begin: the position of the first.
    """
    each = angles(begin, x.shape[-2], x.shape[-1], x)
    sine, cosine = each.sin().to(x.dtype), each.cos().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
