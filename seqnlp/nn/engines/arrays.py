"""The arrays of a gated cell's calls, see `Plan`: what goes in, what is kept, and gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seqnlp.nn.engines.call import Shape
from seqnlp.nn.engines.plan import Plan
from seqnlp.nn.engines.workspace import borrow


def make_arrays(
    shape: Shape,
    x: Tensor,
    weight_x: Tensor,
    weight_h: Tensor,
    hidden: Tensor | None,
    rest: tuple[Tensor, ...],
    *,
    learns: bool,
) -> dict[str, Tensor]:
    """The arrays of a call forward, see `Plan`.

    Args:
        shape: of the call.
        x: float [B, T, I].
        weight_x: of the cell, and so is weight_h, with its mask.
        weight_h: see there.
        hidden: float [B, H], the mask of the recurrent product's input, in the packing's order.
        rest: parameters, packed masks, and the state before the first step in that order.
        learns: whether values are kept for backward.
    """
    plan, packing = shape.plan, shape.packing
    total, batch, size = packing.total, packing.batch, weight_h.shape[1]
    arrays = _name_inputs(shape, rest)

    def make(name: str, columns: int) -> Tensor:
        return x.new_empty(total, columns) if learns else borrow(name, x, total, columns)

    arrays["x"] = x if x.stride(2) == 1 else x.contiguous()
    arrays["weight_x"], arrays["weight_h"] = weight_x.contiguous(), weight_h.contiguous()
    arrays["x_gates"] = make("x", len(plan.pointwise.x_gates) * size)
    if plan.separate:
        arrays["h_gates"] = make("h", plan.separate * size)
    if learns and plan.wide_kept:
        arrays["kept"] = x.new_empty(total, plan.wide_kept * size)
    if learns and plan.narrow_kept:
        arrays["kept_rows"] = x.new_empty(total, plan.narrow_kept)
    if hidden is not None:
        arrays["hidden"] = hidden.contiguous()
        arrays["masked"] = x.new_empty(total, size)
    for index, leaf in enumerate(rest[len(shape.parameters) + len(shape.masks) :]):
        states = x.new_empty(batch + total, size)
        states[:batch] = leaf
        arrays[f"state{index}"] = states
    return arrays


def names_kept(plan: Plan, arrays: Mapping[str, Tensor]) -> list[str]:
    """The arrays that a call backward reads."""
    read = {slot.array for slot in plan.backward.slots}
    return [name for name in arrays if name in read or not name.endswith("_gates")]


def add_gradient_arrays(
    shape: Shape, arrays: dict[str, Tensor], final: Sequence[Tensor | None]
) -> None:
    """Add those of a call backward, from the gradients of the final state, [B, H] each."""
    plan, packing, weight_h = shape.plan, shape.packing, arrays["weight_h"]
    size = weight_h.shape[1]
    for index, gradient in enumerate(final):
        if gradient is None:
            made = weight_h.new_zeros(packing.batch, size)
        elif packing.order is None:
            made = gradient.clone(memory_format=torch.contiguous_format)
        else:
            made = gradient.index_select(0, packing.order)
        arrays[f"gradient{index}"] = made
    gates = len(plan.pointwise.x_gates)
    arrays["x_gradients"] = borrow("x", weight_h, packing.total, gates * size)
    if plan.separate:
        arrays["h_gradients"] = borrow("h", weight_h, packing.total, plan.separate * size)
    for name in shape.parameters:
        parameter = arrays[f"p_{name}"]
        # There is no end to the rows that are added up.
        dtype = torch.float64 if shape.loop is None else weight_h.dtype
        arrays[f"sum_{name}"] = weight_h.new_zeros(shape.shares, parameter.numel(), dtype=dtype)


def room_for_weights(
    plan: Plan, arrays: Mapping[str, Tensor], wanted: Sequence[bool]
) -> dict[str, Tensor | None]:
    """Where gradients go, by name; `wanted` are those of x, weight_x, weight_h, bias and bias_h."""
    weight_x, weight_h = arrays["weight_x"], arrays["weight_h"]
    gates, size = weight_h.shape
    _, needs_x, needs_h, needs_bias, needs_bias_h = wanted
    return {
        "weight_x": torch.empty_like(weight_x) if needs_x else None,
        "weight_h": torch.empty_like(weight_h) if needs_h else None,
        "bias": weight_h.new_empty(gates) if needs_bias or needs_bias_h else None,
        "bias_h": weight_h.new_empty(plan.separate * size) if needs_bias_h else None,
    }


def weight_gradients(
    plan: Plan, found: Mapping[str, Tensor], wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Those of weight_x, weight_h, bias and bias_h, where they are wanted."""
    *_, needs_bias, needs_bias_h = wanted
    bias_h = None
    if needs_bias_h:
        bias_h = found["bias"].clone()
        size = len(bias_h) // len(plan.pointwise.x_gates)
        for run in plan.runs:
            if not run.merged:
                part = slice(run.first * size, (run.first + run.gates) * size)
                apart = slice(run.column * size, (run.column + run.gates) * size)
                bias_h[part] = found["bias_h"][apart]
    bias = found["bias"] if needs_bias else None
    return found.get("weight_x"), found.get("weight_h"), bias, bias_h


def rest_of_gradients(shape: Shape, arrays: Mapping[str, Tensor]) -> tuple[Tensor | None, ...]:
    """Those of parameters, masks, which have none, and of the state before the first step."""
    names = shape.parameters
    return (
        *(
            arrays[f"sum_{name}"].sum(0).to(arrays["weight_h"]).view_as(arrays[f"p_{name}"])
            for name in names
        ),
        *(None for _ in shape.masks),
        *(arrays[f"gradient{k}"] for k in range(len(shape.plan.pointwise.states))),
    )


def merge_biases(plan: Plan, bias: Tensor, bias_h: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The bias of the gates, with that of the recurrent product in merged ones; and the latter's
    in the others, [U*H].
    """
    if bias_h is None:
        return bias.contiguous(), None
    merged = bias.clone()
    size = len(bias) // len(plan.pointwise.x_gates)
    apart = []
    for run in plan.runs:
        part = slice(run.first * size, (run.first + run.gates) * size)
        if run.merged:
            merged[part] += bias_h[part]
        else:
            apart.append(bias_h[part])
    return merged, torch.cat(apart) if apart else None


def _name_inputs(shape: Shape, rest: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Parameters and masks under the names that a plan gives them."""
    names = [f"p_{name}" for name in shape.parameters] + [f"m_{name}" for name in shape.masks]
    return {name: tensor.contiguous() for name, tensor in zip(names, rest, strict=False)}
