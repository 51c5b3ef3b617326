"""The readable loop, which runs every cell and which the other engines are compared with."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, State
from seqnlp.nn.engines.base import Engine, freeze
from seqnlp.nn.engines.padding import Padding


class ReferenceEngine(Engine):
    """A Python loop over time: any cell, any state, any dtype."""

    name: ClassVar[str] = "reference"

    def supports(self, cell: Cell, x: Tensor) -> bool:
        """Always."""
        return True

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        if reverse:
            x = x.flip(1) if padding is None else padding.reverse(x)
        outputs = []
        # unbind, not x[:, t]: the gradient of each such slice is as large as x, so backward would
        # take time quadratic in T.
        running = [None] * x.shape[1] if padding is None else padding.mask.unbind(1)
        for x_t, running_t in zip(x.unbind(1), running, strict=True):
            output, new = cell(x_t, state)
            state = new if running_t is None else freeze(running_t, new, state)
            outputs.append(output)
        stacked = torch.stack(outputs).transpose(0, 1)
        if padding is not None:
            stacked = padding.zero(stacked)
        if reverse:
            stacked = stacked.flip(1) if padding is None else padding.reverse(stacked)
        return stacked, state
