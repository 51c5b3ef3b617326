"""A decoder with input feeding over a batch: one compiled call for all steps, and one backward.

A step cannot be made for all times at once, since it reads the output of the last one. What can is:
the product with the inputs before the loop, and after it the gradients of all weights.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.attention.base import ScoreForm
from seqnlp.nn.cells.base import GatedCell, State
from seqnlp.nn.engines import abi, build
from seqnlp.nn.engines.arrays import (
    add_gradient_arrays,
    make_arrays,
    merge_biases,
    names_kept,
    rest_of_gradients,
    room_for_weights,
    weight_gradients,
)
from seqnlp.nn.engines.call import Call, Shape, check
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.plans import find_obstacle, find_plan
from seqnlp.nn.engines.transforms import OBSTACLE, must_follow, transforming
from seqnlp.nn.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Memories:
    """What is attended to: keys float [B, S, A], values float [B, S, C], lengths int32 [B]."""

    keys: Tensor
    values: Tensor
    lengths: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """How an output is made of h and a context: weight [O, H + C], bias [O], and a tanh if deep.

    mask: float [B, T, H + C], what both are multiplied by; None for nothing.
    """

    weight: Tensor
    bias: Tensor
    deep: bool
    mask: Tensor | None


def obstacle(cell: GatedCell, x: Tensor, noise: Noise | None, *others: Tensor | None) -> str | None:
    """Why `feed_fused` cannot run this cell on this input, in a sentence; None where it can.

    Args:
        cell: of the only layer.
        x: float [N, E].
        noise: dropout inside the recurrence.
        others: all other tensors that it would be given.
    """
    if x.device.type != "cpu":
        return f"it runs on the CPU, and the input is on {x.device.type}"
    if torch.is_autocast_enabled("cpu"):
        return "it computes in one type, and autocast is on"
    if transforming():
        return OBSTACLE
    if (found := find_obstacle(cell, x, noise)) is not None:
        return found
    if any(other is not None and other.dtype != x.dtype for other in others):
        return "input and parameters are of different types"
    if _load(x.dtype) is None or find_plan(cell, noise).library(x.dtype) is None:
        return build.obstacle() or "its kernels could not be built"
    return None


def feed_fused(
    cell: GatedCell,
    x: Tensor,
    packing: Packing,
    state: State,
    feed: Tensor,
    form: ScoreForm,
    memories: Memories,
    output: Output,
    noise: Noise | None,
) -> tuple[Tensor, Tensor]:
    """Run a decoder of one layer over packed rows.

    Rows of everything with B rows stand in the packing's order, masks as well.

    Args:
        cell: reads [x ; last output].
        x: float [N, E].
        packing: of the targets.
        state: before the first step.
        feed: float [B, O], the output before the first step.
        form: of the attention's form.
        memories: of B rows.
        output: what a step ends in.
        noise: dropout inside the recurrence.

    Returns:
        Outputs, float [N, O], and weights, float [N, S], packed.
    """
    noise = Noise() if noise is None else noise
    parameters = cell.author_parameters()
    masks = {**noise.masks}
    kept = [share for share in noise.keep if share is not None]
    masks |= {f"keep {index}": share for index, share in enumerate(kept)}
    shape = Shape(
        plan=find_plan(cell, noise),
        packing=packing,
        reverse=False,
        steps=packing.steps,
        every_state=False,
        parameters=tuple(parameters),
        masks=tuple(masks),
        learns=torch.is_grad_enabled(),
    )
    row = torch.arange(packing.total) - packing.offset[packing.time.long()]
    time = packing.time.long()
    packed = [m[row] if m.dim() == 2 else m[row, time] for m in masks.values()]
    weight_h = cell.weight_h if noise.weight is None else cell.weight_h * noise.weight
    found: tuple[Tensor, Tensor] = _Feeding.apply(  # type: ignore[no-untyped-call]
        _Kind(shape=shape, lengths=memories.lengths, scale=form.scale, deep=output.deep),
        x,
        cell.weight_x,
        weight_h,
        cell.bias,
        cell.bias_h,
        noise.hidden,
        output.mask,
        feed,
        memories.keys,
        memories.values,
        form.weight,
        form.bias,
        form.vector,
        output.weight,
        output.bias,
        *parameters.values(),
        *packed,
        *state,
    )
    return found


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """What one call runs on, beside its tensors."""

    shape: Shape
    lengths: Tensor
    scale: float
    deep: bool


_OWN = ("feed", "keys", "values", "weight_query", "bias_query", "vector", "weight_map", "bias_map")
"""The tensors that the loop reads beside those of the cell and the mask, in order."""


class _Feeding(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kind: _Kind,
        x: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        bias: Tensor,
        bias_h: Tensor | None,
        hidden: Tensor | None,
        mask: Tensor | None,
        *rest: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        shape, plan, packing = kind.shape, kind.shape.plan, kind.shape.packing
        learns = shape.learns and any(ctx.needs_input_grad)
        own: dict[str, Tensor] = {
            name: tensor.contiguous()
            for name, tensor in zip(_OWN, rest, strict=False)
            if tensor is not None
        }
        others: Any = rest[len(_OWN) :]
        arrays = make_arrays(
            shape, x.unsqueeze(1), weight_x, weight_h, hidden, others, learns=learns
        )
        total, size, feed = packing.total, weight_h.shape[1], own["feed"]
        positions, context = own["values"].shape[1:]
        own["outputs"] = x.new_empty(len(feed) + total, feed.shape[1])
        own["outputs"][: len(feed)] = feed
        own["weights"] = x.new_empty(total, positions)
        own["joined"] = x.new_empty(total, size + context)
        if "vector" in own:
            own["queries"] = x.new_empty(total, len(own["vector"]))
        if mask is not None:
            own["mask"] = mask if mask.stride(2) == 1 else mask.contiguous()
        step = plan.forward if learns else plan.inference
        call = Call(
            shape=shape, step=step, arrays=arrays, outputs=[None] * len(plan.pointwise.states)
        )
        driver, library = _libraries(shape, x)
        biases = merge_biases(plan, bias, bias_h)
        described, held = call.describe_forward(library, *biases, call.outputs)
        feeding = _describe(described, kind, own)
        check(driver.run_forward(ctypes.byref(feeding)))
        del held
        if learns:
            ctx.kind = kind
            ctx.names, ctx.own = names_kept(plan, arrays), list(own)
            ctx.save_for_backward(
                *(arrays[name] for name in ctx.names), *(own[name] for name in ctx.own)
            )
            ctx.set_materialize_grads(False)
        return own["outputs"][len(feed) :], own["weights"]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if must_follow(*gradients):
            raise RuntimeError(
                "a decoder with input feeding is differentiated once by the engine 'fused', not "
                "with create_graph or is_grads_batched; take the engine 'reference' for more"
            )
        kind: _Kind = ctx.kind
        shape, plan, packing = kind.shape, kind.shape.plan, kind.shape.packing
        saved = ctx.saved_tensors
        arrays = dict(zip(ctx.names, saved, strict=False))
        own = dict(zip(ctx.own, saved[len(ctx.names) :], strict=True))
        add_gradient_arrays(shape, arrays, [None] * len(plan.pointwise.states))
        wanted = ctx.needs_input_grad[1:6]
        room = room_for_weights(plan, arrays, wanted)
        x = torch.empty_like(arrays["x"]) if wanted[0] else None
        found = {name: each for name, each in (*room.items(), ("x", x)) if each is not None}
        own |= {
            f"gradient_{name}": gradient.contiguous()
            for name, gradient in zip(("outputs", "weights"), gradients, strict=True)
            if gradient is not None
        }
        call = Call(
            shape=shape,
            step=plan.backward,
            arrays=arrays,
            outputs=[None] * len(plan.pointwise.states),
        )
        _add_gradients(own, packing.total, call.threads())
        driver, library = _libraries(shape, arrays["x"])
        described, held = call.describe_backward(library, found)
        check(driver.run_backward(ctypes.byref(_describe(described, kind, own))))
        del held
        if "vector" in own:
            own["gradient_vector"] = own["gradient_vector"].sum(0)
        return (
            None,
            None if x is None else x.squeeze(1),
            *weight_gradients(plan, found, wanted),
            None,
            None,
            *(own.get(f"gradient_{name}") for name in _OWN),
            *rest_of_gradients(shape, arrays),
        )


def _add_gradients(own: dict[str, Tensor], total: int, threads: int) -> None:
    """Room for the gradients of what the loop reads, and for what they are made of."""
    like = own["feed"]
    made = {name: torch.empty_like(own[name]) for name in _OWN[1:] if name in own}
    made["mapped"] = like.new_empty(total, like.shape[1])
    made["joined"] = torch.empty_like(own["joined"])
    made["scores"] = torch.empty_like(own["weights"])
    # The last steps have nothing after them.
    made["feed"] = torch.zeros_like(like)
    if "vector" in own:
        made["queries"] = torch.empty_like(own["queries"])
        made["vector"] = like.new_zeros(threads, len(own["vector"]))
    own |= {f"gradient_{name}": tensor for name, tensor in made.items()}


_SIZES = "output query context positions additive deep"
_READ = "keys values weight_query bias_query vector weight_map bias_map"
_KEPT = "outputs queries weights joined"
_GRADIENTS = (
    "outputs weights mapped joined queries scores feed keys values vector "
    "weight_query bias_query weight_map bias_map"
)


class _Call(ctypes.Structure):
    """`Feeding` of feeding.cpp."""

    _fields_ = (
        ("cell", abi.Call),
        *((name, abi.Int) for name in _SIZES.split()),
        ("scale", ctypes.c_double),
        ("lengths", abi.Pointer),
        *((name, abi.Pointer) for name in _READ.split()),
        ("mask", abi.Strided),
        *((name, abi.Pointer) for name in _KEPT.split()),
        *((f"gradient_{name}", abi.Pointer) for name in _GRADIENTS.split()),
    )


def _describe(cell: abi.Call, kind: _Kind, own: Mapping[str, Tensor]) -> _Call:
    """The structure that the compiled loop reads; `own` must live as long."""
    # Rows of x are packed already, so that they lie evenly.
    cell.batch_index = cell.time_index = None
    pointers = [*f"{_READ} {_KEPT}".split(), *(f"gradient_{each}" for each in _GRADIENTS.split())]
    return _Call(
        cell=cell,
        output=own["feed"].shape[1],
        query=own["keys"].shape[2],
        context=own["values"].shape[2],
        positions=own["values"].shape[1],
        additive="vector" in own,
        deep=kind.deep,
        scale=kind.scale,
        lengths=abi.pointer(kind.lengths),
        mask=abi.strided(own.get("mask")),
        **{name: abi.pointer(own.get(name)) for name in pointers},
    )


def _load(dtype: torch.dtype) -> ctypes.CDLL | None:
    library = build.load(sources("feeding.cpp", dtype))
    if library is not None:
        library.call_size.restype = abi.Int
        assert library.call_size() == ctypes.sizeof(_Call), "feeding.cpp has another Feeding"
    return library


def _libraries(shape: Shape, like: Tensor) -> tuple[ctypes.CDLL, abi.Library]:
    driver, library = _load(like.dtype), shape.plan.library(like.dtype)
    assert driver is not None
    assert library is not None
    return driver, library
