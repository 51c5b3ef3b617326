"""Dropout from a seed alone: drawn sixteen elements at a time, and drawn again for backward.

torch draws one number after another on a CPU, which can take a tenth of a training step.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import pointer, team
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.transforms import must_follow, transforming

_ELEMENTS_A_THREAD = 1 << 18


def dropout(x: Tensor, rate: float) -> Tensor:
    """Zero each element with the probability `rate`, in [0, 1), and rescale the rest.

    What is drawn depends on the state of torch's generator and on the shape, not on threads.
    """
    if x.device.type != "cpu" or transforming():
        return F.dropout(x, rate)
    if _load(x) is None:
        return x * _draw_words(x, rate)
    # Engines hand out [B, T, D] whose memory is [T, B, D]: as good an order as any other.
    turned = x.dim() == 3 and not x.is_contiguous() and x.transpose(0, 1).is_contiguous()
    rows = x.transpose(0, 1) if turned else x.contiguous()
    y: Tensor = _Dropout.apply(rows, rate, _draw_seed())  # type: ignore[no-untyped-call]
    return y.transpose(0, 1) if turned else y


def _draw_words(x: Tensor, rate: float) -> Tensor:
    """A mask by torch in a quarter of its time: 16 random bits an element, the rate rounded so."""
    # Four draws a call of the generator, which is most of the time that dropout takes.
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    draws = words.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = min(round(rate * 2**16), 2**16 - 1)
    return (draws >= dropped - 2**15).to(x.dtype).mul_(2**16 / (2**16 - dropped))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float, seed: int) -> Tensor:
        ctx.rate, ctx.seed = rate, seed
        return _drop(x, rate, seed)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        g = gradients[0].contiguous()
        if must_follow(g):
            ones = torch.ones(g.shape, dtype=g.dtype)
            return g * _drop(ones, ctx.rate, ctx.seed), None, None
        return _drop(g, ctx.rate, ctx.seed), None, None


def _drop(x: Tensor, rate: float, seed: int) -> Tensor:
    library = _load(x)
    assert library is not None
    y = torch.empty_like(x)
    _run(library, x, y, rate, seed)
    return y


_SIZES = (("count", ctypes.c_int64), ("threads", ctypes.c_int64), ("team", ctypes.c_void_p))
_DRAWS = (("seed", ctypes.c_uint64), ("dropped", ctypes.c_uint64))
_ARRAYS = (("x", ctypes.c_void_p), ("y", ctypes.c_void_p))


class _Single(ctypes.Structure):
    """`Call` of dropout.cpp."""

    _fields_ = (*_SIZES, *_DRAWS, ("scale", ctypes.c_float), *_ARRAYS)


class _Double(ctypes.Structure):
    """The same in double precision."""

    _fields_ = (*_SIZES, *_DRAWS, ("scale", ctypes.c_double), *_ARRAYS)


def _run(library: ctypes.CDLL, x: Tensor | None, y: Tensor, rate: float, seed: int) -> None:
    threads = max(1, min(torch.get_num_threads(), y.numel() // _ELEMENTS_A_THREAD))
    kind = _Single if y.dtype == torch.float32 else _Double
    call = kind(
        count=y.numel(),
        threads=threads,
        team=team() if threads > 1 else None,
        seed=seed,
        dropped=min(round(rate * 2**32), 2**32 - 1),
        scale=1 / (1 - rate),
        x=pointer(x),
        y=pointer(y),
    )
    if library.run_dropout(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for dropout")


def _draw_seed() -> int:
    """The next number of torch's generator, so that runs repeat."""
    return int(torch.empty((), dtype=torch.int64).random_())


def _load(x: Tensor) -> ctypes.CDLL | None:
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return None
    return build.load(sources("dropout.cpp", x.dtype))
