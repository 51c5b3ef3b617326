"""The update gate network."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp import GatedCell, State


class UGRNNCell(GatedCell):
    r"""Update gate network: one gate says how much of the state is kept.

        g = sigmoid(x_g + h_g)      c = tanh(x_c + h_c)      h' = g * h + (1 - g) * c

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked g, c.
    Source: Collins et al. 2017, arXiv:1611.09913.
    """

    gates = 2
    forget_gate = 0

    def update(
        self, x_gates: tuple[Tensor, ...], h_gates: tuple[Tensor, ...], state: State
    ) -> State:
        """See the class."""
        g = sigmoid(x_gates[0] + h_gates[0])
        c = tanh(x_gates[1] + h_gates[1])
        return (g * state[0] + (1 - g) * c,)
