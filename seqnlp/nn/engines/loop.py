"""The traced step in a loop of torch operations, where nothing can be compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqnlp.nn.engines.plan import Place, Slot

if TYPE_CHECKING:
    from seqnlp.nn.engines.call import Call

_BLOCK = 512
"""Rows that are summed up at once."""


def forward(
    call: Call, bias: Tensor, bias_h: Tensor | None, outputs: Sequence[Tensor | None]
) -> None:
    """As `run_forward` of recurrence.cpp."""
    arrays, packing, shape = call.arrays, call.shape.packing, call.shape
    weight_h, size = arrays["weight_h"], arrays["weight_h"].shape[1]
    read_inputs(call, bias)
    turned = weight_h.t().contiguous()
    for t in range(packing.steps):
        here = _rows(call, t, Place.STEP)
        state = arrays["state0"][_rows(call, t, Place.PREVIOUS)]
        if "masked" in arrays:
            state = torch.mul(state, arrays["hidden"][: len(state)], out=arrays["masked"][here])
        for run in shape.plan.runs:
            part = turned[:, run.first * size : (run.first + run.gates) * size]
            first = (run.first if run.merged else run.column) * size
            place = slice(first, first + run.gates * size)
            if run.merged:
                arrays["x_gates"][here, place].addmm_(state, part)
            else:
                product = torch.mm(state, part)
                if bias_h is not None:
                    product += bias_h[place]
                arrays["h_gates"][here, place] = product
        _evaluate(call, t)
    write_outputs(call, outputs)


def backward(call: Call, found: Mapping[str, Tensor]) -> None:
    """As `run_backward` of recurrence.cpp."""
    arrays, packing, shape = call.arrays, call.shape.packing, call.shape
    weight_h, size = arrays["weight_h"], arrays["weight_h"].shape[1]
    batch, time = _places(call)
    packed = [None if output is None else output[batch, time] for output in call.outputs]
    for t in reversed(range(packing.steps)):
        here = _rows(call, t, Place.STEP)
        running = slice(0, here.stop - here.start)
        for index, output in enumerate(packed):
            if output is not None:
                arrays[f"gradient{index}"][running] += output[here]
        _evaluate(call, t)
        total = torch.zeros_like(arrays["gradient0"][running])
        for run in shape.plan.runs:
            part = weight_h[run.first * size : (run.first + run.gates) * size]
            first = (run.first if run.merged else run.column) * size
            gates = arrays["x_gradients" if run.merged else "h_gradients"]
            total.addmm_(gates[here, first : first + run.gates * size], part)
        if "masked" in arrays:
            total *= arrays["hidden"][running]
        arrays["gradient0"][running] += total
    multiply_gradients(call, found)


def read_inputs(call: Call, bias: Tensor) -> None:
    """The products with the inputs of all steps, into x_gates."""
    arrays = call.arrays
    x = arrays["x"][_places(call)]
    torch.addmm(bias, x, arrays["weight_x"].t(), out=arrays["x_gates"])


def write_outputs(call: Call, outputs: Sequence[Tensor | None]) -> None:
    """The states after each step, into outputs [B, T, H]."""
    for index, output in enumerate(outputs):
        if output is not None:
            output[_places(call)] = call.arrays[f"state{index}"][call.shape.packing.batch :]


def multiply_gradients(call: Call, found: Mapping[str, Tensor]) -> None:
    """The gradients of inputs, weights and biases, once those of all gates are there."""
    arrays, shape = call.arrays, call.shape
    size = arrays["weight_h"].shape[1]
    batch, time = _places(call)
    gates = arrays["x_gradients"]
    previous = shape.packing.previous.long()
    states = arrays["masked"] if "masked" in arrays else arrays["state0"][previous]
    if "x" in found:
        found["x"][batch, time] = gates @ arrays["weight_x"]
    if "weight_x" in found:
        found["weight_x"].copy_(_sum_products(gates, arrays["x"][batch, time]))
    if "bias" in found:
        torch.sum(gates, 0, out=found["bias"])
    if "bias_h" in found and shape.plan.separate:
        torch.sum(arrays["h_gradients"], 0, out=found["bias_h"])
    if "weight_h" in found:
        for run in shape.plan.runs:
            first = (run.first if run.merged else run.column) * size
            part = arrays["x_gradients" if run.merged else "h_gradients"]
            part = part[:, first : first + run.gates * size]
            rows = slice(run.first * size, (run.first + run.gates) * size)
            found["weight_h"][rows] = _sum_products(part, states)


def _sum_products(a: Tensor, b: Tensor) -> Tensor:
    """The transpose of a [N, M], times b [N, D].

    Blocks of rows are added up apart, as the compiled products do it: in one long sum of small
    products float32 loses a digit. On a GPU a product's rows are shared out anyway.
    """
    if a.is_cuda:
        return a.t() @ b
    total = a.new_zeros(a.shape[1], b.shape[1])
    for some, others in zip(torch.split(a, _BLOCK), torch.split(b, _BLOCK), strict=True):
        total += some.t() @ others
    return total


def _places(call: Call) -> tuple[Tensor, Tensor]:
    """Row and time of each packed row."""
    return call.shape.packing.batch_index.long(), call.shape.time.long()


def _rows(call: Call, t: int, place: Place) -> slice:
    """The rows of an array that step t works on."""
    packing = call.shape.packing
    offset, count = int(packing.offset[t]), int(packing.running[t])
    if place is Place.PREVIOUS:
        offset = packing.batch + int(packing.offset[t - 1]) if t else 0
    elif place is Place.NEXT:
        offset += packing.batch
    elif place is Place.ROW:
        offset = 0
    return slice(offset, offset + count)


def _view(call: Call, slot: Slot, t: int) -> Tensor:
    array = call.arrays[slot.array]
    if slot.place is Place.FIXED:
        return array
    if slot.place is Place.THREAD:
        return array[0]
    rows = array[_rows(call, t, slot.place)]
    size = 1 if slot.array == "kept_rows" else call.arrays["weight_h"].shape[1]
    return rows[:, slot.column * size : (slot.column + 1) * size]


def _evaluate(call: Call, t: int) -> None:
    """The pointwise part of step t."""
    function = call.step.function
    graph = call.shape.plan.pointwise.graph
    views = [_view(call, slot, t) for slot in call.step.slots]
    count = len(function.inputs)
    inputs = {
        # A new state may be one number for a row, and is spread over the row where it is kept.
        value: view if graph.nodes[value].wide or view.dim() < 2 else view[:, :1]
        for value, view in zip(function.inputs, views, strict=False)
    }
    values = graph.evaluate(inputs, [result.value for result in function.results])
    # All is computed before anything is written: results may lie where inputs did.
    values = [
        v.clone() if r.value in inputs else v for r, v in zip(function.results, values, strict=True)
    ]
    rows = int(call.shape.packing.running[t])
    for result, place, value in zip(function.results, views[count:], values, strict=True):
        if result.added:
            place += value.expand(rows, *place.shape[-1:]).sum(0)
        else:
            place.copy_(value)
