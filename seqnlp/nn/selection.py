"""A gate on an encoder's states: what of a source is worth being told of."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from seqnlp.nn.affine import Affine
from seqnlp.types import Encoded


class SelectionGate(nn.Module):
    r"""Lets through of every state what the whole text makes of it.

        gate_t = sigmoid(W h_t + U summary + b)         h'_t = h_t * gate_t

    Source: Zhou et al. 2017, arXiv:1704.07073, equations 9 and 10.

    Args:
        size: D, features of the states.
        summary_size: features of the summary.
    """

    def __init__(self, size: int, summary_size: int) -> None:
        super().__init__()
        self.state_map = Affine(size, size, bias=False)
        self.summary_map = Affine(summary_size, size)

    def forward(self, encoded: Encoded) -> Encoded:
        """The same with gated states; those on padding stay zero."""
        states: Tensor = self.state_map(encoded.states)
        gate = torch.sigmoid(states + self.summary_map(encoded.summary).unsqueeze(1))
        return replace(encoded, states=encoded.states * gate)
