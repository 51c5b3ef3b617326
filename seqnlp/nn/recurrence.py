"""Encoders of stacked recurrent layers, in one direction or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import cast

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import engines
from seqnlp.nn.dropout import DropoutSite
from seqnlp.nn.encoder import Encoder, EncoderState
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.initialization import make_cell
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.unrolling import check_input
from seqnlp.types import Encoded

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


class RecurrentEncoder(Encoder):
    """Layers of any registered recurrent cell, in one direction or both.

    The summary is the last real output of the forward direction beside the first of the backward
    one: where each has read the whole row. Between layers stands the dropout site "layer", in
    every layer the site "recurrent".

    Args:
        input_size: features of an input.
        cell: a registered name.
        cell_options: what the cell's constructor takes beside its sizes.
        hidden_size: H of each direction.
        layers: how many are stacked.
        bidirectional: whether a second cell a layer reads backward; doubles `output_size`.
        residual: adds a layer's input to its output where their sizes agree, which in the first
            layer they may not.
        layer_norm: normalizes a layer's output, after that sum.
        engine: see `unroll`.
        input_init: initializer of the input weights, a name of `seqnlp.nn.initialization`, or
            "auto" for the one that the cell names.
        recurrent_init: initializer of the recurrent weights, or "auto".
        forget_bias: bias of the forget gate, in cells that declare one.
        zoneout_output: rate at which an output keeps its old value, see `RecurrentDropout`.
        zoneout_memory: rate of the memory beside it, in cells with one.

    Raises:
        UnknownNameError: no cell, engine or initializer has that name.
        SettingsError: an option that the cell does not have, or zoneout that does not suit it.
    """

    def __init__(
        self,
        input_size: int,
        *,
        cell: str = "lstm",
        cell_options: Mapping[str, object] = NO_OPTIONS,
        hidden_size: int = 128,
        layers: int = 1,
        bidirectional: bool = True,
        residual: bool = False,
        layer_norm: bool = False,
        engine: str = "auto",
        input_init: str = "auto",
        recurrent_init: str = "auto",
        forget_bias: float = 1.0,
        zoneout_output: float = 0.0,
        zoneout_memory: float = 0.0,
    ) -> None:
        if layers < 1:
            raise InputError(f"layers must be at least 1, not {layers}")
        if hidden_size < 1:
            raise InputError(f"hidden_size must be at least 1, not {hidden_size}")
        output_size = hidden_size * (2 if bidirectional else 1)
        super().__init__(input_size, output_size)
        self.bidirectional = bidirectional
        self.hidden_size = hidden_size
        engines.check(engine)
        make = partial(
            make_cell, cell, cell_options, hidden_size=hidden_size,
            input_init=input_init, recurrent_init=recurrent_init, forget_bias=forget_bias,
        )  # fmt: skip
        sizes = [input_size] + [output_size] * (layers - 1)
        self.layers = nn.ModuleList(
            RecurrentLayer(
                make(input_size=size),
                make(input_size=size) if bidirectional else None,
                residual=residual and size == output_size,
                layer_norm=layer_norm,
                engine=engine,
                zoneout_output=zoneout_output,
                zoneout_memory=zoneout_memory,
            )
            for size in sizes
        )
        # One site for all gaps, even for none: a recipe that sets it suits any number of layers.
        self.layer_dropout = DropoutSite("layer")

    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        """Encode float [B, T, I], of int64 [B] real steps, finite on padding.

        Raises:
            InputError: `x` or `lengths` has another shape, or a length is not in 0..T.
        """
        check_input(x, self.input_size)
        padding = Padding.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            return self._encode_nothing(x)
        states = _zero(x, padding)
        for index, layer in enumerate(self.layers):
            states = layer(self.layer_dropout(states) if index else states, padding)
        summary = self._summarize(states, padding)
        return Encoded(states=states, mask=_mask(x, padding), summary=summary)

    def initial_state(self, batch_size: int) -> EncoderState:
        """The state before the first step, on the device of the parameters.

        Raises:
            InputError: the encoder is bidirectional.
        """
        if self.bidirectional:
            raise InputError(
                "a bidirectional encoder cannot stream, since it reads every text from its end "
                "too; one that can is trained with --set model.bidirectional=false"
            )
        layers = tuple(layer.forward_cell.initial_state(batch_size) for layer in self._layers())
        parameter = next(self.parameters())
        return EncoderState(
            layers=layers, summary=parameter.new_zeros(batch_size, self.output_size)
        )

    def advance(
        self, x: Tensor, lengths: Tensor | None, state: EncoderState
    ) -> tuple[Encoded, EncoderState]:
        """See `Encoder.advance`. While training, each chunk draws dropout masks of its own.

        Raises:
            InputError: `x`, `lengths` or `state` has another shape, or a length is not in 0..T.
        """
        check_input(x, self.input_size)
        _check_rows(x, state)
        padding = Padding.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            return replace(self._encode_nothing(x), summary=state.summary), state
        states = _zero(x, padding)
        finals = []
        for index, (layer, before) in enumerate(zip(self._layers(), state.layers, strict=True)):
            states = self.layer_dropout(states) if index else states
            states, final = layer.advance(states, padding, before)
            finals.append(final)
        summary = self._summarize(states, padding)
        if padding is not None:
            summary = torch.where(padding.lengths.unsqueeze(1) > 0, summary, state.summary)
        encoded = Encoded(states=states, mask=_mask(x, padding), summary=summary)
        return encoded, EncoderState(layers=tuple(finals), summary=summary)

    def step(self, x: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """See `Encoder.step`."""
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise InputError(f"x must be float [B, {self.input_size}], not {list(x.shape)}")
        _check_rows(x, state)
        finals = []
        for index, (layer, before) in enumerate(zip(self._layers(), state.layers, strict=True)):
            x, final = layer.step(self.layer_dropout(x) if index else x, before)
            finals.append(final)
        return x, EncoderState(layers=tuple(finals), summary=x)

    def _layers(self) -> Iterable[RecurrentLayer]:
        return cast("Iterable[RecurrentLayer]", self.layers)

    def _summarize(self, states: Tensor, padding: Padding | None) -> Tensor:
        last = states[:, -1] if padding is None else padding.last(states)
        if not self.bidirectional:
            return last
        size = self.hidden_size
        return torch.cat([last[:, :size], states[:, 0, size:]], dim=1)

    def _encode_nothing(self, x: Tensor) -> Encoded:
        """No rows, or no steps: neither engines nor torch run these."""
        shape = x.shape[:2]
        return Encoded(
            states=x.new_zeros(*shape, self.output_size),
            mask=x.new_zeros(shape, dtype=torch.bool),
            summary=x.new_zeros(shape[0], self.output_size),
        )


def _check_rows(x: Tensor, state: EncoderState) -> None:
    rows, found = x.shape[0], state.summary.shape[0]
    if found != rows:
        raise InputError(f"the state is of a batch of {found}, but x is of {rows}")


def _zero(x: Tensor, padding: Padding | None) -> Tensor:
    """Zeros on padding; the engines that record programs do not read what stands there."""
    return x if padding is None or exporting_to() is not None else padding.zero(x)


def _mask(x: Tensor, padding: Padding | None) -> Tensor:
    return x.new_ones(x.shape[:2], dtype=torch.bool) if padding is None else padding.mask
