"""One direction of a recurrent layer as a plain loop: every row in the order of its reading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqnlp.diagnosis.stepping import take_step, zoneout_of
from seqnlp.diagnosis.watching import Call
from seqnlp.nn.cells.base import Cell, State
from seqnlp.nn.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a cell read in one call, each row from its first step to its last, the longest first.

    cell: in evaluation mode. x: float [B, T, I]. lengths: int64 [B], descending, each at least 1.
    states: the leaves before every step, [B, T, ...]. outputs: float [B, T, H]. gradients: float
    [B, T, H], of the loss with respect to the outputs, as it came from above. zoneout: of
    evaluation, as the noise of one step; None for none. truncation: steps after which the loss's
    gradient goes no further back; 0 for no such limit.
    """

    cell: Cell
    x: Tensor
    lengths: Tensor
    states: State
    outputs: Tensor
    gradients: Tensor
    zoneout: Noise | None
    truncation: int

    def from_ends(self, x: Tensor, distances: int) -> Tensor:
        """[B, T, ...] as [distances, B, ...]: what each row had so many steps before its last.

        Of a row that has no such step it is that of its first.
        """
        rows, steps = torch.arange(len(x), device=x.device), self._steps(distances)
        return x[rows, steps.clamp(min=0)]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of any rows."""
        return take_step(self.cell, x, state, self.zoneout)

    def detached(self, distances: int) -> Tensor:
        """Bool [distances, B], True where the state before the step came without a gradient."""
        steps = self._steps(distances)
        return steps % self.truncation == 0 if self.truncation else torch.zeros_like(steps) > 0

    def running(self, distances: int) -> Tensor:
        """Bool [distances, B], True where a row has a step so many before its last."""
        return self._steps(distances) >= 0

    @property
    def real(self) -> Tensor:
        """Bool [B, T], True on the steps that rows have."""
        return torch.arange(self.x.shape[1], device=self.x.device) < self.lengths.unsqueeze(1)

    def _steps(self, distances: int) -> Tensor:
        back = torch.arange(distances, device=self.x.device)
        return self.lengths - 1 - back.unsqueeze(1)


def readings(calls: Sequence[Call]) -> Iterator[tuple[str, Cell, list[Reading]]]:
    """What each cell of a layer read, in all calls of it that had a step.

    Args:
        calls: of one layer, which is in evaluation mode.

    Yields:
        The direction, "" where there is one alone, else "forward" or "backward"; the cell; its
        readings.
    """
    layer = calls[0].layer
    cells = {"": layer.forward_cell}
    if layer.backward_cell is not None:
        cells = {"forward": layer.forward_cell, "backward": layer.backward_cell}
    for direction, cell in cells.items():
        found = (_read(call, cell, reverse=direction == "backward") for call in calls)
        yield direction, cell, [reading for reading in found if reading is not None]


@torch.no_grad()
def _read(call: Call, cell: Cell, *, reverse: bool) -> Reading | None:
    batch_size, time = call.x.shape[:2]
    padding = call.padding
    if padding is None:
        lengths = torch.full((batch_size,), time, device=call.x.device)
    else:
        lengths = padding.lengths
    order = torch.argsort(lengths, descending=True, stable=True)
    order = order[lengths[order] > 0]
    if len(order) == 0:
        return None

    def in_order(x: Tensor) -> Tensor:
        if reverse:
            x = x.flip(1) if padding is None else padding.reverse(x)
        return x.index_select(0, order)

    x = in_order(call.x)
    zoneout = zoneout_of(call.layer, cell)
    state = cell.initial_state(batch_size) if call.state is None else call.state
    state = tuple(leaf.index_select(0, order) for leaf in state)
    outputs, states = [], []
    for x_t in x.unbind(1):
        states.append(state)
        output, state = take_step(cell, x_t, state, zoneout)
        outputs.append(output)
    size = cell.hidden_size
    return Reading(
        cell=cell,
        x=x,
        lengths=lengths.index_select(0, order),
        states=tuple(torch.stack(leaves, dim=1) for leaves in zip(*states, strict=True)),
        outputs=torch.stack(outputs, dim=1),
        gradients=in_order(call.gradient[:, :, size:] if reverse else call.gradient[:, :, :size]),
        zoneout=zoneout,
        truncation=call.layer.truncation,
    )
