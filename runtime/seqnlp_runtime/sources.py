"""Texts that a model writes about, as rows of a batch, and the steps of its graphs over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp_runtime.decoding import Stepper
from seqnlp_runtime.decoding.arrays import Ints
from seqnlp_runtime.decoding.stepper import StepScores
from seqnlp_runtime.errors import FolderError
from seqnlp_runtime.folder import Graph
from seqnlp_runtime.pipeline import PAD, UNK, Pipeline


@dataclass(frozen=True, kw_only=True)
class Source:
    """A part of a text, which is one row.

    number: from 0, which part it is. tokens: without an end. ids: of them, with one.
    """

    number: int
    tokens: Sequence[str]
    ids: Sequence[int]

    @classmethod
    def parts(
        cls, tokens: Sequence[str], pipeline: Pipeline, *, max_tokens: int, chunks: bool, end: int
    ) -> Iterator[Source]:
        """As few rows of nearly equal length as it takes, or the beginning alone."""
        count = max(-(-len(tokens) // max_tokens), 1) if chunks else 1
        size = len(tokens) if chunks else min(len(tokens), max_tokens)
        for number in range(count):
            own = tokens[number * size // count : (number + 1) * size // count]
            yield cls(number=number, tokens=own, ids=[*pipeline.ids(own), end])

    @property
    def key(self) -> int:
        """A number that depends on nothing but what stands in the row and which part it is."""
        data = np.array(self.ids, dtype="<i8").tobytes() + b"%d" % self.number
        return int.from_bytes(blake2b(data, digest_size=7).digest(), "little")


@dataclass(frozen=True, kw_only=True)
class Slots:
    """What can be copied from a row.

    V tokens of the target's vocabulary can be generated; V + k is slot k, the k-th distinct token
    of the row that cannot. ids: of each position, with its end. names: of the slots. read: the ids
    by which the model reads them.
    """

    ids: Sequence[int]
    names: Sequence[str]
    read: Sequence[int]

    @classmethod
    def of(cls, tokens: Sequence[str], pipeline: Pipeline, outputs: int) -> Slots:
        """Of the tokens of a row.

        Args:
            tokens: without an end.
            pipeline: of the target.
            outputs: V.
        """
        known = pipeline.ids(tokens)
        places: dict[str, int] = {}
        read: list[int] = []
        ids = []
        for token, id in zip(tokens, known, strict=True):
            if id == UNK or id >= outputs:
                if token not in places:
                    places[token] = len(places)
                    read.append(id)
                id = outputs + places[token]
            ids.append(id)
        return cls(ids=[*ids, PAD], names=list(places), read=read)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B rows, and what can be copied from them; nothing, without slots.

    sources, slots: of B rows.
    """

    sources: Sequence[Source]
    slots: Sequence[Slots] = ()

    @cached_property
    def lengths(self) -> Ints:
        """int64 [B], ends counted."""
        return np.array([len(each.ids) for each in self.sources], dtype=np.int64)

    @cached_property
    def ids(self) -> Ints:
        """int64 [B, S]."""
        return _table([each.ids for each in self.sources])

    def copies(self) -> dict[str, Ints]:
        """The inputs of a step that copies."""
        if not self.slots:
            return {}
        ids = _table([each.ids for each in self.slots])
        positions = np.stack([_firsts(row) for row in ids])
        # No axis is empty.
        slots = _table([list(each.read) or [PAD] for each in self.slots])
        return {"copy_ids": ids, "first": positions, "slots": slots}


class GraphStepper(Stepper):
    """The search's view of graphs.

    Args:
        step: the graph of a step.
        begun: the outputs of the encoder's graph, by name.
        copies: see `Batch.copies`.
        outputs: V, how many tokens can be generated.
    """

    def __init__(
        self,
        step: Graph,
        begun: Mapping[str, NDArray[Any]],
        copies: Mapping[str, Ints],
        outputs: int,
    ) -> None:
        self._graph = step
        memory = {name: begun[name] for name in begun if name.startswith("memory_")}
        self._fixed = {**memory, **copies}
        self._states = {name: begun[name] for name in begun if name.startswith("state_")}
        self.sources = len(next(iter(self._fixed.values())))
        self.vocabulary_size = self._outputs = outputs
        if copies:
            self.vocabulary_size += copies["slots"].shape[1]

    def step(self, ids: Ints) -> StepScores:
        """See `Stepper`."""
        rows = self.sources, len(ids) // self.sources
        feed = {name: each.reshape(*rows, *each.shape[1:]) for name, each in self._states.items()}
        feed |= {"ids": ids.reshape(rows), **self._fixed}
        found = dict(zip(self._graph.outputs, self._graph(feed), strict=True))
        columns = found["log_probabilities"].shape[-1]
        if columns != self.vocabulary_size:
            more = self.vocabulary_size - self._outputs
            raise FolderError(
                f"{self._graph.name}: gives {columns - more} log-probabilities of tokens, where "
                f"{self._outputs} are described"
            )
        self._states = {name: found[f"next_{name}"] for name in self._states}
        return StepScores(logs=found["log_probabilities"], weights=found.get("weights"))

    def select(self, rows: Ints) -> None:
        """See `Stepper`."""
        self._states = {name: each[rows] for name, each in self._states.items()}

    def keep(self, sources: Ints) -> None:
        """See `Stepper`."""
        count = len(next(iter(self._states.values()))) // self.sources if self._states else 1
        self.select((sources[:, None] * count + np.arange(count)).ravel())
        self._fixed = {name: each[sources] for name, each in self._fixed.items()}
        self.sources = len(sources)


def _table(rows: Sequence[Sequence[int]]) -> Ints:
    """int64 [B, S], padded."""
    width = max(map(len, rows))
    return np.array([[*row, *[PAD] * (width - len(row))] for row in rows], dtype=np.int64)


def _firsts(ids: Ints) -> Ints:
    """int64 [S], the first position of what stands at each."""
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    found: Ints = first[inverse]
    return found
