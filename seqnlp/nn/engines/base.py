"""What an engine is: the loop over time. Every engine gives the same values and gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Cell, State
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.noise import Noise


class Engine(ABC):
    """Runs cells over time."""

    name: ClassVar[str]

    @abstractmethod
    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """Why `run` does not take this cell on this input, with this dropout inside.

        Returns:
            A sentence without capital and full stop; None where it does.
        """

    def supports(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> bool:
        """Whether `run` takes this cell on this input, with this dropout inside."""
        return self.obstacle(cell, x, noise) is None

    @abstractmethod
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
        """Run a cell over every row.

        Args:
            cell: one that `supports` accepts.
            x: float [B, T, I], B and T at least 1, zero on padding.
            padding: where the rows end; None where all are full.
            state: before the first step.
            reverse: read each row from its last real step to its first.
            want_state: whether the caller reads the final state, which may cost time.
            noise: the masks of dropout inside the recurrence, for a `GatedCell`.

        Returns:
            Outputs, float [B, T, H], each at the time of its input and zero on padding; the state
            after each row's last step, or None where it was not asked for.
        """

    def step(self, cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step of every row, from float [B, I]: the output [B, H] and the new state.

        An engine that can do better than the cell itself overrides this.
        """
        output, state = cell(x, state)
        return output, state

    def run_states(
        self, cell: Cell, x: Tensor, padding: Padding | None, state: State, *, reverse: bool
    ) -> tuple[State, State]:
        """`run`, giving every leaf of the state as it was after each step.

        Returns:
            Leaves [B, T, ...], each at the time of its input and zero on padding; the final state.

        Raises:
            InputError: this engine gives outputs alone.
        """
        raise InputError(
            f"the engine {self.name!r} gives outputs alone, not states; use 'reference' or 'auto'"
        )

    def run_both(
        self,
        forward_cell: Cell,
        backward_cell: Cell,
        x: Tensor,
        padding: Padding | None,
        noise: tuple[Noise | None, Noise | None] = (None, None),
    ) -> Tensor:
        """Run two cells of one class in opposite directions, from their initial states.

        An engine that can do better than one after the other overrides this.

        Returns:
            Outputs, float [B, T, 2H], the forward cell's first, zero on padding.
        """
        outputs = []
        for cell, reverse in ((forward_cell, False), (backward_cell, True)):
            state = cell.initial_state(x.shape[0])
            ran, _ = self.run(
                cell, x, padding, state, reverse=reverse, want_state=False, noise=noise[reverse]
            )
            outputs.append(ran)
        return torch.cat(outputs, dim=2)


def freeze(running: Tensor, new: State, old: State) -> State:
    """`new` in the rows that still run, `old` in the others; running: bool [B].

    The mask takes each leaf's own rank: [B, 1] against a leaf [B, H, H] would broadcast over the
    wrong axis, and say nothing where B equals H.
    """
    return tuple(
        torch.where(running.view(-1, *(1 for _ in leaf.shape[1:])), leaf, before)
        for leaf, before in zip(new, old, strict=True)
    )
