"""The gated recurrent unit."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, NativeForm, State, drop


class GRUCell(GatedCell):
    r"""One step of a gated recurrent unit, the reset gate applied after the product.

        r = sigmoid(x_r + h_r)      z = sigmoid(x_z + h_z)      n = tanh(x_n + r * h_n)
        h' = (1 - z) * n + z * h

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked r, z, n.  Masked: n.
    Source: Cho et al. 2014, arXiv:1406.1078; this form is the one torch.nn.GRU computes.
    """

    gates = 3
    gate_names = ("reset", "update", "candidate")
    # The reset gate scales h_n with its bias, so that bias cannot be merged into the input's.
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
        r = sigmoid(x_gates[0] + h_gates[0])
        z = sigmoid(x_gates[1] + h_gates[1])
        n = drop(tanh(x_gates[2] + r * h_gates[2]), candidate_mask)
        return ((1 - z) * n + z * state[0],)

    def native(self) -> NativeForm | None:
        """torch.nn.GRU."""
        return NativeForm.GRU if self._computes_as(GRUCell) else None
