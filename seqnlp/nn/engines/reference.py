"""The readable loop, which runs every cell and which the other engines are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.cells.checks import check_initial, check_step
from seqnlp.nn.engines.base import Engine, freeze
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.noise import Noise


class ReferenceEngine(Engine):
    """A Python loop over time: any cell, any state, any dtype."""

    name: ClassVar[str] = "reference"

    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """None, but that dropout inside a recurrence needs a gated cell."""
        if noise is None or isinstance(cell, GatedCell):
            return None
        return "dropout inside a recurrence needs a GatedCell"

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        if reverse:
            x = _reverse(x, padding)
            noise = noise and noise.map(lambda mask: _reverse(mask, padding))
        outputs = []
        for output, new in _walk(cell, x, padding, state, noise):
            outputs.append(output)
            state = new
        stacked = torch.stack(outputs).transpose(0, 1)
        if padding is not None:
            stacked = padding.zero(stacked)
        return (_reverse(stacked, padding) if reverse else stacked), state

    def run_states(
        self, cell: Cell, x: Tensor, padding: Padding | None, state: State, *, reverse: bool
    ) -> tuple[State, State]:
        """See `Engine.run_states`."""
        if reverse:
            x = _reverse(x, padding)
        states = [state for _, state in _walk(cell, x, padding, state, None)]
        leaves = []
        for steps in zip(*states, strict=True):
            leaf = torch.stack(steps, dim=1)
            flat = leaf.reshape(*leaf.shape[:2], -1)
            if padding is not None:
                flat = flat.masked_fill(~padding.mask.unsqueeze(2), 0)
            leaves.append((_reverse(flat, padding) if reverse else flat).view_as(leaf))
        return tuple(leaves), states[-1]


def _walk(
    cell: Cell, x: Tensor, padding: Padding | None, state: State, noise: Noise | None
) -> Iterator[tuple[Tensor, State]]:
    """The output of each step, and the state after it."""
    check_initial(cell, state)
    # What `update` returns has been looked at, and may be of another precision, as in all engines.
    looked_at = isinstance(cell, GatedCell) and cell.splits
    noisy: GatedCell | None = None
    if noise is not None:
        assert isinstance(cell, GatedCell)
        noisy = cell
        weight_h = cell.weight_h if noise.weight is None else cell.weight_h * noise.weight
        steps = noise.steps(x.shape[1])
    # unbind, not x[:, t]: the gradient of each such slice is as large as x, so backward would
    # take time quadratic in T.
    running = [None] * x.shape[1] if padding is None else padding.mask.unbind(1)
    for t, (x_t, running_t) in enumerate(zip(x.unbind(1), running, strict=True)):
        if noisy is not None:
            output, new = noisy.noisy_step(x_t, state, steps[t], weight_h)
        elif cell.rows_interact and running_t is not None:
            output, new = _step_running(cell, x_t, state, running_t)
        else:
            result = cell(x_t, state)
            # Once: freezing would broadcast a leaf of another shape, and say nothing.
            output, new = result if t or looked_at else check_step(cell, result, state)
        state = new if running_t is None else freeze(running_t, new, state)
        yield output, state


def _reverse(x: Tensor, padding: Padding | None) -> Tensor:
    return x.flip(1) if padding is None else padding.reverse(x)


def _step_running(cell: Cell, x: Tensor, state: State, running: Tensor) -> tuple[Tensor, State]:
    """Step the rows that still run by themselves; the others put out zero and keep their state."""
    rows = running.nonzero().squeeze(1)
    if len(rows) == 0:
        return x.new_zeros(len(x), cell.hidden_size), state
    output, new = cell(x.index_select(0, rows), tuple(leaf.index_select(0, rows) for leaf in state))
    outputs = output.new_zeros(len(x), cell.hidden_size).index_copy(0, rows, output)
    leaves = (old.index_copy(0, rows, leaf) for old, leaf in zip(state, new, strict=True))
    return outputs, tuple(leaves)
