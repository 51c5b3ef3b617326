"""The gated recurrent unit as it was first published."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.nn.cells.base import Cell, Role, State, gate_blocks


class ResetBeforeGRUCell(Cell):
    r"""One step of a gated recurrent unit, the reset gate applied before the product.

        r = sigmoid(W_r x + U_r h + b_r)      z = sigmoid(W_z x + U_z h + b_z)
        n = tanh(W_n x + U_n (r * h) + b_n)   h' = (1 - z) * n + z * h

    x: float [B, I].  state: (h,), h float [B, H].  W [3H, I], U [3H, H] and b [3H] are stacked
    r, z, n. The second recurrent product waits for the first, so no step is one product.
    Source: Cho et al. 2014, arXiv:1406.1078, equations 5 to 8.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        return (self.weight_h.new_zeros(batch_size, self.hidden_size),)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; the output is h."""
        (h,) = state
        x_r, x_z, x_n = F.linear(x, self.weight_x, self.bias).chunk(3, dim=1)
        gates, candidate = self.weight_h.tensor_split([2 * self.hidden_size])
        h_r, h_z = F.linear(h, gates).chunk(2, dim=1)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = tanh(x_n + F.linear(r * h, candidate))
        h = (1 - z) * n + z * h
        return h, (h,)

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the two weights, gate by gate, and the bias."""
        yield from gate_blocks(3, self.weight_x, self.weight_h, self.bias)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.input_size}, {self.hidden_size}"
