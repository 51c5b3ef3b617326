"""The layer from features to a vocabulary, with a loss that never holds the logits of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.engines.affine import affine
from seqnlp.nn.engines.softmax_loss import softmax_loss


class OutputLayer(nn.Module):
    """Logits W x + b over a vocabulary, and their cross-entropy.

    Args:
        size: D, features of an input.
        vocabulary_size: V.
        weight: float [V, D] to share, as with the embedding of the same vocabulary (Press and Wolf
            2017, arXiv:1608.05859); None for one of its own, from U(-1/sqrt(D), 1/sqrt(D)).
        bias: whether there is one; it begins at 0.

    Raises:
        InputError: a size below 1, or a weight of another shape.
    """

    def __init__(
        self,
        size: int,
        vocabulary_size: int,
        *,
        weight: nn.Parameter | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if size < 1 or vocabulary_size < 1:
            raise InputError(
                f"size and vocabulary_size must be at least 1, not {size} and {vocabulary_size}"
            )
        if weight is None:
            bound = size**-0.5
            weight = nn.Parameter(torch.empty(vocabulary_size, size).uniform_(-bound, bound))
        elif weight.shape != (vocabulary_size, size):
            raise InputError(
                f"weight must be float [{vocabulary_size}, {size}], not {list(weight.shape)}"
            )
        self.size = size
        self.vocabulary_size = vocabulary_size
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocabulary_size)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float [..., V], of float [..., D]."""
        linear = F.linear if torch.is_grad_enabled() else affine
        return linear(x, self.weight, self.bias)

    def loss(self, x: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The sum of the cross-entropies of rows, in nats, smoothed as `F.cross_entropy` does.

        The gradients are computed here, unless gradients are disabled, for a chunk of rows at a
        time: no memory grows with N times V. A gradient of these gradients there is not.

        Args:
            x: float [N, D], of real tokens only.
            targets: int64 [N], each in 0..V-1.
            smoothing: in 0..1, see `softmax_loss`.

        Raises:
            InputError: shapes, types or smoothing are others; on a CPU, a target that is no class.
        """
        return softmax_loss(x, self.weight, self.bias, targets, smoothing=smoothing)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.size}, {self.vocabulary_size}"
