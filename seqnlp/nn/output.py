"""The layer from features to a vocabulary, with a loss that never holds the logits of a batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.engines.affine import affine
from seqnlp.nn.engines.log_probabilities import log_probabilities
from seqnlp.nn.engines.softmax_loss import softmax_loss


class OutputLayer(nn.Module):
    """Logits W x + b over a vocabulary, and their cross-entropy.

    Args:
        size: D, features of an input.
        vocabulary_size: rows of the weight.
        weight: float [vocabulary_size, D] to share, as with the embedding of the same vocabulary
            (Press and Wolf 2017, arXiv:1608.05859); None for one of its own, float [V, D] from
            U(-1/sqrt(D), 1/sqrt(D)).
        bias: whether there is one; it begins at 0.
        classes: V, the first tokens of the vocabulary, which alone are told apart; all by default.

    Raises:
        InputError: a size below 1, a weight of another shape, or more classes than tokens.
    """

    def __init__(
        self,
        size: int,
        vocabulary_size: int,
        *,
        weight: nn.Parameter | None = None,
        bias: bool = True,
        classes: int | None = None,
    ) -> None:
        super().__init__()
        if size < 1 or vocabulary_size < 1:
            raise InputError(
                f"size and vocabulary_size must be at least 1, not {size} and {vocabulary_size}"
            )
        classes = vocabulary_size if classes is None else classes
        if not 1 <= classes <= vocabulary_size:
            raise InputError(f"classes must be in 1..{vocabulary_size}, not {classes}")
        if weight is None:
            bound = size**-0.5
            weight = nn.Parameter(torch.empty(classes, size).uniform_(-bound, bound))
        elif weight.shape != (vocabulary_size, size):
            raise InputError(
                f"weight must be float [{vocabulary_size}, {size}], not {list(weight.shape)}"
            )
        self.size = size
        self.classes = classes
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(classes)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float [..., V], of float [..., D]."""
        linear = F.linear if torch.is_grad_enabled() else affine
        return linear(x, self._rows(), self.bias)

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
        return softmax_loss(x, self._rows(), self.bias, targets, smoothing=smoothing)

    def log_probabilities(self, x: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Those of the targets and their means over all classes, both float [N], in nats.

        For losses in which rows count by what is known after them only; memory is as flat as that
        of `loss`, which is quicker.

        Args:
            x: float [N, D].
            targets: int64 [N], each in 0..V-1.

        Raises:
            InputError: shapes or types are others; on a CPU, a target that is no class.
        """
        return log_probabilities(x, self._rows(), self.bias, targets)

    def _rows(self) -> Tensor:
        """The weight, float [V, D]."""
        return self.weight if len(self.weight) == self.classes else self.weight[: self.classes]

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.size}, {self.classes}"
