"""A decoder of Transformer layers, which remembers the keys and values of what it has read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from seqnlp.nn import Affine, Decoded, Decoder, DecoderState, DropoutSite, Padding
from seqnlp.types import Encoded, Memory
from seqnlp_transformer.blocks import (
    Activation,
    FeedForward,
    SelfAttention,
    WeightDropout,
    attend,
    check_sizes,
    initialize,
    join_heads,
    split_heads,
    weigh,
)
from seqnlp_transformer.positions import Positions, sinusoids

Weights: TypeAlias = Literal["last", "mean", "head"]


@dataclass(frozen=True, kw_only=True)
class TransformerState(DecoderState):
    """What each layer has made of the P tokens so far.

    keys, values: float [N, heads, P, size] of each layer.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]


class CrossAttention(nn.Module):
    """Attention of each position of a target to the states of its source.

    Dropout sites: "attention" on the weights, "context" on the output.

    Args:
        size: H, features of a query and of an output.
        memory_size: features of a state.
        heads: how many; each has H / heads features.
    """

    def __init__(self, size: int, memory_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = Affine(size, size)
        self.keys = Affine(memory_size, size)
        self.values = Affine(memory_size, size)
        self.outputs = Affine(size, size)
        self.weight_dropout = WeightDropout()
        self.dropout = DropoutSite("context")

    def prepare(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, float [B, heads, S, size], of states [B, S, D]."""
        return split_heads(self.keys(states), self.heads), split_heads(
            self.values(states), self.heads
        )

    def forward(
        self, h: Tensor, keys: Tensor, values: Tensor, mask: Tensor, *, want_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with Q queries for each row of the memory.

        Args:
            h: float [B, Q, H].
            keys: float [B, heads, S, size]; values of the same shape.
            mask: bool [B, S], True on real positions.
            want_weights: whether the weights are asked for.

        Returns:
            What is added to the input, float [B, Q, H], 0 before the bias where there is nothing
            to see; the weights, float [B, heads, Q, S], without dropout.
        """
        queries, rate = split_heads(self.queries(h), self.heads), self.weight_dropout.now
        empty = ~mask.any(1)
        # torch leaves open what an attention to nothing gives; here it is nothing.
        seen = (mask | empty.unsqueeze(1))[:, None, None]
        if not mask.shape[1]:
            attended = torch.zeros_like(queries)
        else:
            attended = attend(queries, keys, values, seen, causal=False, rate=rate)
            attended = attended.masked_fill(empty[:, None, None, None], 0.0)
        weights = weigh(queries, keys, mask[:, None, None]) if want_weights else None
        return self.outputs(join_heads(attended)), weights


class DecoderLayer(nn.Module):
    """Self-attention to what came before, attention to the source, feedforward; each after a norm.

    Args:
        size: H.
        memory_size: features of the source's states.
        heads: see `SelfAttention`, and so is `rotary`.
        inner: see `FeedForward`, and so is `activation`.
    """

    def __init__(
        self,
        size: int,
        memory_size: int,
        heads: int,
        inner: int,
        activation: Activation,
        *,
        rotary: bool,
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(size)
        self.attention = SelfAttention(size, heads, rotary=rotary)
        self.cross_norm = nn.LayerNorm(size)
        self.cross = CrossAttention(size, memory_size, heads)
        self.feedforward_norm = nn.LayerNorm(size)
        self.feedforward = FeedForward(size, inner, activation)

    def look_back(self, h: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attend to the P tokens before and to those of h up to each.

        Args:
            h: float [N, T, H].
            keys: float [N, heads, P, size], of the tokens before; values of the same shape.

        Returns:
            Float [N, T, H]; keys and values of all tokens, [N, heads, P + T, size].
        """
        own, past, time = self.attention, keys.shape[2], h.shape[1]
        queries, new_keys, new_values = own.project(self.attention_norm(h), past)
        keys = torch.cat([keys, new_keys], dim=2) if past else new_keys
        values = torch.cat([values, new_values], dim=2) if past else new_values
        mask = None
        if past and time > 1:
            mask = torch.ones(time, past + time, dtype=torch.bool, device=h.device).tril(past)
        causal, rate = not past and time > 1, own.weight_dropout.now
        h = h + own.finish(attend(queries, keys, values, mask, causal=causal, rate=rate))
        return h, keys, values


class TransformerDecoder(Decoder[TransformerState]):
    """Layers in which each position attends to those before it and to the source.

    A step costs one position: what the layers make of the tokens before is kept in the state, and
    what they make of the source in the memory. Inputs are mapped to H features and normalized, as
    in `TransformerEncoder`.

    Dropout sites: "layer" and "context" on what the parts of a layer add, "attention" on the
    weights, "feedforward" between its maps, "output" on the output.

    Source: Vaswani et al. 2017, arXiv:1706.03762, with the norm before each part (Xiong et al.
    2020, arXiv:2002.04745).

    Args:
        input_size: features of an input.
        memory_size: features of the source's states.
        summary_size: features of the source's summary, which is not read.
        output_size: features of an output.
        hidden_size: H.
        layers: how many are stacked.
        heads: of each attention; they divide H among them.
        feedforward: features between the two maps of a layer; 4 H by default.
        activation: between these maps.
        positions: "rotary" or "sinusoidal", see `TransformerEncoder`.
        weights: which weights over the source are given: the mean of the heads in the "last" layer
            or in all ("mean"), or those of one "head" of the last (Garg et al. 2019,
            arXiv:1909.02074, train one such head to align).

    Raises:
        InputError: sizes that do not suit each other.
    """

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        summary_size: int,
        *,
        output_size: int,
        hidden_size: int = 128,
        layers: int = 1,
        heads: int = 4,
        feedforward: int | None = None,
        activation: Activation = "relu",
        positions: Positions = "rotary",
        weights: Weights = "last",
    ) -> None:
        super().__init__(input_size, memory_size, summary_size, output_size=output_size)
        rotary = positions == "rotary"
        check_sizes(hidden_size, layers, heads, feedforward, even=rotary)
        self.hidden_size, self.heads = hidden_size, heads
        self.positions, self.weights = positions, weights
        self.inputs = Affine(input_size, hidden_size)
        self.input_norm = nn.LayerNorm(hidden_size)
        inner = 4 * hidden_size if feedforward is None else feedforward
        self.layers = nn.ModuleList(
            DecoderLayer(hidden_size, memory_size, heads, inner, activation, rotary=rotary)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden_size)
        self.outputs = Affine(hidden_size, output_size)
        self.output_dropout = DropoutSite("output")
        initialize(self)

    def prepare(self, encoded: Encoded) -> Memory:
        """Keys and values of all layers, float [B, layers, heads, S, size] each."""
        made = [layer.cross.prepare(encoded.states) for layer in self._layers()]
        keys, values = zip(*made, strict=True)
        return Memory(keys=torch.stack(keys, 1), values=torch.stack(values, 1), mask=encoded.mask)

    def initial_state(self, encoded: Encoded) -> TransformerState:
        """Nothing read: P is 0."""
        size = self.hidden_size // self.heads
        nothing = encoded.states.new_zeros(encoded.mask.shape[0], self.heads, 0, size)
        each = (nothing,) * len(self.layers)
        return TransformerState(keys=each, values=each)

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None,
        memory: Memory,
        state: TransformerState,
        *,
        want_weights: bool = False,
    ) -> Decoded:
        """See `Decoder.forward`."""
        self.check_targets(x, memory, state)
        padding = Padding.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            outputs = x.new_zeros(*x.shape[:2], self.output_size)
            nothing = x.new_zeros(*x.shape[:2], memory.mask.shape[1])
            return Decoded(outputs=outputs, weights=nothing if want_weights else None)
        x = x if padding is None else padding.zero(x)
        outputs, weights, _ = self._run(x, memory, state, want_weights=want_weights)
        return Decoded(outputs=outputs, weights=weights)

    def step(
        self, x: Tensor, memory: Memory, state: TransformerState
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """See `Decoder.step`."""
        self.check_step(x, memory, state)
        outputs, weights, state = self._run(x.unsqueeze(1), memory, state, want_weights=True)
        assert weights is not None
        return outputs.squeeze(1), weights.flatten(0, 1), state

    def _run(
        self, x: Tensor, memory: Memory, state: TransformerState, *, want_weights: bool
    ) -> tuple[Tensor, Tensor | None, TransformerState]:
        """T tokens of N = B * K targets, with the weights [B, K * T, S]; K or T is 1."""
        rows, time = x.shape[:2]
        sources = memory.mask.shape[0]
        queries = sources, rows * time // max(1, sources), self.hidden_size
        h = self.input_norm(self.inputs(x))
        if self.positions == "sinusoidal":
            h = h + sinusoids(state.keys[0].shape[2], time, self.hidden_size, h)
        found, keys, values = [], [], []
        for index, layer in enumerate(self._layers()):
            h, own_keys, own_values = layer.look_back(h, state.keys[index], state.values[index])
            keys.append(own_keys)
            values.append(own_values)
            wanted = want_weights and (self.weights == "mean" or index == len(self.layers) - 1)
            added, weights = layer.cross(
                layer.cross_norm(h).reshape(queries),
                memory.keys[:, index],
                memory.values[:, index],
                memory.mask,
                want_weights=wanted,
            )
            h = h + layer.cross.dropout(added.reshape(h.shape))
            h = h + layer.feedforward(layer.feedforward_norm(h))
            if weights is not None:
                found.append(weights[:, 0] if self.weights == "head" else weights.mean(1))
        outputs = self.output_dropout(self.outputs(self.norm(h)))
        state = TransformerState(keys=tuple(keys), values=tuple(values))
        return outputs, torch.stack(found).mean(0) if found else None, state

    def _layers(self) -> list[DecoderLayer]:
        return list(self.layers)  # type: ignore[arg-type]
