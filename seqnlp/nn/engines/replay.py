"""The traced step in differentiable operations of torch, for gradients of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.nn.engines.graph import Value

if TYPE_CHECKING:
    from seqnlp.nn.engines.call import Shape


def replay(
    shape: Shape,
    x: Tensor,
    weight_x: Tensor,
    weight_h: Tensor,
    bias: Tensor,
    bias_h: Tensor | None,
    hidden: Tensor | None,
    *rest: Tensor,
) -> tuple[Tensor, ...]:
    """What `_Recurrence` gives for the same arguments, step by step.

    Raises:
        RuntimeError: `update` detaches a value, which a graph does not know.
    """
    packing, pointwise = shape.packing, shape.plan.pointwise
    if pointwise.detaches:
        raise RuntimeError(
            "update detaches a value: take gradients of gradients by the engine 'reference'"
        )
    parameters = rest[: len(shape.parameters)]
    masks = rest[len(shape.parameters) : len(shape.parameters) + len(shape.masks)]
    leaves = list(rest[len(shape.parameters) + len(shape.masks) :])
    batch, time = packing.batch_index.long(), shape.time.long()
    products = F.linear(x[batch, time], weight_x, bias)
    gates = len(pointwise.x_gates)
    packed: list[list[Tensor]] = [[] for _ in leaves]
    for t in range(packing.steps):
        first, count = int(packing.offset[t]), int(packing.running[t])
        here = slice(first, first + count)
        old = [leaf[:count] for leaf in leaves]
        seen = old[0] if hidden is None else old[0] * hidden[:count]
        x_gates = products[here].chunk(gates, dim=1)
        h_gates = F.linear(seen, weight_h, bias_h).chunk(gates, dim=1)
        inputs: dict[Value, Tensor] = {}
        for gate, merged in enumerate(pointwise.merged):
            x_gate, h_gate = x_gates[gate], h_gates[gate]
            inputs[pointwise.x_gates[gate]] = x_gate + h_gate if merged else x_gate
            if not merged:
                inputs[pointwise.h_gates[gate]] = h_gate
        inputs |= zip(pointwise.states, old, strict=True)
        inputs |= zip(pointwise.parameters.values(), parameters, strict=True)
        inputs |= zip(pointwise.masks.values(), (mask[here] for mask in masks), strict=True)
        new = pointwise.graph.evaluate(inputs, pointwise.new_states)
        for index, leaf in enumerate(new):
            leaf = leaf.expand_as(old[index])
            packed[index].append(leaf)
            leaves[index] = torch.cat([leaf, leaves[index][count:]])
    wanted = packed if shape.every_state else packed[:1]
    outputs = []
    for steps in wanted:
        room = x.new_zeros(shape.steps, x.shape[0], weight_h.shape[1])
        outputs.append(room.index_put((time, batch), torch.cat(steps)) if steps else room)
    if packing.order is not None:
        back = packing.order.argsort()
        leaves = [leaf[back] for leaf in leaves]
    return (*outputs, *leaves)
