"""Attention of a decoder to its own past."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqnlp.nn.affine import Affine
from seqnlp.nn.attention.base import masked_softmax


class IntraAttention(nn.Module):
    r"""Attends, at each step, to the states of all steps before.

        score_tu = h_t . W h_u      context_t = sum over u < t of softmax_u(score_tu) h_u

    The first context is zero. Work and memory grow with the square of a target's length.
    Source: Paulus et al. 2018, arXiv:1705.04304, equations 6 to 8.

    Args:
        size: H, features of a state and of a context.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.projection = Affine(size, size, bias=False)

    def forward(self, states: Tensor, past: Tensor) -> Tensor:
        """Contexts of T states in a row, float [B, T, H].

        Args:
            states: float [B, T, H].
            past: float [B, P, H], the states before them.
        """
        everything = torch.cat([past, states], dim=1)
        scores = self.projection(states) @ everything.transpose(1, 2)
        before = torch.ones_like(scores[0], dtype=torch.bool).tril(past.shape[1] - 1)
        return masked_softmax(scores, before) @ everything
