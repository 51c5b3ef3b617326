"""Layers of a decoder with input feeding, whose steps wait for one another."""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import Tensor, nn

from seqnlp.diagnosis.stepping import take_step, zoneout_of
from seqnlp.diagnosis.watching import Seen, Watch
from seqnlp.nn.cells.base import State
from seqnlp.nn.decoder_state import Decoded
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.recurrent_decoder import RecurrentDecoder


class FeedingWatch(Watch):
    """Runs a decoder step by step in the place of its own loop, which gives the same.

    What is fed back counts as coming from above: the recurrence is that of the cells alone.

    Args:
        name: of the decoder in the task. decoder: one with input feeding.
    """

    def __init__(self, name: str, decoder: RecurrentDecoder) -> None:
        super().__init__()
        self.name, self.decoder = name, decoder
        self._signature = inspect.signature(decoder.forward)
        self.handles.append(decoder.register_forward_hook(self._see, with_kwargs=True))

    def _see(self, _: nn.Module, args: Any, kwargs: Any, decoded: Decoded) -> Decoded | None:
        given = self._signature.bind(*args, **kwargs).arguments
        x, lengths, state = given["x"], given["lengths"], given["state"]
        if x.shape[0] == 0 or x.shape[1] == 0:
            return None
        layers = cast("list[RecurrentLayer]", list(self.decoder.layers))
        steps = [_Steps(layer) for layer in layers]
        outputs = []
        try:
            for x_t in x.unbind(1):
                output, _weights, state = self.decoder.step(x_t, given["memory"], state)
                outputs.append(output)
        finally:
            for own in steps:
                own.remove()
        padding = Padding.of(lengths, x)
        for number, taken in enumerate(steps):
            inputs = torch.stack(taken.inputs, dim=1)
            self.seen.append(
                Seen(
                    name=f"{self.name}.layers.{number}", layer=taken.layer,
                    x=inputs if padding is None else padding.zero(inputs),
                    padding=padding, state=taken.first, outputs=tuple(taken.outputs),
                )
            )  # fmt: skip
        stacked = torch.stack(outputs, dim=1)
        return Decoded(
            outputs=stacked if padding is None else padding.zero(stacked), weights=decoded.weights
        )


class _Steps:
    """Takes the steps of a layer in the place of its own method, and writes them down."""

    def __init__(self, layer: RecurrentLayer) -> None:
        self.layer = layer
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self.first: State | None = None
        self._zoneout = zoneout_of(layer, layer.forward_cell)
        vars(layer)["step"] = self._take

    def remove(self) -> None:
        """Give the layer its own method back."""
        del vars(self.layer)["step"]

    def _take(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.first is None:
            self.first = state
        output, new = take_step(self.layer.forward_cell, x, state, self._zoneout)
        # Apart from the state, through which later steps come back.
        output = output.clone()
        self.inputs.append(x)
        self.outputs.append(output)
        return self.layer.finish(output, x), new
