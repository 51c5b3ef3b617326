"""An encoder of Transformer layers."""

from __future__ import annotations

from torch import Tensor, nn

from seqnlp.nn import Affine, Encoder, Padding, check_input
from seqnlp.types import Encoded, lengths_to_mask
from seqnlp_transformer.blocks import (
    Activation,
    FeedForward,
    SelfAttention,
    attend,
    check_sizes,
    initialize,
)
from seqnlp_transformer.positions import Positions, sinusoids


class EncoderLayer(nn.Module):
    """h + attention(norm(h)), and of that h + feedforward(norm(h)).

    The norm stands before each part, so that gradients reach every layer at once.

    Source: Xiong et al. 2020, arXiv:2002.04745, figure 1 b.

    Args:
        size: H.
        heads: see `SelfAttention`, and so is `rotary`.
        inner: see `FeedForward`, and so is `activation`.
    """

    def __init__(
        self, size: int, heads: int, inner: int, activation: Activation, *, rotary: bool
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(size)
        self.attention = SelfAttention(size, heads, rotary=rotary)
        self.feedforward_norm = nn.LayerNorm(size)
        self.feedforward = FeedForward(size, inner, activation)

    def forward(self, h: Tensor, mask: Tensor | None) -> Tensor:
        """Float [B, T, H] to the same.

        Args:
            mask: bool [B, 1, 1, T], True where there is something to see; None where all is real.
        """
        own = self.attention
        queries, keys, values = own.project(self.attention_norm(h), 0)
        rate = own.weight_dropout.now
        h = h + own.finish(attend(queries, keys, values, mask, causal=False, rate=rate))
        made: Tensor = h + self.feedforward(self.feedforward_norm(h))
        return made


class TransformerEncoder(Encoder):
    """Layers in which each position attends to all others of its text.

    Inputs are mapped to H features and normalized, as in BERT, so that their scale does not matter
    (Devlin et al. 2019, arXiv:1810.04805). The summary is the mean of the states.

    Dropout sites: "layer" on what each part of a layer adds, "attention" on the weights,
    "feedforward" between its maps.

    Source: Vaswani et al. 2017, arXiv:1706.03762, with the norm before each part (Xiong et al.
    2020, arXiv:2002.04745).

    Args:
        input_size: features of an input.
        hidden_size: H, features of a state.
        layers: how many are stacked.
        heads: of each attention; they divide H among them.
        feedforward: features between the two maps of a layer; 4 H by default.
        activation: between these maps.
        positions: "rotary" turns queries and keys (Su et al. 2021, arXiv:2104.09864),
            "sinusoidal" adds sines to the inputs.

    Raises:
        InputError: sizes that do not suit each other.
    """

    def __init__(
        self,
        input_size: int,
        *,
        hidden_size: int = 128,
        layers: int = 1,
        heads: int = 4,
        feedforward: int | None = None,
        activation: Activation = "relu",
        positions: Positions = "rotary",
    ) -> None:
        rotary = positions == "rotary"
        check_sizes(hidden_size, layers, heads, feedforward, even=rotary)
        super().__init__(input_size, hidden_size)
        self.positions = positions
        self.inputs = Affine(input_size, hidden_size)
        self.input_norm = nn.LayerNorm(hidden_size)
        inner = 4 * hidden_size if feedforward is None else feedforward
        self.layers = nn.ModuleList(
            EncoderLayer(hidden_size, heads, inner, activation, rotary=rotary)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden_size)
        initialize(self)

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        """See `Encoder.forward`.

        Raises:
            InputError: `x` or `lengths` has another shape, or a length is not in 0..T.
        """
        check_input(x, self.input_size)
        padding = Padding.of(lengths, x)
        mask = lengths_to_mask(lengths, x.shape[1])
        if x.shape[0] == 0 or x.shape[1] == 0:
            states = x.new_zeros(*x.shape[:2], self.output_size)
            return Encoded(states=states, mask=mask, summary=states.sum(1))
        h = self.input_norm(self.inputs(x if padding is None else padding.zero(x)))
        if self.positions == "sinusoidal":
            h = h + sinusoids(0, h.shape[1], h.shape[2], h)
        seen = None
        if padding is not None:
            # A row without anything real sees its padding; what it makes of that is thrown away.
            seen = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        for layer in self.layers:
            h = layer(h, seen)
        states = self.norm(h)
        if padding is not None:
            states = padding.zero(states)
        summary = states.sum(1) / lengths.clamp(min=1).unsqueeze(1)
        return Encoded(states=states, mask=mask, summary=summary)
