"""The values that go in and out of a decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """Where a decoder stands in N targets. Only the decoder reads it.

    layers: what each layer remembers, leaves [N, ...]. feed: float [N, O], the last output, with
    input feeding. history: float [N, S], where the attention reads one.
    """

    layers: tuple[State, ...]
    feed: Tensor | None
    history: Tensor | None

    def check(self, rows: int) -> None:
        """Refuse a batch of another number of rows.

        Raises:
            InputError: the state is of so many.
        """
        own = len(self.layers[0][0])
        if own != rows:
            raise InputError(f"x has {rows} rows, but the state is of {own}")

    def select(self, rows: Tensor) -> Self:
        """The rows int64 [M], in that order, each any number of times."""
        layers = tuple(tuple(leaf.index_select(0, rows) for leaf in s) for s in self.layers)
        feed = None if self.feed is None else self.feed.index_select(0, rows)
        history = None if self.history is None else self.history.index_select(0, rows)
        return replace(self, layers=layers, feed=feed, history=history)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """outputs: float [B, T, O]. weights: float [B, T, S], where they were asked for."""

    outputs: Tensor
    weights: Tensor | None
