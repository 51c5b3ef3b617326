"""Long short-term memory with coupled gates."""

from __future__ import annotations

from torch import Tensor, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, State, drop


class CIFGCell(GatedCell):
    r"""One step of an LSTM with coupled input and forget gate: it writes what it forgets.

        f = sigmoid(x_f + h_f)      g = tanh(x_g + h_g)      o = sigmoid(x_o + h_o)
        c' = f * c + (1 - f) * g    h' = o * tanh(c')

    x: float [B, I].  state: (h, c), each float [B, H].  Weights stacked f, g, o.
    Masked: g.
    Source: Greff et al. 2017, doi:10.1109/TNNLS.2016.2582924 (arXiv:1503.04069), variant CIFG;
    without the peepholes that all variants have there.
    """

    gates = 3
    gate_names = ("forget", "candidate", "output")
    states = 2
    forget_gate = 0
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
        f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        f = sigmoid(f)
        c = f * state[1] + (1 - f) * drop(tanh(g), candidate_mask)
        return sigmoid(o) * tanh(c), c
