"""Gated linear cells in one compiled call: products, pointwise part and loop over time."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.cells.checks import check_mix
from seqnlp.nn.cells.linear import GatedLinearCell
from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import Strided, pointer, strided, team
from seqnlp.nn.engines.emit import Function, Result, emit, sources
from seqnlp.nn.engines.graph import Graph, Value
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.plans import attributes_of
from seqnlp.nn.engines.recorder import Tracer, UntraceableError
from seqnlp.nn.engines.transforms import must_follow

# A thread must have so many numbers to work on that starting it is worth while.
_NUMBERS_A_THREAD = 1 << 15


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """The driver's two functions, and the two pointwise ones of a cell."""

    driver: ctypes.CDLL
    forward: int
    backward: int


def find_kernel(cell: GatedLinearCell, x: Tensor, first: Tensor) -> Kernel | None:
    """What runs this cell on this input; None where nothing compiled can."""
    kind = type(cell)
    if kind.coefficients is not GatedLinearCell.coefficients or x.device.type != "cpu":
        return None
    if x.dtype not in (torch.float32, torch.float64):
        return None
    if any(tensor.dtype != x.dtype for tensor in (first, cell.weight, cell.bias)):
        return None
    key = (kind, kind.mix, cell.gates, cell.training, attributes_of(cell), x.dtype)
    if key not in _KNOWN:
        try:
            _KNOWN[key] = _load(_emit(cell, x.dtype), x.dtype)
        except UntraceableError:
            _KNOWN[key] = None
    return _KNOWN[key]


_KNOWN: dict[object, Kernel | None] = {}


def _load(source: str, dtype: torch.dtype) -> Kernel | None:
    driver = build.load(sources("gated_linear.cpp", dtype))
    pointwise = None if driver is None else build.load(source)
    if driver is None or pointwise is None:
        return None
    addresses = {}
    for name in ("forward", "backward"):
        address = ctypes.cast(getattr(pointwise, name), ctypes.c_void_p).value
        assert address is not None
        addresses[name] = address
    return Kernel(driver=driver, **addresses)


@torch.inference_mode(False)  # where it is asked for first, gradients may be off
def _emit(cell: GatedLinearCell, dtype: torch.dtype) -> str:
    """C++ of a step, from G gates and the state before, and of its gradients.

    Raises:
        UntraceableError: `mix` does something that is not pointwise.
    """
    graph = Graph()
    rows = 3 if cell.hidden_size != 3 else 5
    tracer = Tracer(graph, rows, cell.hidden_size)
    generator = torch.Generator().manual_seed(0)

    def enter(name: str) -> tuple[Tensor, Value]:
        shape = (rows, cell.hidden_size)
        tensor = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.25
        value = graph.add_input(name, wide=True)
        tracer.enter(tensor, value)
        return tensor.requires_grad_(), value

    names = [*(f"x{gate}" for gate in range(cell.gates)), "h", "through_time", "from_outside"]
    tensors, values = zip(*map(enter, names), strict=True)
    *gates, h, through_time, from_outside = tensors
    with torch.enable_grad(), tracer:
        a, b = check_mix(cell, cell.mix(tuple(gates)))
        new = a * h + b
        result = tracer.value(new, "the new state")
        tracer.in_backward = True
        # A sum, since for gradients that are given torch imports sympy, which takes a second.
        total = (new * (through_time + from_outside)).sum()
        gradients = torch.autograd.grad(total, [*gates, h], materialize_grads=True)
        results = [tracer.value(gradient, "a gradient") for gradient in gradients]
    for value in (result, *results):
        if any(graph.nodes[v].operation in ("sum", "largest") for v in graph.reachable([value])):
            raise UntraceableError("mix mixes the features of a row: write `coefficients`")
    functions = [
        Function(name="forward", inputs=values[:-2], results=(Result(result, True),)),
        Function(name="backward", inputs=values, results=tuple(Result(r, True) for r in results)),
    ]
    return emit(graph, functions, dtype)


def _numbers(names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_int64) for name in names.split()]


def _pointers(names: str) -> list[tuple[str, type]]:
    return [(name, ctypes.c_void_p) for name in names.split()]


class _Call(ctypes.Structure):
    """`Call` of gated_linear.cpp."""

    _fields_ = (
        *_numbers("batch time input hidden gates reverse threads"),
        *_pointers("team lengths pointwise"),
        ("x", Strided),
        *_pointers("weight bias product h first last"),
        ("g", Strided),
        *_pointers("g_last"),
        ("d_x", Strided),
        *_pointers("d_first d_weight d_bias"),
    )


def run_kernel(
    kernel: Kernel,
    cell: GatedLinearCell,
    x: Tensor,
    first: Tensor,
    padding: Padding | None,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    """The states after every step, zero on padding, and the last of each row.

    Args:
        kernel: of this cell.
        cell: gives weights and, for second derivatives, `mix`.
        x: what each step sees, [B, T, k*I].
        first: the state before the first step, [B, H].
        padding: where the rows end.
        reverse: read each row from its end.
    """
    # Copies that the function made itself would have no part in second derivatives.
    x = x if x.stride(2) == 1 else x.contiguous()
    whole = (tensor.contiguous() for tensor in (first, cell.weight, cell.bias))
    found: tuple[Tensor, Tensor] = _Fused.apply(  # type: ignore[no-untyped-call]
        x, *whole, kernel, cell, padding, reverse
    )
    return found


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first: Tensor,
        weight: Tensor,
        bias: Tensor,
        kernel: Kernel,
        cell: GatedLinearCell,
        padding: Padding | None,
        reverse: bool,
    ) -> tuple[Tensor, Tensor]:
        ctx.kernel, ctx.cell, ctx.padding, ctx.reverse = kernel, cell, padding, reverse
        size = cell.hidden_size
        product = x.new_empty(*x.shape[:2], len(weight))
        # Rows end early where there is padding: what the kernel leaves out must be zero.
        new = x.new_empty if padding is None else x.new_zeros
        h, last = new(*x.shape[:2], size), torch.empty_like(first)
        arrays = {"product": product, "h": h, "first": first, "last": last, "bias": bias}
        _run(ctx, "forward", x, {"x": x}, {"weight": weight, **arrays})
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, first, weight, bias, product, h)
        return h, last

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, first, weight, bias, product, h = ctx.saved_tensors
        g, g_last = gradients
        if must_follow(g, g_last):
            return *_differentiable(ctx, (x, first, weight, bias), g, g_last), *(None,) * 4
        g = g if g is None or g.stride(2) == 1 else g.contiguous()
        g_last = None if g_last is None else g_last.contiguous()
        wants_x, _, wants_weight, wants_bias, *_ = ctx.needs_input_grad
        d_x: Tensor | None = None
        if wants_x:
            d_x = x.new_empty(x.shape) if ctx.padding is None else x.new_zeros(x.shape)
        d_weight = torch.empty_like(weight) if wants_weight else None
        d_bias = torch.empty_like(bias) if wants_bias else None
        d_first = torch.empty_like(first)
        arrays = {"weight": weight, "product": product, "h": h, "first": first, "g_last": g_last}
        made = {"d_first": d_first, "d_weight": d_weight, "d_bias": d_bias}
        _run(ctx, "backward", x, {"x": x, "g": g, "d_x": d_x}, arrays | made)
        return d_x, d_first, d_weight, d_bias, None, None, None, None


def _run(
    ctx: Any,
    way: str,
    x: Tensor,
    rows: Mapping[str, Tensor | None],
    arrays: Mapping[str, Tensor | None],
) -> None:
    kernel, cell, padding = ctx.kernel, ctx.cell, ctx.padding
    batch, time, size = x.shape
    lengths = None if padding is None else padding.lengths.contiguous()
    numbers = batch * time * cell.gates * cell.hidden_size
    threads = max(1, min(torch.get_num_threads(), numbers // _NUMBERS_A_THREAD))
    call = _Call(
        batch=batch,
        time=time,
        input=size,
        hidden=cell.hidden_size,
        gates=cell.gates,
        reverse=ctx.reverse,
        threads=threads,
        team=team() if threads > 1 else None,
        lengths=pointer(lengths),
        pointwise=getattr(kernel, way),
        **{name: strided(array) for name, array in rows.items()},
        **{name: pointer(array) for name, array in arrays.items()},
    )
    if getattr(kernel.driver, f"run_{way}")(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for the recurrence")


def _differentiable(
    ctx: Any, inputs: tuple[Tensor, ...], g: Tensor | None, g_last: Tensor | None
) -> list[Tensor | None]:
    """The gradients in operations of torch, for those who differentiate them again."""
    from seqnlp.nn.engines.scan import scan

    x, first, weight, bias = inputs
    with torch.enable_grad():
        gates = torch.nn.functional.linear(x, weight, bias).chunk(ctx.cell.gates, dim=2)
        a, b = ctx.cell.mix(gates)
        results = scan(a, b, first, ctx.padding, reverse=ctx.reverse)
    wanted = [tensor for tensor, need in zip(inputs, ctx.needs_input_grad, strict=False) if need]
    pairs = [(r, d) for r, d in zip(results, (g, g_last), strict=True) if d is not None]
    found = iter(
        torch.autograd.grad([r for r, _ in pairs], wanted, [d for _, d in pairs], create_graph=True)
    )
    return [next(found) if need else None for need in ctx.needs_input_grad[:4]]
