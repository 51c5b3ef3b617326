"""Products of many rows with a weight by the engine's own kernel.

Torch's may leave half of a processor unused where the library behind it does not know that kind.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import pointer, team
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.transforms import must_follow, transforming

# A product must be so large that it is worth a call, and a thread of its own.
_NUMBERS = 1 << 16
_NUMBERS_A_THREAD = 1 << 21


class OwnProducts(TorchFunctionMode):
    """In this block `torch.nn.functional.linear`, and with it `nn.Linear`, is `affine`."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """See the class."""
        return (affine if func is F.linear else func)(*args, **(kwargs or {}))


def affine(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `torch.nn.functional.linear` computes, of [..., I], [O, I] and [O]."""
    tensors = [input, weight] if bias is None else [input, weight, bias]
    known = input.device.type == "cpu" and input.dtype in (torch.float32, torch.float64)
    # Sizes are looked at last: where a program is recorded they may be any.
    if (
        not known
        or transforming()
        or weight.dim() != 2
        or input.numel() * len(weight) < _NUMBERS
        or any(t.dtype != input.dtype or t.device != input.device for t in tensors)
        or torch.is_autocast_enabled("cpu")
        or (library := build.load(sources("affine.cpp", input.dtype))) is None
    ):
        return F.linear(input, weight, bias)
    # Copies that the function made itself would have no part in second derivatives.
    rows, weight = input.reshape(-1, input.shape[-1]).contiguous(), weight.contiguous()
    y: Tensor = _Affine.apply(rows, weight, bias, library)  # type: ignore[no-untyped-call]
    return y.view(*input.shape[:-1], len(weight))


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, library: ctypes.CDLL
    ) -> Tensor:
        y = x.new_empty(len(x), len(weight))
        bias = None if bias is None else bias.contiguous()
        _run(library.run_forward, x, weight, bias=bias, y=y)
        ctx.library = library
        ctx.save_for_backward(x, weight)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (g,) = gradients
        wants_x, wants_weight, wants_bias, _ = ctx.needs_input_grad
        if must_follow(g):
            d_x = g @ weight if wants_x else None
            d_weight = g.t() @ x if wants_weight else None
            return d_x, d_weight, g.sum(0) if wants_bias else None, None
        d_x = torch.empty_like(x) if wants_x else None
        d_weight = torch.empty_like(weight) if wants_weight else None
        d_bias = weight.new_empty(len(weight)) if wants_bias else None
        found = {"d_x": d_x, "d_weight": d_weight, "d_bias": d_bias}
        _run(ctx.library.run_backward, x, weight, y=g.contiguous(), **found)
        return d_x, d_weight, d_bias, None


class _Call(ctypes.Structure):
    """`Call` of affine.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "input", "output", "threads")),
        *((name, ctypes.c_void_p) for name in ("team", "x", "weight", "bias", "y")),
        *((name, ctypes.c_void_p) for name in ("d_x", "d_weight", "d_bias")),
    )


def _run(function: Any, x: Tensor, weight: Tensor, **others: Tensor | None) -> None:
    work = x.numel() * len(weight) // _NUMBERS_A_THREAD
    threads = max(1, min(torch.get_num_threads(), work))
    call = _Call(
        rows=len(x),
        input=x.shape[1],
        output=len(weight),
        threads=threads,
        team=team() if threads > 1 else None,
        x=pointer(x),
        weight=pointer(weight),
        **{name: pointer(tensor) for name, tensor in others.items()},
    )
    if function(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for a product")
