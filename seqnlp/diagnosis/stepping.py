"""One step of a cell as a recurrent layer in evaluation takes it."""

from __future__ import annotations

from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.noise import Noise


def zoneout_of(layer: RecurrentLayer, cell: Cell) -> Noise | None:
    """The zoneout of a layer in evaluation, as the noise of one step of any rows."""
    noise = layer.dropout.draw(cell, 1, 1)
    return None if noise is None else noise.steps(1)[0]


def take_step(cell: Cell, x: Tensor, state: State, zoneout: Noise | None) -> tuple[Tensor, State]:
    """One step of a cell; the output and the new state."""
    if zoneout is None:
        output, new = cell(x, state)
        return output, new
    assert isinstance(cell, GatedCell)
    return cell.noisy_step(x, state, zoneout, cell.weight_h)
