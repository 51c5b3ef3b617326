"""Stacks that can be pushed and popped in part."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import State
from seqnlp_memory.base import Controller, MemoryCell, check_size

EMPTY = -1.0
"""What an empty place holds: no value that is pushed, which are between 0 and 1."""
ACTIONS = 3


class StackCell(MemoryCell):
    r"""A controller with stacks: at each step it pushes, pops and keeps, each in part.

        push, keep, pop = softmax(W_a h + b_a)            v = sigmoid(W_v h + b_v)
        S'(0) = push * v      + keep * S(0) + pop * S(1)
        S'(i) = push * S(i-1) + keep * S(i) + pop * S(i+1)

    What is read are the topmost places of all stacks after that.

    x: float [B, I].  state: (h, c, r, S), S float [B, K, N, W] of K stacks, the top first, -1 where
    nothing was pushed; see `MemoryCell` for the rest. What falls from place N - 1 is lost.
    Source: Joulin and Mikolov 2015, arXiv:1503.01007, equations 5 to 8, with values of W features,
    as the stack of Grefenstette et al. 2015, arXiv:1506.02516, has, and an LSTM to control it.

    Args:
        depth: N, the most values on a stack.
        width: W, features of a value.
        stacks: K.
        tops: how many of the topmost places are read.
        controller: "lstm", or "feedforward", which remembers by the stacks alone.

    Raises:
        InputError: a size that cannot be.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        depth: int = 128,
        width: int = 20,
        stacks: int = 1,
        tops: int = 1,
        controller: Controller = "lstm",
    ) -> None:
        check_size("depth", depth)
        check_size("width", width)
        check_size("stacks", stacks)
        if not 1 <= tops <= depth:
            raise InputError(f"tops must be 1 to the depth {depth}, not {tops}")
        super().__init__(
            input_size,
            hidden_size,
            controller=controller,
            interface_size=stacks * (ACTIONS + width),
            read_size=stacks * tops * width,
        )
        self.depth, self.width, self.stacks, self.tops = depth, width, stacks, tops

    def initial_memory(self, batch_size: int) -> State:
        """Empty stacks."""
        shape = (batch_size, self.stacks, self.depth, self.width)
        return (self.first_reads.new_full(shape, EMPTY),)

    def access(self, interface: Tensor, memory: State) -> tuple[Tensor, State]:
        """See `MemoryCell.access` and the class."""
        (stack,) = memory
        each = interface.view(-1, self.stacks, ACTIONS + self.width)
        actions, values = torch.split(each, [ACTIONS, self.width], 2)
        pushed = torch.sigmoid(values).unsqueeze(2)
        padded = torch.cat((pushed, stack, torch.full_like(pushed, EMPTY)), 2)
        # Window i holds what would come to place i by a push, by nothing and by a pop.
        windows = padded.unfold(2, ACTIONS, 1)
        shares = torch.softmax(actions, 2)[:, :, None, :, None]
        stack = torch.matmul(windows, shares).squeeze(4)
        # A copy: no leaf of the state is a view of another.
        return stack[:, :, : self.tops].flatten(1).clone(), (stack,)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return (
            f"{self.input_size}, {self.hidden_size}, depth={self.depth}, width={self.width}, "
            f"stacks={self.stacks}, tops={self.tops}"
        )
