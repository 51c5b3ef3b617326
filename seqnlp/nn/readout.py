"""A decoder's output, from what its layers and its attention say."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqnlp.nn.affine import Affine
from seqnlp.nn.dropout import DropoutSite


class Readout(nn.Module):
    r"""A decoder's output from its last layer and its context.

        y = tanh(W [h ; context] + b)       or, not deep, W [h ; context] + b

    Dropout site "context", on [h ; context].
    Source: Luong et al. 2015, arXiv:1508.04025, equation 5.

    Args:
        hidden_size: H.
        context_size: C.
        output_size: O.
        deep: whether there is the tanh.
    """

    def __init__(
        self, hidden_size: int, context_size: int, output_size: int, *, deep: bool
    ) -> None:
        super().__init__()
        self.map = Affine(hidden_size + context_size, output_size)
        self.deep = deep
        self.dropout = DropoutSite("context")

    def forward(self, h: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Outputs [..., O] of h [..., H] and context [..., C].

        Args:
            h: the last layer's outputs.
            context: the attention's.
            mask: of dropout, [..., H + C], where it was drawn before; else the site draws it.
        """
        joined = torch.cat([h, context], dim=-1)
        joined = self.dropout(joined) if mask is None else joined * mask
        mapped: Tensor = self.map(joined)
        return torch.tanh(mapped) if self.deep else mapped
