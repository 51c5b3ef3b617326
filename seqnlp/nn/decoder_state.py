"""The values that go in and out of a decoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """Where a decoder stands in N targets. Only the decoder reads it.

    A decoder has a frozen dataclass of its own below this one. Its fields are tensors with the N
    targets first, tuples of such, None, and numbers and strings that hold for all targets: so rows
    can be chosen without knowing what they mean, as every search does.
    """

    def check(self, rows: int) -> None:
        """Refuse a batch of another number of rows.

        Raises:
            InputError: the state is of so many.
        """
        for each in fields(self):
            for leaf in _leaves(getattr(self, each.name)):
                if leaf.shape[0] != rows:
                    raise InputError(f"x has {rows} rows, but the state is of {leaf.shape[0]}")

    def select(self, rows: Tensor) -> Self:
        """The rows int64 [M], in that order, each any number of times."""
        return self._map(lambda leaf: leaf.index_select(0, rows))

    def first(self, count: int) -> Self:
        """The first rows, without a copy."""
        return self._map(lambda leaf: leaf[:count])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        def changed(value: Any, name: str) -> Any:
            if isinstance(value, Tensor):
                return change(value)
            if isinstance(value, tuple):
                return tuple(changed(each, name) for each in value)
            if value is None or isinstance(value, int | float | str):
                return value
            raise InputError(
                f"{type(self).__name__}.{name} holds a {type(value).__name__}, of which no row can "
                "be chosen: a state is made of tensors [N, ...], tuples of them, numbers and None"
            )

        names = [each.name for each in fields(self)]
        return replace(self, **{name: changed(getattr(self, name), name) for name in names})


def _leaves(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _leaves(each)


@dataclass(frozen=True, kw_only=True)
class RecurrentDecoderState(DecoderState):
    """That of a `RecurrentDecoder`.

    layers: what each layer remembers, leaves [N, ...]. feed: float [N, O], the last output, with
    input feeding. history: float [N, S], where the attention reads one. past: float [N, P, H], the
    states of all steps so far, where they are attended to.
    """

    layers: tuple[State, ...]
    feed: Tensor | None
    history: Tensor | None
    past: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """outputs: float [B, T, O]. weights: float [B, T, S], where they were asked for."""

    outputs: Tensor
    weights: Tensor | None
