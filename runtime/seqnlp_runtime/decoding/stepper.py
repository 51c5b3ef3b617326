"""The border between search and graph: what a search asks of a model, one token at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from seqnlp_runtime.decoding.arrays import Floats, Ints


@dataclass(frozen=True, kw_only=True)
class StepScores:
    """What a model says of the token that comes next.

    logs: float32 [N, V], log-probabilities, handed over: the search may write into them. weights:
    float32 [N, S], attention to the source, zero on padding, where the model has one.
    """

    logs: Floats
    weights: Floats | None = None


class Stepper(ABC):
    """The decoder states of some sources with K hypotheses each: hypothesis k of source b is row
    b * K + k. A new stepper has one row for each source.

    vocabulary_size: V. sources: how many there still are.
    """

    vocabulary_size: int
    sources: int

    @abstractmethod
    def step(self, ids: Ints) -> StepScores:
        """Read a token in each row, int64 [N]; what may come next."""

    @abstractmethod
    def select(self, rows: Ints) -> None:
        """Go on with the rows int64 [M] in their order: K is M / sources afterwards."""

    @abstractmethod
    def keep(self, sources: Ints) -> None:
        """Go on with these sources, ascending, and all rows of each."""
