"""The scalar memory of the extended LSTM."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, exp, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, State, drop


class SLSTMCell(GatedCell):
    r"""One step of an LSTM with an exponential input gate, which can revise what it stored.

        i = exp(x_i + h_i)      f = sigmoid(x_f + h_f) or exp(x_f + h_f)
        z = tanh(x_z + h_z)     o = sigmoid(x_o + h_o)
        c' = f * c + i * z      n' = f * n + i      h' = o * c' / n'

    So that nothing overflows, c and n are kept divided by exp(m), m' = max(log f + m, log i), or
    log i where n is still zero; then n' is never below 1, and h' does not change.

    x: float [B, I].  state: (h, c, n, m), each float [B, H].  Weights stacked i, f, z, o.
    Masked: z.
    Source: Beck et al. 2024, arXiv:2405.04517, equations 8 to 17; one head, its recurrent weight
    not sparse; the blocks of norms and projections around it are not part of it.

    Args:
        forget: the function of the forget gate.
    """

    gates = 4
    gate_names = ("input", "forget", "candidate", "output")
    states = 4
    forget_gate = 1
    masks = ("candidate_mask",)

    def __init__(
        self, input_size: int, hidden_size: int, *, forget: Literal["sigmoid", "exp"] = "sigmoid"
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.forget = forget

    def update(
        self,
        x_gates: Gates,
        h_gates: Gates,
        state: State,
        *,
        candidate_mask: Tensor | None = None,
    ) -> State:
        """See the class."""
        log_i, f, z, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        _, c, n, m = state
        log_f = f if self.forget == "exp" else -F.softplus(-f)
        # An empty memory has no scale to keep; with one of its own, i could underflow to 0 / 0.
        kept = torch.where(n == 0, log_i, log_f + m)
        new_m = torch.maximum(kept, log_i)
        i, f = exp(log_i - new_m), exp(kept - new_m)
        new_c = f * c + i * drop(tanh(z), candidate_mask)
        new_n = f * n + i
        return sigmoid(o) * new_c / new_n, new_c, new_n, new_m

    def extra_repr(self) -> str:
        """Sizes and forget gate, for printing."""
        return f"{super().extra_repr()}, forget={self.forget!r}"
