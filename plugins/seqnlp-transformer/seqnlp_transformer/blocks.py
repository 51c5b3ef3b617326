"""What the layers of encoder and decoder are made of: heads, self-attention, feedforward."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import Affine, DropoutSite, Site
from seqnlp_transformer.positions import rotate

Activation: TypeAlias = Literal["relu", "gelu"]


class WeightDropout(Site):
    """The dropout site "attention": single weights, of a kind of their own."""

    def __init__(self) -> None:
        super().__init__(
            "attention", kind="weights", kinds=("weights",), where="on weights of an attention"
        )

    @property
    def now(self) -> float:
        """The rate that holds now."""
        return self.rate if self.training else 0.0


def check_sizes(
    hidden_size: int, layers: int, heads: int, feedforward: int | None, *, even: bool
) -> None:
    """Refuse sizes that make no layer.

    Raises:
        InputError: a number below 1; heads that do not divide the hidden size, or whose size is
            odd where it must be even.
    """
    numbers = {"hidden_size": hidden_size, "layers": layers, "heads": heads}
    if feedforward is not None:
        numbers["feedforward"] = feedforward
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{name} must be at least 1, not {number}")
    if hidden_size % heads:
        raise InputError(
            f"heads = {heads} does not divide hidden_size = {hidden_size}; "
            f"take {_divisor(hidden_size, heads)}"
        )
    if even and hidden_size // heads % 2:
        raise InputError(
            f"rotary positions turn pairs of features, but with hidden_size = {hidden_size} and "
            f"heads = {heads} a head has {hidden_size // heads}; take another number of heads, or "
            'positions = "sinusoidal"'
        )


def _divisor(size: int, near: int) -> int:
    found = (number for number in range(1, size + 1) if size % number == 0)
    return min(found, key=lambda number: abs(number - near))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Float [B, heads, T, size] of [B, T, heads * size]."""
    return x.view(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """Float [B, T, heads * size] of [B, heads, T, size]."""
    return x.transpose(1, 2).flatten(2)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, *, causal: bool, rate: float
) -> Tensor:
    """softmax(q k / sqrt(size)) v by torch's kernels, which hold no weights where they need not.

    Args:
        queries: float [B, heads, T, size].
        keys: float [B, heads, S, size]; values of the same shape.
        mask: bool, of a shape that goes with [B, heads, T, S]; True where there is something to
            see, at least once in each row.
        causal: instead of a mask: a query sees the keys up to its own place.
        rate: share of the weights that are dropped.
    """
    return F.scaled_dot_product_attention(
        queries, keys, values, attn_mask=mask, dropout_p=rate, is_causal=causal
    )


def weigh(queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
    """The weights alone, float [B, heads, T, S], exactly 0 where the mask is False."""
    scores = (queries @ keys.transpose(2, 3)) * queries.shape[3] ** -0.5
    least = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, least), dim=3).masked_fill(~mask, 0.0)


class SelfAttention(nn.Module):
    """Attention of each position to the others of its row, several heads at once.

    Dropout sites: "attention" on the weights, "layer" on the output.

    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.

    Args:
        size: H, features of an input and of an output.
        heads: how many; each has H / heads features.
        rotary: whether queries and keys are turned by their position.
    """

    def __init__(self, size: int, heads: int, *, rotary: bool) -> None:
        super().__init__()
        self.heads, self.rotary = heads, rotary
        self.inputs = Affine(size, 3 * size)
        self.outputs = Affine(size, size)
        self.weight_dropout = WeightDropout()
        self.dropout = DropoutSite("layer")

    def project(self, x: Tensor, begin: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, float [B, heads, T, size], the first of position `begin`."""
        queries, keys, values = (
            split_heads(part, self.heads) for part in self.inputs(x).chunk(3, dim=2)
        )
        if not self.rotary:
            return queries, keys, values
        return rotate(queries, begin), rotate(keys, begin), values

    def finish(self, attended: Tensor) -> Tensor:
        """What is added to the input, float [B, T, H], of [B, heads, T, size]."""
        made: Tensor = self.dropout(self.outputs(join_heads(attended)))
        return made


class FeedForward(nn.Module):
    """Two linear maps of each position by itself: W2 f(W1 x + b1) + b2.

    Dropout sites: "feedforward" between them, "layer" on the output.

    Args:
        size: H, features of an input and of an output.
        inner: features between the maps.
        activation: f.
    """

    def __init__(self, size: int, inner: int, activation: Activation) -> None:
        super().__init__()
        self.inputs = Affine(size, inner)
        self.outputs = Affine(inner, size)
        self.activation = activation
        self.inner_dropout = DropoutSite("feedforward")
        self.dropout = DropoutSite("layer")

    def forward(self, x: Tensor) -> Tensor:
        """What is added to the input, float [B, T, H]."""
        h = self.inputs(x)
        h = F.relu(h) if self.activation == "relu" else F.gelu(h)
        made: Tensor = self.dropout(self.outputs(self.inner_dropout(h)))
        return made


def initialize(module: nn.Module) -> None:
    """Draw all linear maps as Glorot and Bengio 2010 do, with biases of zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
