"""A cell that is a controller and a memory beside it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import Cell, Role, State

Controller: TypeAlias = Literal["lstm", "feedforward"]


class MemoryCell(Cell):
    r"""A controller that reads and writes a memory of its own; a subclass says how.

        h' = controller([x, r], h)      r', M' = access(W_p h' + b_p, M)      y = h' + W_r r'

    The output y sees what was read at this step, the controller what was read at the step before.
    The controller is an LSTM, gates stacked i, f, g, o, or tanh(W [x, r] + b).

    x: float [B, I].  state: (h, c, r, M...) with an LSTM, else (r, M...): h, c float [B, H], r
    float [B, R], and the leaves of the memory M. h, c and r begin with values that are learned.

    Args:
        controller: "lstm" or "feedforward".
        interface_size: P, the numbers by which the controller steers the memory.
        read_size: R, what is read at a step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        controller: Controller,
        interface_size: int,
        read_size: int,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.controller = controller
        gates = 4 if controller == "lstm" else 1
        self.weight_x = nn.Parameter(torch.empty(gates * hidden_size, input_size + read_size))
        self.bias = nn.Parameter(torch.zeros(gates * hidden_size))
        nn.init.xavier_uniform_(self.weight_x)
        if controller == "lstm":
            self.weight_h = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
            nn.init.uniform_(self.weight_h, -(hidden_size**-0.5), hidden_size**-0.5)
            self.first_h = nn.Parameter(torch.zeros(hidden_size))
            self.first_c = nn.Parameter(torch.zeros(hidden_size))
        self.first_reads = nn.Parameter(0.01 * torch.randn(read_size))
        self.interface = nn.Linear(hidden_size, interface_size)
        self.reading = nn.Linear(read_size, hidden_size, bias=False)
        for layer in (self.interface, self.reading):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.interface.bias)

    @abstractmethod
    def initial_memory(self, batch_size: int) -> State:
        """The leaves of the memory before the first step."""

    @abstractmethod
    def access(self, interface: Tensor, memory: State) -> tuple[Tensor, State]:
        """Write and read.

        Args:
            interface: float [B, P], of any size of number.
            memory: its leaves.

        Returns:
            What is read, float [B, R], and the memory afterwards.
        """

    def initial_state(self, batch_size: int) -> State:
        """What is learned, and a memory in which nothing is written."""
        first = [self.first_reads]
        if self.controller == "lstm":
            first = [self.first_h, self.first_c, self.first_reads]
        leaves = (leaf.expand(batch_size, -1) for leaf in first)
        return (*leaves, *self.initial_memory(batch_size))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; the output is y."""
        control: State
        if self.controller == "lstm":
            h, c, reads, *memory = state
            seen = torch.cat((x, reads), 1)
            control = torch.lstm_cell(seen, (h, c), self.weight_x, self.weight_h, self.bias)
            h = control[0]
        else:
            reads, *memory = state
            h = torch.tanh(F.linear(torch.cat((x, reads), 1), self.weight_x, self.bias))
            control = ()
        reads, after = self.access(self.interface(h), tuple(memory))
        return torch.addmm(h, reads, self.reading.weight.t()), (*control, reads, *after)

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the controller; the interface keeps the values it was made with."""
        if self.controller == "lstm":
            yield from ((Role.INPUT, block) for block in self.weight_x.chunk(4))
            yield from ((Role.RECURRENT, block) for block in self.weight_h.chunk(4))
        else:
            yield Role.INPUT, self.weight_x
        yield Role.BIAS, self.bias
        if self.controller == "lstm":
            yield Role.FORGET_BIAS, self.bias.chunk(4)[1]


def check_size(name: str, value: int, *, least: int = 1) -> int:
    """The value, if it is large enough.

    Raises:
        InputError: it is not.
    """
    if value < least:
        raise InputError(f"{name} must be at least {least}, not {value}")
    return value
