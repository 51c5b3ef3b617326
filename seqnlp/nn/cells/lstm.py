"""Long short-term memory."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, NativeForm, State, drop


class LSTMCell(GatedCell):
    r"""One step of long short-term memory.

        i = sigmoid(x_i + h_i)      f = sigmoid(x_f + h_f)      o = sigmoid(x_o + h_o)
        g = tanh(x_g + h_g)         c' = f * c + i * g          h' = o * tanh(c')

    x: float [B, I].  state: (h, c), each float [B, H].  Weights stacked i, f, g, o.  Masked: g.
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; this form is
    the one torch.nn.LSTM computes.
    """

    gates = 4
    gate_names = ("input", "forget", "candidate", "output")
    states = 2
    forget_gate = 1
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
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f) * state[1] + sigmoid(i) * drop(tanh(g), candidate_mask)
        return sigmoid(o) * tanh(c), c

    def native(self) -> NativeForm | None:
        """torch.nn.LSTM."""
        return NativeForm.LSTM if self._computes_as(LSTMCell) else None
