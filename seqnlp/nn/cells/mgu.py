"""The minimal gated unit."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, State, drop


class MGUCell(GatedCell):
    r"""One step of a minimal gated unit: one gate both forgets and resets.

        f = sigmoid(x_f + h_f)      n = tanh(x_n + f * h_n)      h' = (1 - f) * h + f * n

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked f, n.  Masked: n.
    Source: Zhou et al. 2016, arXiv:1603.09420, equations 5 to 7, with the gate applied after the
    recurrent product, as torch.nn.GRU does, so that a step has one product and not two.
    """

    gates = 2
    gate_names = ("forget", "candidate")
    # The gate scales h_n with its bias, so that bias cannot be merged into the input's.
    recurrent_bias = True
    masks = ("candidate_mask",)

    def update(
        self,
        x_gates: Gates,
        h_gates: Gates,
        state: State,
        *,
        candidate_mask: Tensor | None = None,
    ) -> State:
        """See the class."""
        f = sigmoid(x_gates[0] + h_gates[0])
        n = drop(tanh(x_gates[1] + f * h_gates[1]), candidate_mask)
        return ((1 - f) * state[0] + f * n,)
