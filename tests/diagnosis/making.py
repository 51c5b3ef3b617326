"""Readings and reports made by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqnlp.diagnosis.gates import Block, GateUse
from seqnlp.diagnosis.reading import Reading, readings
from seqnlp.diagnosis.report import LayerReport
from seqnlp.diagnosis.through_time import Flow
from seqnlp.diagnosis.watching import Call
from seqnlp.nn.cells import Cell
from seqnlp.nn.cells.rnn import RNNCell
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer


def layer_of(cell: Cell, backward: Cell | None = None, **options: Any) -> RecurrentLayer:
    given = {"residual": False, "layer_norm": False, "engine": "auto", **options}
    return RecurrentLayer(cell, backward, **given).eval()


def read(
    cell: Cell, x: Tensor, gradient: Tensor | None = None, *, lengths: list[int] | None = None
) -> Reading:
    """What a cell reads of x [B, T, I] in one direction."""
    layer = layer_of(cell)
    padding = None if lengths is None else Padding.of(torch.tensor(lengths), x)
    given = torch.ones(*x.shape[:2], cell.hidden_size) if gradient is None else gradient
    call = Call(layer=layer, x=x, padding=padding, state=None, gradient=given)
    ((_, _, found),) = readings([call])
    return found[0]


def scaled_rnn(size: int, radius: float, *, activation: str = "tanh", inputs: int = 2) -> RNNCell:
    """A plain network whose recurrent weight is a rotation, times the radius."""
    torch.manual_seed(1)
    cell = RNNCell(inputs, size, activation=activation).eval()
    with torch.no_grad():
        torch.nn.init.orthogonal_(cell.weight_h)
        cell.weight_h *= radius
        cell.bias.zero_()
    return cell


def curve(factor: float, steps: int) -> tuple[float, ...]:
    return tuple(factor**k for k in range(steps + 1))


def flow(factor: float = 0.99, steps: int = 50, *, output: tuple[float, ...] = ()) -> Flow:
    carry = curve(factor, steps)
    return Flow(state=carry, output=output or (1.0, *[0.0] * steps), carry=carry)


def report(**values: Any) -> LayerReport:
    given: dict[str, Any] = {
        "name": "encoder layer 1", "path": "encoder.layers.0", "cell": "RNNCell",
        "remembers": False, "units": 20, "dead_units": 0, "rows": 8, "median_steps": 51,
        "flow": flow(), "gates": (), "blocks": (), **values,
    }  # fmt: skip
    return LayerReport(**given)


def gate(name: str, kind: str = "sigmoid", low: float = 0.0, high: float = 0.0) -> GateUse:
    return GateUse(name=name, kind=kind, mean=0.5, low=low, high=high)


def block(radius: float | None, name: str = "hidden") -> Block:
    return Block(name=name, radius=radius, norm=radius or 1.0)
