"""The pass over time of a linear recurrence: h_t = a_t * h_{t-1} + b_t, and its gradients.

It is a compiled kernel on the CPU, and where nothing can be compiled a loop in Python; on a GPU a
`Scanner`. None takes a logarithm or divides, so that no number of steps makes it unsafe.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from seqnlp.nn.engines import abi, build
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.transforms import must_follow, transforming

_DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
# Below this many numbers a second thread costs more than it does.
_WORTH_A_THREAD = 1 << 17


class Scanner(Protocol):
    """`scan` and its gradients on another device, on tensors of one type."""

    def forward(
        self, a: Tensor, b: Tensor, first: Tensor, padding: Padding | None, *, reverse: bool
    ) -> tuple[Tensor, Tensor]:
        """What `scan` gives."""

    def backward(
        self,
        a: Tensor,
        first: Tensor,
        h: Tensor,
        g: Tensor | None,
        g_last: Tensor | None,
        padding: Padding | None,
        *,
        reverse: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of a, b and first, from those of both results."""


def scan(
    a: Tensor,
    b: Tensor,
    first: Tensor,
    padding: Padding | None,
    *,
    reverse: bool,
    scanner: Scanner | None = None,
) -> tuple[Tensor, Tensor]:
    """Take h_t = a_t * h_{t-1} + b_t over every row.

    Args:
        a: [B, T, N], or [N] where it is the same at every step.
        b: [B, T, N].
        first: h before the first step, [B, N].
        padding: where the rows end; a and b may be anything there.
        reverse: read each row from its end.
        scanner: what computes it; None for the CPU's kernel or, without one, a loop.

    Returns:
        h after every step, [B, T, N], zero on padding; h after each row's last step, [B, N].
    """
    dtype = functools.reduce(torch.promote_types, (a.dtype, b.dtype, first.dtype))
    a, b, first = a.to(dtype), b.to(dtype), first.to(dtype)
    if a.dim() != 1:
        a = a.expand_as(b)
    if scanner is not None and exporting_to() is not None:
        return scanner.forward(a, b, first, padding, reverse=reverse)
    if transforming():
        return _loop(a, b, first, padding, reverse=reverse)
    if scanner is None and _kernels(b) is not None:
        # Copies that the function made itself would have no part in second derivatives.
        a, b, first = _rows(a), _rows(b), _rows(first)
    arguments = (a, b, first, padding, reverse, scanner)
    scanned: tuple[Tensor, Tensor] = _Scan.apply(*arguments)  # type: ignore[no-untyped-call]
    return scanned


class _Scan(torch.autograd.Function):
    """`scan`, and the gradients that it has.

    With d the gradient of h by all that follows: d_t = g_t + conj(a_{t+1}) d_{t+1}, db_t = d_t,
    da_t = d_t conj(h_{t-1}).
    """

    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        first: Tensor,
        padding: Padding | None,
        reverse: bool,
        scanner: Scanner | None,
    ) -> tuple[Tensor, Tensor]:
        kernels = _kernels(b)
        if scanner is not None:
            h, last = scanner.forward(a, b, first, padding, reverse=reverse)
        elif kernels is None:
            h, last = _loop(a, b, first, padding, reverse=reverse)
        else:
            h, last = torch.empty_like(b), torch.empty_like(first)
            arrays = {"a": a, "b": b, "h": h, "first": first, "last": last}
            _call(f"forward_{_name(b)}", kernels, b, padding, reverse, arrays)
        ctx.set_materialize_grads(False)
        ctx.padding, ctx.reverse, ctx.scanner = padding, reverse, scanner
        ctx.save_for_backward(a, first, h)
        return h, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        a, first, h = ctx.saved_tensors
        g, g_last = gradients
        kernels, scanner = _kernels(h), ctx.scanner
        followed = must_follow(g, g_last)
        if scanner is not None or kernels is None or followed:
            # In operations of torch where the gradients are to be differentiated again.
            kernel = scanner is not None and not followed
            found = (scanner.backward if kernel else _gradients)(
                a, first, h, g, g_last, ctx.padding, reverse=ctx.reverse
            )
            return *found, None, None, None
        g, g_last = None if g is None else _rows(g), None if g_last is None else _rows(g_last)
        da = torch.empty_like(h) if a.dim() > 1 else a.new_zeros(_threads(h), len(a))
        db, d_first = torch.empty_like(h), torch.empty_like(first)
        arrays = {
            "a": a, "h": h, "first": first, "g": g, "g_last": g_last,
            "da": da, "db": db, "d_first": d_first,
        }  # fmt: skip
        _call(f"backward_{_name(h)}", kernels, h, ctx.padding, ctx.reverse, arrays)
        return da if a.dim() > 1 else da.sum(0), db, d_first, None, None, None


def _loop(
    a: Tensor, b: Tensor, first: Tensor, padding: Padding | None, *, reverse: bool
) -> tuple[Tensor, Tensor]:
    """`scan` in operations of torch."""
    a = a.expand_as(b)
    if padding is not None:
        # Either direction passes over padding, before the row or behind it, with the state held.
        real = padding.mask.unsqueeze(2)
        a, b = torch.where(real, a, 1), torch.where(real, b, 0)
    states, last = [], first
    steps = list(zip(a.unbind(1), b.unbind(1), strict=True))
    for a_t, b_t in reversed(steps) if reverse else steps:
        last = torch.addcmul(b_t, a_t, last)
        states.append(last)
    h = torch.stack(states[::-1] if reverse else states, 1)
    return (h, last) if padding is None else (torch.where(real, h, 0), last)


def _gradients(
    a: Tensor,
    first: Tensor,
    h: Tensor,
    g: Tensor | None,
    g_last: Tensor | None,
    padding: Padding | None,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What `scan` passes on to a, b and first, from what comes to its two results."""
    batch_size, time = h.shape[:2]
    scales = a.expand_as(h).conj()
    g = torch.zeros_like(h) if g is None else g
    starts = torch.arange(time, device=h.device) == (time - 1 if reverse else 0)
    if padding is not None:
        real = padding.mask.unsqueeze(2)
        scales, g = torch.where(real, scales, 1), torch.where(real, g, 0)
        if reverse:
            starts = torch.arange(time, device=h.device) == padding.lengths.unsqueeze(1) - 1
    # Against the direction of reading.
    steps = range(time) if reverse else range(time - 1, -1, -1)
    scales_of, g_of, found = scales.unbind(1), g.unbind(1), {}
    d = torch.zeros_like(first) if g_last is None else g_last
    for t in steps:
        found[t] = g_of[t] + d
        d = scales_of[t] * found[t]
    db = torch.stack([found[t] for t in range(time)], 1)
    if padding is not None:
        db = torch.where(real, db, 0)
    before = torch.where(
        starts.expand(batch_size, time).unsqueeze(2),
        first.unsqueeze(1),
        h.roll(-1 if reverse else 1, 1),
    )
    da = db * before.conj()
    return da if a.dim() > 1 else da.sum((0, 1)), db, d


class _Array(ctypes.Structure):
    """`Array` of the kernel."""

    _fields_ = (
        ("base", ctypes.c_void_p),
        ("batch", ctypes.c_int64),
        ("time", ctypes.c_int64),
    )


_ARRAYS = ("a", "b", "h", "first", "last", "g", "g_last", "da", "db", "d_first")


class _Call(ctypes.Structure):
    """`Call` of the kernel."""

    _fields_ = (
        ("batch", ctypes.c_int64),
        ("time", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("reverse", ctypes.c_int64),
        ("threads", ctypes.c_int64),
        ("team", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        *((name, _Array) for name in _ARRAYS),
    )


def _call(
    function: str,
    kernels: ctypes.CDLL,
    like: Tensor,
    padding: Padding | None,
    reverse: bool,
    arrays: Mapping[str, Tensor | None],
) -> None:
    """Call the kernel on arrays of which `like` [B, T, N] tells the sizes."""
    lengths = None if padding is None else padding.lengths.contiguous()
    width = 2 if like.is_complex() else 1
    threads = _threads(like)
    call = _Call(
        *like.shape,
        reverse,
        threads,
        abi.team() if threads > 1 else None,
        None if lengths is None else lengths.data_ptr(),
    )
    for name, array in arrays.items():
        if array is not None:
            strides = [width * stride for stride in array.stride()[:-1]]
            setattr(call, name, _Array(array.data_ptr(), *strides))
    kernels[function](ctypes.byref(call))


def _rows(x: Tensor) -> Tensor:
    """X as the kernel reads it: the last axis without gaps, and no conjugation put off."""
    x = x.resolve_conj()
    return x if x.stride(-1) == 1 else x.contiguous()


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _threads(x: Tensor) -> int:
    return torch.get_num_threads() if x.numel() >= _WORTH_A_THREAD else 1


def _kernels(x: Tensor) -> ctypes.CDLL | None:
    """The compiled kernels, where they can run on numbers like x and can be had."""
    if x.device.type != "cpu" or x.dtype not in _DTYPES:
        return None
    return build.load(sources("linear.cpp"))
