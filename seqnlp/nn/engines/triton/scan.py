"""Linear recurrences on a GPU: see `seqnlp.nn.engines.scan.Scanner`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.triton.machine import on

_STEPS = 32
_COLUMNS = 32
"""Steps and features that an instance of the kernels does at once."""


def forward(
    a: Tensor, b: Tensor, first: Tensor, padding: Padding | None, *, reverse: bool
) -> tuple[Tensor, Tensor]:
    """The states after every step and the last ones."""
    from seqnlp.nn.engines.triton.kernels.scan import scan_forward

    numbers = torch.view_as_complex if b.is_complex() else torch.Tensor.contiguous
    a, b, first = _parts(a), _parts(b), _parts(first)
    h, last = torch.empty_like(b), torch.empty_like(first)
    _launch(scan_forward, (a, b, first, h, last), a, b, padding, reverse)
    return numbers(h), numbers(last)


def backward(
    a: Tensor,
    first: Tensor,
    h: Tensor,
    g: Tensor | None,
    g_last: Tensor | None,
    padding: Padding | None,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a, b and first, from those of the two results of `forward`."""
    from seqnlp.nn.engines.triton.kernels.scan import scan_backward

    numbers = torch.view_as_complex if h.is_complex() else torch.Tensor.contiguous
    g = _parts(torch.zeros_like(h) if g is None else g)
    g_last = _parts(torch.zeros_like(first) if g_last is None else g_last)
    constant = a.dim() == 1
    a, first, h = _parts(a), _parts(first), _parts(h)
    da = torch.empty_like(first if constant else h)
    db, d_first = torch.empty_like(h), torch.empty_like(first)
    arrays = (a, first, h, g, g_last, da, db, d_first)
    _launch(scan_backward, arrays, a, h, padding, reverse)
    return numbers(da.sum(0) if constant else da), numbers(db), numbers(d_first)


def _launch(
    kernel: Any,
    arrays: tuple[Tensor, ...],
    a: Tensor,
    like: Tensor,
    padding: Padding | None,
    reverse: bool,
) -> None:
    """Launch a kernel on the parts of numbers of which `like` [B, T, N(, 2)] tells the sizes."""
    parts = 2 if like.dim() == 4 else 1
    batch, time, width = like.shape[:3]
    columns = min(_COLUMNS, 1 << (width - 1).bit_length())
    with on(like.device):
        kernel[batch, -(-width // columns)](
            *arrays,
            None if padding is None else padding.lengths.contiguous(),
            time,
            width,
            CONSTANT=a.dim() == parts,
            REVERSE=reverse,
            PARTS=parts,
            STEPS=_STEPS,
            COLUMNS=columns,
            enable_fp_fusion=True,
        )


def _parts(x: Tensor) -> Tensor:
    """The tensor without gaps; a complex one as its real and imaginary parts [..., 2]."""
    return (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x).contiguous()
