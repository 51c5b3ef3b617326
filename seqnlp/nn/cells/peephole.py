"""Long short-term memory whose gates see the memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, State, drop


class PeepholeLSTMCell(GatedCell):
    r"""One step of an LSTM whose gates also see the memory, each unit its own.

        i = sigmoid(x_i + h_i + p_i * c)      f = sigmoid(x_f + h_f + p_f * c)
        g = tanh(x_g + h_g)                   c' = f * c + i * g
        o = sigmoid(x_o + h_o + p_o * c')     h' = o * tanh(c')

    x: float [B, I].  state: (h, c), each float [B, H].  Weights stacked i, f, g, o; the peepholes
    p_i, p_f, p_o, each [H], begin at zero, where this is the plain LSTM.  Masked: g.
    Source: Gers and Schmidhuber 2000, doi:10.1109/IJCNN.2000.861302; in the form of Graves 2013,
    arXiv:1308.0850, equations 7 to 11.
    """

    gates = 4
    gate_names = ("input", "forget", "candidate", "output")
    states = 2
    forget_gate = 1
    masks = ("candidate_mask",)

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.peephole_i = nn.Parameter(torch.zeros(hidden_size))
        self.peephole_f = nn.Parameter(torch.zeros(hidden_size))
        self.peephole_o = nn.Parameter(torch.zeros(hidden_size))

    def update(
        self,
        x_gates: Gates,
        h_gates: Gates,
        state: State,
        *,
        peephole_i: Tensor,
        peephole_f: Tensor,
        peephole_o: Tensor,
        candidate_mask: Tensor | None = None,
    ) -> State:
        """See the class."""
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        old = state[1]
        g = drop(tanh(g), candidate_mask)
        c = sigmoid(f + peephole_f * old) * old + sigmoid(i + peephole_i * old) * g
        return sigmoid(o + peephole_o * c) * tanh(c), c
