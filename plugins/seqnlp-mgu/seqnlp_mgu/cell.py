"""The minimal gated unit."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp import GatedCell, State


class MGUCell(GatedCell):
    r"""Minimal gated unit: one gate both forgets and resets.

        f = sigmoid(x_f + h_f)      n = tanh(x_n + f * h_n)
        h' = (1 - f) * h + f * n

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked f, n.
    Source: Zhou et al. 2016, arXiv:1603.09420, equations 5 to 7, with the gate applied after the
    recurrent product, as torch.nn.GRU does, so that a step has one product and not two.
    """

    gates = 2
    recurrent_bias = True

    def update(
        self, x_gates: tuple[Tensor, ...], h_gates: tuple[Tensor, ...], state: State
    ) -> State:
        """See the class."""
        f = sigmoid(x_gates[0] + h_gates[0])
        n = tanh(x_gates[1] + f * h_gates[1])
        return ((1 - f) * state[0] + f * n,)
