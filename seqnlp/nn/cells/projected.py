"""Long short-term memory with a projected output."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Cell, Role, State, gate_blocks


class ProjectedLSTMCell(Cell):
    r"""One step of an LSTM with a large memory and a small output.

        i = sigmoid(W_i x + U_i h + b_i)      f = sigmoid(W_f x + U_f h + b_f)
        g = tanh(W_g x + U_g h + b_g)         o = sigmoid(W_o x + U_o h + b_o)
        c' = f * c + i * g                    h' = P (o * tanh(c'))

    x: float [B, I].  state: (h, c), h float [B, H], c float [B, C].  W [4C, I], U [4C, H] and
    b [4C] are stacked i, f, g, o; P [H, C].
    Source: Sak et al. 2014, arXiv:1402.1128, without peepholes and without the second projection,
    which no step reads; this form is the one torch.nn.LSTM computes with `proj_size`.

    Args:
        cell_size: C, features of the memory; None for 2H.

    Raises:
        InputError: `cell_size` is less than 1.
    """

    def __init__(self, input_size: int, hidden_size: int, *, cell_size: int | None = None) -> None:
        super().__init__(input_size, hidden_size)
        size = 2 * hidden_size if cell_size is None else cell_size
        if size < 1:
            raise InputError(f"cell_size must be at least 1, not {size}")
        self.cell_size = size
        self.weight_x = nn.Parameter(torch.empty(4 * size, input_size))
        self.weight_h = nn.Parameter(torch.empty(4 * size, hidden_size))
        self.bias = nn.Parameter(torch.empty(4 * size))
        self.projection = nn.Parameter(torch.empty(hidden_size, size))
        bound = size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        zeros = self.weight_h.new_zeros
        return zeros(batch_size, self.hidden_size), zeros(batch_size, self.cell_size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; the output is h."""
        h, c = state
        gates = F.linear(x, self.weight_x, self.bias) + F.linear(h, self.weight_h)
        i, f, g, o = gates.chunk(4, dim=1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = F.linear(sigmoid(o) * tanh(c), self.projection)
        return h, (h, c)

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the weights, gate by gate, the projection and the bias."""
        yield from gate_blocks(4, self.weight_x, self.weight_h, self.bias, forget_gate=1)
        yield Role.RECURRENT, self.projection

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.input_size}, {self.hidden_size}, cell_size={self.cell_size}"
