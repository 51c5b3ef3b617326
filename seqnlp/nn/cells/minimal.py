"""The smallest gated recurrences: gates that see the input alone."""

from __future__ import annotations

from torch import Tensor, exp, sigmoid

from seqnlp.nn.cells.base import Gates
from seqnlp.nn.cells.linear import GatedLinearCell


class MinGRUCell(GatedLinearCell):
    r"""One step of a minimal GRU.

        z = sigmoid(x_z)      h' = (1 - z) * h + z * x_n

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked z, n.
    Source: Feng et al. 2024, arXiv:2410.01201, section 3.1. The candidate is unbounded, as there;
    the variant that keeps it positive serves a scan of logarithms, which no engine here takes.
    """

    gates = 2
    gate_names = ("update", "candidate")

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        """See the class."""
        z = sigmoid(x_gates[0])
        return 1 - z, z * x_gates[1]


class MinLSTMCell(GatedLinearCell):
    r"""One step of a minimal LSTM, its two gates scaled so that they add up to one.

        f = sigmoid(x_f)      i = sigmoid(x_i)      h' = f / (f + i) * h + i / (f + i) * x_n

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked f, i, n.
    Source: Feng et al. 2024, arXiv:2410.01201, section 3.2, with the candidate unbounded.
    """

    gates = 3
    gate_names = ("forget", "input", "candidate")
    forget_gate = 0

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)

    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        """See the class."""
        f, i, n = x_gates
        # i / (f + i), both parts over f * i; what is below 1e-34 counts as that, not to overflow.
        f, i = exp(-f.clamp(min=-80)), exp(-i.clamp(min=-80))
        z = (1 + f) / (2 + f + i)
        return 1 - z, z * n
