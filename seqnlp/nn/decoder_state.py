"""The values that go in and out of a decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """Where a decoder stands in N targets. Only the decoder reads it.

    layers: what each layer remembers, leaves [N, ...]. feed: float [N, O], the last output, with
    input feeding. history: float [N, S], where the attention reads one. past: float [N, P, H], the
    states of all steps so far, where they are attended to.
    """

    layers: tuple[State, ...]
    feed: Tensor | None
    history: Tensor | None
    past: Tensor | None = None

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
        return self._map(lambda leaf: leaf.index_select(0, rows))

    def first(self, count: int) -> Self:
        """The first rows, without a copy."""
        return self._map(lambda leaf: leaf[:count])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        def changed(leaf: Tensor | None) -> Tensor | None:
            return None if leaf is None else change(leaf)

        return replace(
            self,
            layers=tuple(tuple(change(leaf) for leaf in state) for state in self.layers),
            feed=changed(self.feed),
            history=changed(self.history),
            past=changed(self.past),
        )


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """outputs: float [B, T, O]. weights: float [B, T, S], where they were asked for."""

    outputs: Tensor
    weights: Tensor | None
