"""Input feeding: the loop of a decoder whose every step reads the output of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from seqnlp.nn import engines
from seqnlp.nn.affine import is_affine
from seqnlp.nn.attention import Attention
from seqnlp.nn.attention.base import ScoredAttention
from seqnlp.nn.attention.history import attend_step
from seqnlp.nn.attention.intra import IntraAttention
from seqnlp.nn.cells.base import GatedCell, State
from seqnlp.nn.decoder_state import RecurrentDecoderState
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.engines.affine import affine
from seqnlp.nn.engines.feeding import Memories, Output, feed_fused, obstacle
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.noise import Noise
from seqnlp.nn.readout import Readout
from seqnlp.types import Memory, lengths_to_mask


@dataclass(frozen=True, kw_only=True)
class FeedingNoise:
    """All dropout of one call of `run_feeding`, drawn before the loop.

    layers: of each layer, inside its recurrence. between: of each layer, float [B, T, I], what its
    input is multiplied by. context: float [B, T, H + C]. None where nothing is dropped.
    """

    layers: tuple[Noise | None, ...]
    between: tuple[Tensor | None, ...]
    context: Tensor | None

    @classmethod
    def draw(
        cls,
        layers: Sequence[RecurrentLayer],
        between: DropoutSite,
        readout: Readout,
        like: Tensor,
    ) -> FeedingNoise:
        """The masks for a batch like [B, T, ...]; rows and steps are those of the loop."""
        shape = like.shape[:2]

        def mask(site: DropoutSite, size: int) -> Tensor | None:
            if not site.training or site.rate == 0:
                return None
            masked: Tensor = site(like.new_ones(*shape, size))
            return masked

        return cls(
            layers=tuple(layer.dropout.draw(layer.forward_cell, *shape) for layer in layers),
            between=tuple(
                mask(between, layer.forward_cell.input_size) if index else None
                for index, layer in enumerate(layers)
            ),
            context=mask(readout.dropout, readout.map.in_features),
        )


def decode_feeding(
    layers: Sequence[RecurrentLayer],
    attention: Attention,
    intra: IntraAttention | None,
    readout: Readout,
    between: DropoutSite,
    x: Tensor,
    padding: Padding | None,
    memory: Memory,
    state: RecurrentDecoderState,
    *,
    want_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Run a decoder with input feeding over targets whose inputs are known.

    Args:
        layers: see `run_feeding`; and so `attention`, `intra`, `readout`, `memory`, `want_weights`.
        between: the dropout site between layers.
        x: float [B, T, E], B and T at least 1, anything on padding.
        padding: where the rows end; None where all are full.
        state: before the first step.

    Returns:
        Outputs, float [B, T, O], and weights, float [B, T, S], zero on padding.
    """
    batch_size, time = x.shape[:2]
    packing = _packing_of(x, padding)
    if packing.order is not None:
        memory, state = memory.select(packing.order), state.select(packing.order)
    places = packing.batch_index.long() * time + packing.time.long()
    outputs, weights = run_feeding(
        layers,
        attention,
        intra,
        readout,
        x.flatten(0, 1).index_select(0, places),
        packing,
        memory,
        state,
        FeedingNoise.draw(layers, between, readout, x),
        want_weights=want_weights,
    )

    def unpack(packed: Tensor) -> Tensor:
        flat = packed.new_zeros(batch_size * time, packed.shape[1])
        return flat.index_copy(0, places, packed).view(batch_size, time, packed.shape[1])

    return unpack(outputs), None if weights is None else unpack(weights)


def run_feeding(
    layers: Sequence[RecurrentLayer],
    attention: Attention,
    intra: IntraAttention | None,
    readout: Readout,
    x: Tensor,
    packing: Packing,
    memory: Memory,
    state: RecurrentDecoderState,
    noise: FeedingNoise,
    *,
    want_weights: bool,
) -> tuple[Tensor, Tensor | None]:
    """Run a decoder with input feeding over a whole batch of known inputs.

    Rows of everything with B rows stand in the packing's order, the longest first, so that step t
    works on the first rows alone, those that still run.

    Args:
        layers: the first reads [x ; last output], each other one the layer below.
        attention: asked by the last layer.
        intra: attention to the last layer's own past.
        readout: makes the output.
        x: float [N, E], the inputs of all N real steps, packed.
        packing: of B rows.
        memory: of B rows.
        state: of B rows, before the first step.
        noise: all dropout.
        want_weights: whether the caller reads the weights.

    Returns:
        Outputs, float [N, O], and weights, float [N, S], packed.
    """
    feed = state.feed
    assert feed is not None
    if len(layers) == 1 and state.history is None and intra is None:
        fused = _run_fused(
            layers[0], attention, readout, x, packing, memory, state.layers[0], feed, noise
        )
        if fused is not None:
            return fused[0], fused[1] if want_weights else None
    running: list[int] = packing.running.tolist()
    first = _FirstLayer(layers[0], x, running, feed, noise.layers[0], packing)
    others = [
        _Steps(layer, own, packing, x)
        for layer, own in zip(layers[1:], noise.layers[1:], strict=True)
    ]
    now = list(state.layers)
    # The empty ones are all that there is where every row is.
    outputs = [x.new_empty(0, feed.shape[1])]
    weights = [x.new_empty(0, memory.mask.shape[1])]
    count = packing.batch
    for t, rows in enumerate(running):
        if rows < count:
            # Slices of slices: their gradients are padded by the rows that end here alone.
            count = rows
            now = [tuple(leaf[:rows] for leaf in leaves) for leaves in now]
            memory, feed, state = memory.first(rows), feed[:rows], state.first(rows)
        h, now[0] = first.take(t, feed, now[0])
        for index, (steps, mask) in enumerate(zip(others, noise.between[1:], strict=True), 1):
            h = h if mask is None else h * mask[:rows, t]
            h, now[index] = steps.take(t, h, now[index])
        attended, state = attend_step(attention, intra, h, memory, state)
        context_mask = None if noise.context is None else noise.context[:rows, t]
        feed = readout(h, attended.context, context_mask)
        outputs.append(feed)
        if want_weights:
            weights.append(attended.weights)
    return torch.cat(outputs), torch.cat(weights) if want_weights else None


def _run_fused(
    layer: RecurrentLayer,
    attention: Attention,
    readout: Readout,
    x: Tensor,
    packing: Packing,
    memory: Memory,
    state: State,
    feed: Tensor,
    noise: FeedingNoise,
) -> tuple[Tensor, Tensor] | None:
    """What `run_feeding` gives, in one compiled call; None where that cannot be."""
    cell, own = layer.forward_cell, noise.layers[0]
    form = attention.form() if isinstance(attention, ScoredAttention) else None
    plain = layer.norm is None and not layer.residual and is_affine(readout.map)
    if form is None or not plain or type(memory) is not Memory or not isinstance(cell, GatedCell):
        return None
    weight, bias = readout.map.weight, readout.map.bias
    others = (memory.keys, memory.values, feed, weight, form.weight, form.vector, noise.context)
    if not engines.may_fuse(layer.engine) or obstacle(cell, x, own, *others) is not None:
        return None
    lengths = memory.mask.sum(1)
    if not torch.equal(memory.mask, lengths_to_mask(lengths, memory.mask.shape[1])):
        return None
    return feed_fused(
        cell,
        x,
        packing,
        state,
        feed,
        form,
        Memories(keys=memory.keys, values=memory.values, lengths=lengths.int()),
        Output(weight=weight, bias=bias, deep=readout.deep, mask=noise.context),
        own,
    )


def _packing_of(x: Tensor, padding: Padding | None) -> Packing:
    if padding is not None:
        return padding.packing
    device = None if x.device.type == "cpu" else x.device
    return Packing.of_full(*x.shape[:2], device)


class _Steps:
    """The steps of one layer, with what does not change between them."""

    def __init__(
        self, layer: RecurrentLayer, noise: Noise | None, packing: Packing, like: Tensor
    ) -> None:
        self.layer, self.cell = layer, layer.forward_cell
        shape = packing.batch, packing.steps, self.cell.input_size
        self.engine = engines.select(
            layer.engine, self.cell, like.new_empty(1).expand(shape), noise
        )
        self.noises = None if noise is None else noise.steps(packing.steps)
        self.weight_h: Tensor | None = None
        if noise is not None and noise.weight is not None:
            self.weight_h = cast(GatedCell, self.cell).weight_h * noise.weight

    def take(self, t: int, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Step t of the rows that x has."""
        noise = self.noise(t, len(x))
        if noise is None:
            output, state = self.engine.step(self.cell, x, state)
        else:
            cell = cast(GatedCell, self.cell)
            weight_h = cell.weight_h if self.weight_h is None else self.weight_h
            output, state = cell.noisy_step(x, state, noise, weight_h)
        return self.layer.finish(output, x), state

    def noise(self, t: int, rows: int) -> Noise | None:
        """The masks of step t."""
        return None if self.noises is None else self.noises[t].first(rows)


class _FirstLayer(_Steps):
    """The layer that reads [x ; last output]: its product with x is made for all steps at once."""

    def __init__(
        self,
        layer: RecurrentLayer,
        x: Tensor,
        running: list[int],
        feed: Tensor,
        noise: Noise | None,
        packing: Packing,
    ) -> None:
        super().__init__(layer, noise, packing, x)
        self.split: GatedCell | None = None
        if isinstance(self.cell, GatedCell) and self.cell.splits:
            self.split, size = self.cell, x.shape[1]
            self.weight_feed = self.split.weight_x[:, size:].t()
            x = affine(x, self.split.weight_x[:, :size], self.split.bias)
        self.inputs = torch.split(x, running)

    def take(self, t: int, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Step t of the rows that x, the last output, has."""
        if self.split is None:
            return super().take(t, torch.cat([self.inputs[t], x], dim=1), state)
        product = torch.addmm(self.inputs[t], x, self.weight_feed)
        noise = self.noise(t, len(x))
        output, state = self.split.finish_step(product, state, noise, self.weight_h)
        # Its input and its output are no like vectors, so that there is nothing to add.
        return self.layer.finish(output, output), state
