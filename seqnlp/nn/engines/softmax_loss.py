"""The cross-entropy of an output layer with its gradients, in memory that no batch makes grow.

Logits are made for a chunk of rows at a time and become their own gradient in place, which is used
up at once: so the gradients are there when the loss is, and backward only scales them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import pointer, team
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.transforms import is_mapped, transforming
from seqnlp.nn.engines.workspace import borrow

# Logits that exist at once: few enough to stay in the last cache, so many that a weight which is
# packed for each chunk costs little.
_LOGITS = 1 << 21
_FEWEST_ROWS = 48
_NUMBERS_A_THREAD = 1 << 21


def softmax_loss(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, smoothing: float = 0.0
) -> Tensor:
    """The sum over rows of `cross_entropy(x W' + b, targets)`, in nats; never holds all logits.

    Args:
        x: float [N, D].
        weight: float [V, D].
        bias: float [V], or None.
        targets: int64 [N], each in 0..V-1.
        smoothing: the share of the probability that is spread evenly over all V classes, as in
            `torch.nn.functional.cross_entropy`.

    Returns:
        A scalar, differentiable once by x, weight and bias; under torch.func as often as one
        likes, since all logits are held there.

    Raises:
        InputError: shapes, types or smoothing are others; on a CPU, a target that is no class.
    """
    if not 0.0 <= smoothing <= 1.0:
        raise InputError(f"smoothing must be in 0..1, not {smoothing!r}")
    check_rows(x, weight, targets)
    if not len(x):
        # A sum of nothing, on which backward may be called.
        return F.linear(x, weight, bias).sum()
    dtype = weight.dtype
    if transforming():
        logits = F.linear(x.to(dtype), weight, None if bias is None else bias.to(dtype))
        return F.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing)
    bias = None if bias is None else bias.to(dtype)
    wants = torch.is_grad_enabled()
    loss: Tensor = _SoftmaxLoss.apply(  # type: ignore[no-untyped-call]
        x.to(dtype), weight, bias, targets, smoothing, wants
    )
    return loss


def check_rows(x: Tensor, weight: Tensor, targets: Tensor) -> None:
    """Refuse shapes and types that do not suit each other and, on a CPU, targets of no class."""
    if x.dim() != 2 or x.shape[1] != weight.shape[1]:
        raise InputError(f"x must be float [N, {weight.shape[1]}], not {list(x.shape)}")
    if targets.shape != x.shape[:1] or targets.dtype != torch.int64:
        dtype = str(targets.dtype).removeprefix("torch.")
        raise InputError(f"targets must be int64 [{len(x)}], not {dtype} {list(targets.shape)}")
    if targets.device.type == "cpu" and len(targets) and not is_mapped(targets):
        least, most = (int(each) for each in targets.aminmax())
        if least < 0 or most >= len(weight):
            wrong = least if least < 0 else most
            row = int((targets == wrong).nonzero()[0])
            raise InputError(
                f"targets must be in 0..{len(weight) - 1}, but that of row {row} is {wrong}"
            )


class _SoftmaxLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        smoothing: float,
        learns: bool,
    ) -> Tensor:
        wanted = [learns and want for want in ctx.needs_input_grad[:3]]
        given = (x, weight, bias)
        gradients = room_for(given, wanted)
        losses = run_rows(x, weight, bias, targets, gradients, smoothing=smoothing)
        ctx.save_for_backward(*gradients)
        return losses.sum().to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        refuse_more("the loss of an output layer", "cross_entropy of its logits")
        (scale,) = gradients
        found = [None if each is None else each * scale for each in ctx.saved_tensors]
        return (*found, None, None, None)


def refuse_more(what: str, instead: str) -> None:
    """Refuse, in a backward pass, to be differentiated again."""
    if torch.is_grad_enabled():
        # The gradients are numbers by now: what depends on them would get none, in silence.
        raise RuntimeError(
            f"{what} can be differentiated once, not with create_graph; for more take {instead}"
        )


def room_for(given: Sequence[Tensor | None], wanted: Sequence[bool]) -> list[Tensor | None]:
    """Arrays for the gradients that are wanted."""
    return [
        torch.empty_like(tensor, memory_format=torch.contiguous_format)
        if want and tensor is not None
        else None
        for tensor, want in zip(given, wanted, strict=True)
    ]


def run_rows(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    gradients: Sequence[Tensor | None],
    *,
    smoothing: float = 0.0,
    factors: Tensor | None = None,
    means: Tensor | None = None,
) -> Tensor:
    """The losses -(a log p + b m) of rows, m the mean of log p over the classes.

    Args:
        x: float [N, D], N at least 1; of one type with weight float [V, D] and bias float [V].
        weight: see x.
        bias: see x.
        targets: int64 [N], of which p is.
        gradients: of x, weight and bias: arrays to be filled, None where one is not wanted.
        smoothing: b of all rows; a is 1 - b.
        factors: a and b of each row, float64 [N, 2], in place of those.
        means: float64 [N], to be filled with m.

    Returns:
        Float64 [N].
    """
    known = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    library = build.load(sources("softmax_loss.cpp", x.dtype)) if known else None
    run = _compute if library is None else partial(_run, library)
    return run(x, weight, bias, targets, gradients, smoothing, factors, means)


class _Call(ctypes.Structure):
    """`Call` of softmax_loss.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "input", "classes", "chunk", "threads")),
        *((name, ctypes.c_void_p) for name in ("team", "x", "weight", "bias", "targets")),
        ("smoothing", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("factors", "logits", "losses", "means")),
        *((name, ctypes.c_void_p) for name in ("d_x", "d_weight", "d_bias")),
    )


def _run(
    library: ctypes.CDLL,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    gradients: Sequence[Tensor | None],
    smoothing: float,
    factors: Tensor | None,
    means: Tensor | None,
) -> Tensor:
    x, weight, targets = x.contiguous(), weight.contiguous(), targets.contiguous()
    bias = None if bias is None else bias.contiguous()
    classes = len(weight)
    products = 1 + sum(each is not None for each in gradients[:2])
    work = products * x.numel() * classes // _NUMBERS_A_THREAD
    threads = max(1, min(torch.get_num_threads(), work))
    chunk = _chunk(classes)
    losses = x.new_empty(len(x), dtype=torch.float64)
    d_x, d_weight, d_bias = gradients
    call = _Call(
        rows=len(x),
        input=x.shape[1],
        classes=classes,
        chunk=chunk,
        threads=threads,
        team=team() if threads > 1 else None,
        x=pointer(x),
        weight=pointer(weight),
        bias=pointer(bias),
        targets=pointer(targets),
        smoothing=smoothing,
        factors=pointer(factors),
        logits=pointer(borrow("logits", x, min(chunk, len(x)), classes)),
        losses=pointer(losses),
        means=pointer(means),
        d_x=pointer(d_x),
        d_weight=pointer(d_weight),
        d_bias=pointer(d_bias),
    )
    if library.run_loss(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for the loss")
    return losses


def _compute(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    gradients: Sequence[Tensor | None],
    smoothing: float,
    factors: Tensor | None,
    means: Tensor | None,
) -> Tensor:
    """The same in torch, on any device."""
    d_x, d_weight, d_bias = gradients
    for each in (d_weight, d_bias):
        if each is not None:
            each.zero_()
    if factors is None:
        factors = x.new_tensor([[1 - smoothing, smoothing]], dtype=torch.float64).expand(len(x), 2)
    losses = x.new_empty(len(x), dtype=torch.float64)
    size = _chunk(len(weight))
    for first in range(0, len(x), size):
        chunk = slice(first, first + size)
        part, wanted = x[chunk], targets[chunk].unsqueeze(1)
        logits = F.linear(part, weight, bias)
        logs = torch.log_softmax(logits.float() if logits.itemsize < 4 else logits, 1)
        own, mean = logs.gather(1, wanted).squeeze(1).double(), logs.mean(1, dtype=torch.float64)
        a, b = factors[chunk].unbind(1)
        # Not 0 times what may be infinite.
        losses[chunk] = -(a * own) - torch.where(b != 0, b * mean, 0.0)
        if means is not None:
            means[chunk] = mean
        if d_x is None and d_weight is None and d_bias is None:
            continue
        a, b = (each.to(logs.dtype).unsqueeze(1) for each in (a, b))
        g = logs.exp_().mul_(a + b).sub_(b / len(weight)).scatter_add_(1, wanted, -a)
        g = g.to(x.dtype)
        if d_x is not None:
            torch.mm(g, weight, out=d_x[chunk])
        if d_weight is not None:
            d_weight.addmm_(g.t(), part)
        if d_bias is not None:
            d_bias += g.sum(0)
    return losses


def _chunk(classes: int) -> int:
    return max(_FEWEST_ROWS, _LOGITS // classes)
