"""The simple recurrent unit."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn, sigmoid

from seqnlp.nn.cells.base import Gates, Role
from seqnlp.nn.cells.linear import GatedLinearCell, make_gates


class SRUCell(GatedLinearCell):
    r"""One step of a simple recurrent unit, in the form that is linear in its state.

        f = sigmoid(x_f)      c' = f * c + (1 - f) * x_u
        r = sigmoid(W_r x + b_r)      y = r * tanh(c') + (1 - r) * s

    s, what the highway carries, is x where I is H, and else W_s x.

    x: float [B, I].  state: (c,), c float [B, H].  Weights stacked u, f.
    Source: Lei et al. 2017, arXiv:1709.02755v1, equations 3 to 7, where u has no bias (ours starts
    at zero). In the version of EMNLP 2018 the gates see the state: that is no linear recurrence.
    """

    gates = 2
    gate_names = ("candidate", "forget")
    forget_gate = 1

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_r, self.bias_r = make_gates(1, input_size, hidden_size)
        self.weight_s: nn.Parameter | None = None
        if input_size != hidden_size:
            self.weight_s, _ = make_gates(1, input_size, hidden_size)

    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        """See the class."""
        u, f = x_gates[0], sigmoid(x_gates[1])
        return f, (1 - f) * u

    def output(self, h: Tensor, x: Tensor) -> Tensor:
        """See the class."""
        r = sigmoid(F.linear(x, self.weight_r, self.bias_r))
        carried = x if self.weight_s is None else F.linear(x, self.weight_s)
        return torch.lerp(carried, torch.tanh(h), r)

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """Those of the gates, of the highway and of its gate."""
        yield from super().weight_blocks()
        yield Role.INPUT, self.weight_r
        yield Role.BIAS, self.bias_r
        if self.weight_s is not None:
            yield Role.INPUT, self.weight_s
