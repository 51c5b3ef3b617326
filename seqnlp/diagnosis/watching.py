"""Calls of recurrent layers, written down as they happen."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seqnlp.nn.cells.base import State
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a recurrent layer.

    x: float [B, T, I], zero on padding. padding: where the rows end; None where all are full.
    state: before the first step; None for the initial one. gradient: float [B, T, N], of the mean
    loss in nats with respect to the outputs of the cells, before any norm.
    """

    layer: RecurrentLayer
    x: Tensor
    padding: Padding | None
    state: State | None
    gradient: Tensor


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A call as it was seen, in autograd's graph.

    name: of the layer. outputs: one float [B, T, N], or T times [B, N].
    """

    name: str
    layer: RecurrentLayer
    x: Tensor
    padding: Padding | None
    state: State | None
    outputs: tuple[Tensor, ...]

    def call(self, gradients: Sequence[Tensor | None]) -> Call:
        """The call, out of the graph, with the gradients of its outputs."""
        pairs = zip(gradients, self.outputs, strict=True)
        each = [torch.zeros_like(output) if g is None else g for g, output in pairs]
        return Call(
            layer=self.layer,
            x=self.x.detach(),
            padding=self.padding,
            state=None if self.state is None else tuple(leaf.detach() for leaf in self.state),
            gradient=each[0] if each[0].dim() == 3 else torch.stack(each, dim=1),
        )


class Watch:
    """Looks at a module until it is removed."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.handles: list[RemovableHandle] = []

    def remove(self) -> None:
        """Leave the module as it was."""
        for handle in self.handles:
            handle.remove()


class LayerWatch(Watch):
    """Writes down the calls of one layer."""

    def __init__(self, name: str, layer: RecurrentLayer) -> None:
        super().__init__()
        self.name, self.layer = name, layer
        self._sum: Tensor | None = None
        self._signature = inspect.signature(layer.forward)
        self.handles.append(layer.register_forward_hook(self._see, with_kwargs=True))
        if layer.norm is not None:
            self.handles.append(layer.norm.register_forward_pre_hook(self._see_sum))

    def _see_sum(self, _: nn.Module, args: tuple[Tensor]) -> None:
        # With the residual, whose gradient is the same.
        self._sum = args[0]

    def _see(self, _: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        given = self._signature.bind(*args, **kwargs).arguments
        output = output if self._sum is None else self._sum
        self.seen.append(
            Seen(
                name=self.name, layer=self.layer, x=given["x"], padding=given["padding"],
                state=given.get("state"), outputs=(output,),
            )
        )  # fmt: skip
