"""Decoders of recurrent layers that attend to a memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import build
from seqnlp.errors import InputError
from seqnlp.nn import engines
from seqnlp.nn.attention import Attention
from seqnlp.nn.attention.history import attend_step, attend_whole
from seqnlp.nn.attention.intra import IntraAttention
from seqnlp.nn.bridge import Bridge
from seqnlp.nn.decoder import Decoder
from seqnlp.nn.decoder_state import Decoded, RecurrentDecoderState
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.feeding import decode_feeding
from seqnlp.nn.initialization import glorot, make_cell
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.readout import Readout
from seqnlp.nn.recurrence import NO_OPTIONS
from seqnlp.types import Encoded, Memory


class RecurrentDecoder(Decoder[RecurrentDecoderState]):
    r"""Layers of any registered recurrent cell with attention to a memory.

        h = layers(x)       or, with input feeding, layers([x ; last output])
        context = attention(h, memory)
        h' = layers_after([h ; context])        or h, where there are none
        output = tanh(W [h' ; context] + b)     or, not deep, W [h' ; context] + b

    With intra-attention, [context ; intra(h, all h before)] stands in the context's place.

    Without input feeding and without a history of the attention nothing waits for the step before
    but the cells: a target is one call of the engine a layer, and one of the attention.
    The linear maps around the cells begin as Glorot and Bengio 2010 have it, with biases of zero.

    Dropout sites: "layer" between layers, in every layer "recurrent", "context" on [h' ; context],
    "output" on the output, behind where it is fed from.

    Source: input feeding of Luong et al. 2015, arXiv:1508.04025, section 3.3.

    Args:
        input_size: E, features of an input.
        memory_size: D, features of the memory's states.
        summary_size: features of the encoder's summary.
        output_size: O.
        cell: a registered name.
        cell_options: what the cell's constructor takes beside its sizes.
        hidden_size: H of every layer.
        layers: how many are stacked before the attention.
        layers_after: how many stand behind it.
        attention: a registered name.
        attention_options: what its constructor takes beside its sizes.
        input_feeding: whether the first layer reads the last output beside the input.
        bridge: how the first states come from the summary, see `Bridge`.
        deep_output: whether the output passes through tanh.
        intra_attention: whether the decoder attends to its own past, see `IntraAttention`.
        residual: adds a layer's input to its output where both have H features, but in a first
            layer that is fed.
        layer_norm: normalizes a layer's output, after that sum.
        engine: see `unroll`.
        input_init: see `RecurrentEncoder`, and so are those that follow.
        recurrent_init: initializer of the recurrent weights.
        forget_bias: bias of the forget gate.
        zoneout_output: rate of the outputs.
        zoneout_memory: rate of the memory beside them.

    Raises:
        UnknownNameError: no cell, attention, bridge, engine or initializer has that name.
        SettingsError: an option that the cell or the attention does not have, or zoneout that does
            not suit the cell.
        InputError: sizes or numbers that do not suit each other.
    """

    def __init__(
        self,
        input_size: int,
        memory_size: int,
        summary_size: int,
        *,
        output_size: int,
        cell: str = "lstm",
        cell_options: Mapping[str, object] = NO_OPTIONS,
        hidden_size: int = 128,
        layers: int = 1,
        layers_after: int = 0,
        attention: str = "additive",
        attention_options: Mapping[str, object] = NO_OPTIONS,
        input_feeding: bool = False,
        bridge: str = "tanh",
        deep_output: bool = True,
        intra_attention: bool = False,
        residual: bool = False,
        layer_norm: bool = False,
        engine: str = "auto",
        input_init: str = "auto",
        recurrent_init: str = "auto",
        forget_bias: float = 1.0,
        zoneout_output: float = 0.0,
        zoneout_memory: float = 0.0,
    ) -> None:
        super().__init__(input_size, memory_size, summary_size, output_size=output_size)
        for name, size, least in (
            ("layers", layers, 1),
            ("layers_after", layers_after, 0),
            ("hidden_size", hidden_size, 1),
        ):
            if size < least:
                raise InputError(f"{name} must be at least {least}, not {size}")
        if input_feeding and layers_after:
            raise InputError(
                "input_feeding and layers_after exclude each other: the fed output would wait for "
                "layers behind the attention; stack all layers before it"
            )
        self.hidden_size = hidden_size
        self.input_feeding = self.sequential = input_feeding
        engines.check(engine)
        self.attention: Attention = build(
            registry.attentions.get(attention),
            attention_options,
            where="head.attention_options",
            query_size=hidden_size,
            memory_size=memory_size,
        )

        def make(size: int, *, fed: bool = False) -> RecurrentLayer:
            made = make_cell(
                cell, cell_options, size, hidden_size,
                input_init=input_init, recurrent_init=recurrent_init, forget_bias=forget_bias,
            )  # fmt: skip
            return RecurrentLayer(
                made,
                None,
                residual=residual and size == hidden_size and not fed,
                layer_norm=layer_norm,
                engine=engine,
                zoneout_output=zoneout_output,
                zoneout_memory=zoneout_memory,
            )

        first = input_size + (output_size if input_feeding else 0)
        self.intra_attention = IntraAttention(hidden_size) if intra_attention else None
        context_size = self.attention.context_size + (hidden_size if intra_attention else 0)
        self.layers = nn.ModuleList(
            make(hidden_size if index else first, fed=input_feeding and not index)
            for index in range(layers)
        )
        self.layers_after = nn.ModuleList(
            make(hidden_size + (0 if index else context_size)) for index in range(layers_after)
        )
        self.bridges = nn.ModuleList(
            Bridge(bridge, summary_size, layer.forward_cell)
            for layer in (*self._before(), *self._after())
        )
        self.readout = Readout(hidden_size, context_size, output_size, deep=deep_output)
        self.layer_dropout = DropoutSite("layer")
        self.output_dropout = DropoutSite("output")
        glorot(self.attention, self.readout, self.bridges, self.intra_attention)

    def prepare(self, encoded: Encoded) -> Memory:
        """See `Decoder.prepare`: what the attention makes of the states."""
        return self.attention.prepare(encoded)

    def initial_state(self, encoded: Encoded) -> RecurrentDecoderState:
        """See `Decoder.initial_state`: by the bridge; nothing fed and nothing attended yet."""
        summary, looks_back = encoded.summary, self.attention.history
        rows = encoded.mask.shape[0]
        cells = [layer.forward_cell for layer in (*self._before(), *self._after())]
        return RecurrentDecoderState(
            layers=tuple(
                bridge(summary, cell.initial_state(rows))
                for bridge, cell in zip(self.bridges, cells, strict=True)
            ),
            feed=summary.new_zeros(rows, self.output_size) if self.input_feeding else None,
            history=None if looks_back == "none" else torch.zeros_like(encoded.states[:, :, 0]),
            past=summary.new_zeros(rows, 0, self.hidden_size) if self.intra_attention else None,
        )

    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None,
        memory: Memory,
        state: RecurrentDecoderState,
        *,
        want_weights: bool = False,
    ) -> Decoded:
        """See `Decoder.forward`."""
        self.check_targets(x, memory, state)
        padding = Padding.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            outputs = x.new_zeros(*x.shape[:2], self.output_size)
            weights: Tensor | None = x.new_zeros(*x.shape[:2], memory.mask.shape[1])
        elif self.input_feeding:
            outputs, weights = decode_feeding(
                self._before(), self.attention, self.intra_attention, self.readout,
                self.layer_dropout, x, padding, memory, state,
                want_weights=want_weights,
            )  # fmt: skip
        else:
            outputs, weights = self._read(x, padding, memory, state)
        return Decoded(
            outputs=self.output_dropout(outputs), weights=weights if want_weights else None
        )

    def step(
        self, x: Tensor, memory: Memory, state: RecurrentDecoderState
    ) -> tuple[Tensor, Tensor, RecurrentDecoderState]:
        """See `Decoder.step`."""
        self.check_step(x, memory, state)
        h = x if state.feed is None else torch.cat([x, state.feed], dim=1)
        before = iter(state.layers)
        finals = []
        for index, layer in enumerate(self._before()):
            h, final = layer.step(self.layer_dropout(h) if index else h, next(before))
            finals.append(final)
        attended, after = attend_step(self.attention, self.intra_attention, h, memory, state)
        context = attended.context
        for index, layer in enumerate(self._after()):
            h = h if index else torch.cat([h, context], dim=1)
            h, final = layer.step(self.layer_dropout(h), next(before))
            finals.append(final)
        output = self.readout(h, context)
        after = replace(after, layers=tuple(finals), feed=output if self.input_feeding else None)
        return self.output_dropout(output), attended.weights, after

    def _read(
        self, x: Tensor, padding: Padding | None, memory: Memory, state: RecurrentDecoderState
    ) -> tuple[Tensor, Tensor]:
        """Without input feeding: layer after layer over whole targets."""
        before = iter(state.layers)
        h = x if padding is None else padding.zero(x)
        for index, layer in enumerate(self._before()):
            h = layer(self.layer_dropout(h) if index else h, padding, next(before))
        attended = attend_whole(self.attention, self.intra_attention, h, memory, state)
        for index, layer in enumerate(self._after()):
            h = h if index else torch.cat([h, attended.context], dim=2)
            h = self.layer_dropout(h)
            if padding is not None and not index:
                h = padding.zero(h)
            h = layer(h, padding, next(before))
        return self.readout(h, attended.context), attended.weights

    def _before(self) -> list[RecurrentLayer]:
        return cast("list[RecurrentLayer]", list(self.layers))

    def _after(self) -> list[RecurrentLayer]:
        return cast("list[RecurrentLayer]", list(self.layers_after))
