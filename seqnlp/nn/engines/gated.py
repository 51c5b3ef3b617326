"""A gated cell over a batch: the arrays of one call, its values and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.cells.base import GatedCell, State
from seqnlp.nn.engines.call import Call, Loop, Shape
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.plan import Plan
from seqnlp.nn.engines.replay import replay
from seqnlp.nn.engines.workspace import borrow
from seqnlp.nn.noise import Noise


def run_gated(
    plan: Plan,
    cell: GatedCell,
    x: Tensor,
    packing: Packing,
    state: State,
    *,
    reverse: bool,
    noise: Noise,
    every_state: bool = False,
    loop: Loop | None = None,
) -> tuple[tuple[Tensor, ...], State]:
    """Run a cell over packed rows.

    Args:
        plan: of the cell and the noise.
        cell: see `Engine.run`, and so are x and state.
        packing: where the real steps of x lie.
        reverse: read each row from its end.
        noise: masks, if any.
        every_state: whether to give the outputs of every leaf.
        loop: what goes over time; None for the compiled loop of the CPU.

    Returns:
        Of the first leaf or of all, what it was after each step, float [B, T, H], zero on padding;
        the final state.
    """
    weight_h = cell.weight_h if noise.weight is None else cell.weight_h * noise.weight
    parameters = cell.author_parameters()
    masks = {**noise.masks}
    kept = [share for share in noise.keep if share is not None]
    # A name that no keyword of an author can have.
    masks |= {f"keep {index}": share for index, share in enumerate(kept)}
    shape = Shape(
        plan=plan,
        packing=packing,
        reverse=reverse,
        steps=x.shape[1],
        every_state=every_state,
        parameters=tuple(parameters),
        masks=tuple(masks),
        learns=torch.is_grad_enabled(),
        loop=loop,
    )
    packed = [_pack(mask, shape) for mask in masks.values()]
    hidden = noise.hidden
    if hidden is not None and packing.order is not None:
        hidden = hidden.index_select(0, packing.order)
    leaves = state if packing.order is None else [s.index_select(0, packing.order) for s in state]
    found: tuple[Tensor, ...] = _Recurrence.apply(  # type: ignore[no-untyped-call]
        shape,
        x,
        cell.weight_x,
        weight_h,
        cell.bias,
        cell.bias_h,
        hidden,
        *parameters.values(),
        *packed,
        *leaves,
    )
    outputs = len(found) - cell.states
    return found[:outputs], found[outputs:]


def _pack(mask: Tensor, shape: Shape) -> Tensor:
    """A mask [B, T, H] or [B, H] as packed rows [N, H]."""
    batch = shape.packing.batch_index.long()
    if mask.dim() == 2:
        return mask[batch]
    return mask[batch, shape.time.long()]


class _Recurrence(torch.autograd.Function):
    """The values of a recurrence and, from the traced gradient of a step, its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        shape: Shape,
        x: Tensor,
        weight_x: Tensor,
        weight_h: Tensor,
        bias: Tensor,
        bias_h: Tensor | None,
        hidden: Tensor | None,
        *rest: Tensor,
    ) -> tuple[Tensor, ...]:
        plan, packing = shape.plan, shape.packing
        leaves = rest[len(shape.parameters) + len(shape.masks) :]
        total, batch, size = packing.total, packing.batch, weight_h.shape[1]
        learns = shape.learns and any(ctx.needs_input_grad)
        step = plan.forward if learns else plan.inference
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
        for index, leaf in enumerate(leaves):
            states = x.new_empty(batch + total, size)
            states[:batch] = leaf
            arrays[f"state{index}"] = states
        outputs = [_make_outputs(shape, arrays[f"state{k}"]) for k in range(_outputs(shape))]
        biases = _merge_biases(plan, bias, bias_h, size)
        written = [None if shape.full else output for output in outputs]
        call = Call(shape=shape, step=step, arrays=arrays, outputs=written)
        call.forward(*biases)
        if learns:
            read = {slot.array for slot in plan.backward.slots}
            ctx.names = [name for name in arrays if name in read or not name.endswith("_gates")]
            ctx.shape = shape
            given = (x, weight_x, weight_h, bias, bias_h, hidden, *rest)
            ctx.save_for_backward(*(arrays[name] for name in ctx.names), *given)
            ctx.set_materialize_grads(False)
        final = [arrays[f"state{k}"].index_select(0, packing.last) for k in range(len(leaves))]
        return (*(output.transpose(0, 1) for output in outputs), *final)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        shape: Shape = ctx.shape
        plan, packing = shape.plan, shape.packing
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        given = saved[len(ctx.names) :]
        if torch.is_grad_enabled():
            return _differentiate(shape, given, ctx.needs_input_grad, gradients)
        arrays = dict(zip(ctx.names, saved, strict=False))
        weight_x, weight_h = arrays["weight_x"], arrays["weight_h"]
        size, gates = weight_h.shape[1], len(plan.pointwise.x_gates)
        count = _outputs(shape)
        outputs = [
            g if g is None or g.stride(2) == 1 else g.contiguous() for g in gradients[:count]
        ]
        leaves = len(plan.pointwise.states)
        for index, gradient in enumerate(gradients[count:]):
            if gradient is None:
                made = weight_h.new_zeros(packing.batch, size)
            elif packing.order is None:
                made = gradient.clone(memory_format=torch.contiguous_format)
            else:
                made = gradient.index_select(0, packing.order)
            arrays[f"gradient{index}"] = made
        arrays["x_gradients"] = borrow("x", weight_h, packing.total, gates * size)
        if plan.separate:
            arrays["h_gradients"] = borrow("h", weight_h, packing.total, plan.separate * size)
        for name in shape.parameters:
            parameter = arrays[f"p_{name}"]
            arrays[f"sum_{name}"] = weight_h.new_zeros(shape.shares, parameter.numel())
        call = Call(shape=shape, step=plan.backward, arrays=arrays, outputs=outputs)
        needs_x, needs_weight_x, needs_weight_h, needs_bias, needs_bias_h = ctx.needs_input_grad[
            1:6
        ]
        found = call.backward(
            x=_room(shape, weight_h, given[0].shape) if needs_x else None,
            weight_x=torch.empty_like(weight_x) if needs_weight_x else None,
            weight_h=torch.empty_like(weight_h) if needs_weight_h else None,
            bias=weight_h.new_empty(gates * size) if needs_bias or needs_bias_h else None,
            bias_h=weight_h.new_empty(plan.separate * size) if needs_bias_h else None,
        )
        bias_h = None
        if needs_bias_h:
            bias_h = found["bias"].clone()
            for run in plan.runs:
                if not run.merged:
                    part = slice(run.first * size, (run.first + run.gates) * size)
                    apart = slice(run.column * size, (run.column + run.gates) * size)
                    bias_h[part] = found["bias_h"][apart]
        states = [arrays[f"gradient{k}"] for k in range(leaves)]
        return (
            None,
            found.get("x"),
            found.get("weight_x"),
            found.get("weight_h"),
            found.get("bias") if needs_bias else None,
            bias_h,
            None,
            *(
                arrays[f"sum_{name}"].sum(0).view_as(arrays[f"p_{name}"])
                for name in shape.parameters
            ),
            *(None for _ in shape.masks),
            *states,
        )


def _differentiate(
    shape: Shape,
    given: tuple[Tensor, ...],
    wanted: tuple[bool, ...],
    gradients: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again, from a slow run of the same recurrence."""
    results = replay(shape, *given)
    pairs = [(r, g) for r, g in zip(results, gradients, strict=True) if g is not None]
    inputs = [tensor for tensor, want in zip(given, wanted[1:], strict=True) if want]
    found = iter(
        torch.autograd.grad(
            [result for result, _ in pairs],
            inputs,
            [gradient for _, gradient in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return (None, *(next(found) if want else None for want in wanted[1:]))


def _outputs(shape: Shape) -> int:
    return len(shape.plan.pointwise.states) if shape.every_state else 1


def _name_inputs(shape: Shape, rest: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Parameters and masks under the names that a plan gives them."""
    names = [f"p_{name}" for name in shape.parameters] + [f"m_{name}" for name in shape.masks]
    return {name: tensor.contiguous() for name, tensor in zip(names, rest, strict=False)}


def _make_outputs(shape: Shape, states: Tensor) -> Tensor:
    """Room for outputs [T, B, H], zero on padding: where it can be, the states themselves."""
    batch, size = shape.packing.batch, states.shape[1]
    if shape.full:
        return states[batch:].view(shape.steps, batch, size)
    return _room(shape, states, (shape.steps, batch, size))


def _room(shape: Shape, like: Tensor, size: Sequence[int]) -> Tensor:
    """Memory for B rows of T steps: zero, unless every step is real and will be written to."""
    complete = shape.packing.total == shape.packing.batch * shape.steps
    return like.new_empty(size) if complete else like.new_zeros(size)


def _merge_biases(
    plan: Plan, bias: Tensor, bias_h: Tensor | None, size: int
) -> tuple[Tensor, Tensor | None]:
    """The bias of the gates, with that of the recurrent product in merged ones; and the latter's
    in the others, [U*H].
    """
    if bias_h is None:
        return bias.contiguous(), None
    merged = bias.clone()
    apart = []
    for run in plan.runs:
        part = slice(run.first * size, (run.first + run.gates) * size)
        if run.merged:
            merged[part] += bias_h[part]
        else:
            apart.append(bias_h[part])
    return merged, torch.cat(apart) if apart else None
