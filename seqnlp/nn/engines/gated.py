"""A gated cell over a batch: the arrays of one call, its values and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.cells.base import GatedCell, State
from seqnlp.nn.engines.arrays import (
    add_gradient_arrays,
    make_arrays,
    merge_biases,
    names_kept,
    rest_of_gradients,
    room_for_weights,
    weight_gradients,
)
from seqnlp.nn.engines.call import Call, Loop, Shape
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.plan import Plan
from seqnlp.nn.engines.replay import replay
from seqnlp.nn.engines.transforms import must_follow
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
    # Not in the function above, whose outputs could not be changed in place if they were views.
    return tuple(output.transpose(0, 1) for output in found[:outputs]), found[outputs:]


def _pack(mask: Tensor, shape: Shape) -> Tensor:
    """A mask [B, T, H] or [B, H] as packed rows [N, H]."""
    batch = shape.packing.batch_index.long()
    if mask.dim() == 2:
        return mask[batch]
    return mask[batch, shape.time.long()]


class _Recurrence(torch.autograd.Function):
    """The values of a recurrence and, from the traced gradient of a step, its gradients.

    Outputs are [T, B, H].
    """

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
        learns = shape.learns and any(ctx.needs_input_grad)
        step = plan.forward if learns else plan.inference
        arrays = make_arrays(shape, x, weight_x, weight_h, hidden, rest, learns=learns)
        outputs = [_make_outputs(shape, arrays[f"state{k}"]) for k in range(_outputs(shape))]
        biases = merge_biases(plan, bias, bias_h)
        written = [None if shape.full else output for output in outputs]
        call = Call(shape=shape, step=step, arrays=arrays, outputs=written)
        call.forward(*biases)
        if learns:
            ctx.names = names_kept(plan, arrays)
            ctx.shape = shape
            given = (x, weight_x, weight_h, bias, bias_h, hidden, *rest)
            ctx.save_for_backward(*(arrays[name] for name in ctx.names), *given)
            ctx.set_materialize_grads(False)
        final = [arrays[f"state{k}"].index_select(0, packing.last) for k in range(len(leaves))]
        return (*outputs, *final)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        shape: Shape = ctx.shape
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        given = saved[len(ctx.names) :]
        if must_follow(*gradients):
            return _differentiate(shape, given, ctx.needs_input_grad, gradients)
        arrays = dict(zip(ctx.names, saved, strict=False))
        count = _outputs(shape)
        turned = [None if g is None else g.transpose(0, 1) for g in gradients[:count]]
        outputs = [g if g is None or g.stride(2) == 1 else g.contiguous() for g in turned]
        add_gradient_arrays(shape, arrays, gradients[count:])
        call = Call(shape=shape, step=shape.plan.backward, arrays=arrays, outputs=outputs)
        wanted = ctx.needs_input_grad[1:6]
        room = _room(shape, arrays["weight_h"], given[0].shape) if wanted[0] else None
        found = call.backward(**room_for_weights(shape.plan, arrays, wanted), x=room)
        return (
            None,
            found.get("x"),
            *weight_gradients(shape.plan, found, wanted),
            None,
            *rest_of_gradients(shape, arrays),
        )


def _differentiate(
    shape: Shape,
    given: tuple[Tensor, ...],
    wanted: tuple[bool, ...],
    gradients: tuple[Tensor | None, ...],
) -> tuple[Tensor | None, ...]:
    """Gradients that can be differentiated again, from a slow run of the same recurrence."""
    with torch.enable_grad():
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


def _make_outputs(shape: Shape, states: Tensor) -> Tensor:
    """Room for outputs [T, B, H], zero on padding: where it can be, the states themselves."""
    batch, size = shape.packing.batch, states.shape[1]
    if shape.full:
        # Whoever changes them in place learns from backward that it wanted them.
        return states[batch:].view(shape.steps, batch, size).detach()
    return _room(shape, states, (shape.steps, batch, size))


def _room(shape: Shape, like: Tensor, size: Sequence[int]) -> Tensor:
    """Memory for B rows of T steps: zero, unless every step is real and will be written to."""
    complete = shape.packing.total == shape.packing.batch * shape.steps
    return like.new_empty(size) if complete else like.new_zeros(size)
