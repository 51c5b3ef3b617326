"""Which tokens of a source can be copied into its target, in numbers: extended ids.

V tokens of the target's vocabulary can be generated; V + k is slot k of a row, a token of its
source that can only be copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.rows import Ints
from seqnlp.text.vocabulary import Vocabulary
from seqnlp.types import Copies

NOTHING = 0
"""The extended id of what cannot be copied: that of padding, which is no target."""


class CopyTable:
    """The extended ids of token types.

    Args:
        source: its types are those that rows of the source have; special ones follow them.
        vocabulary: of the target.
        outputs: V, how many tokens of it can be generated, the first.
    """

    def __init__(self, source: TokenizedText, vocabulary: Vocabulary, outputs: int) -> None:
        self.types, self.outputs = source.types, outputs
        self._unknown = vocabulary.unk
        ids = np.asarray(vocabulary.ids(source.types), dtype=np.int64)
        # What a decoder reads for each type, and for each of a source's special tokens.
        self._read = np.concatenate([ids, (vocabulary.pad,) * 4])
        self._generated = (self._read < outputs) & (self._read != self._unknown)
        self._real = np.arange(len(self._read)) < len(source.types)
        self._numbers = {name: number for number, name in enumerate(source.types)}

    def number(self, types: Sequence[str]) -> Ints:
        """The places of other types among those of the source, -1 where they are none of them."""
        return np.fromiter((self._numbers.get(name, -1) for name in types), np.int64, len(types))

    def slots(self, types: Ints) -> Slots:
        """The slots of rows int64 [B, S] of type numbers."""
        rows, places = np.nonzero(self._real[types] & ~self._generated[types])
        width = len(self._read)
        keys, first, inverse = np.unique(
            rows * width + types[rows, places], return_index=True, return_inverse=True
        )
        # Keys ascend by row; within a row slots stand in the order of their first place.
        order = np.argsort(first, kind="stable")
        owners = keys[order] // width
        rank = np.arange(len(order)) - np.searchsorted(owners, owners)
        slot = np.empty_like(rank)
        slot[order] = rank
        found = np.full((len(types), int(rank.max(initial=-1)) + 1), -1, dtype=np.int64)
        found[owners, rank] = keys[order] % width
        ids = np.where(self._real[types], self._read[types], NOTHING)
        ids[rows, places] = self.outputs + slot[inverse]
        return Slots(ids=ids, types=found)

    def copies(self, slots: Slots) -> Copies:
        """What the network is told of slots."""
        # The type -1 is the last of the special ones, which is read as padding.
        return Copies(
            ids=torch.from_numpy(slots.ids), slots=torch.from_numpy(self._read[slots.types])
        )

    def names(self, slots: Slots) -> list[tuple[str, ...]]:
        """The tokens of each row's slots."""
        return [tuple(self.types[kind] for kind in row if kind >= 0) for row in slots.types]

    def goals(self, slots: Slots, ids: Ints, numbers: Ints) -> Ints:
        """The extended ids int64 [B, T] of target tokens; `<unk>` where neither way leads to one.

        Args:
            slots: of the same rows.
            ids: int64 [B, T], in the vocabulary.
            numbers: int64 [B, T], which types of the source they are, -1 for none.
        """
        goals = np.where(ids < self.outputs, ids, self._unknown)
        rows, places = np.nonzero((goals == self._unknown) & (numbers >= 0))
        known, slot = np.nonzero(slots.types[rows] == numbers[rows, places, None])
        goals[rows[known], places[known]] = self.outputs + slot
        return goals


@dataclass(frozen=True, kw_only=True)
class Slots:
    """ids: int64 [B, S], the extended id at each position, 0 where nothing can be copied. types:
    int64 [B, X], the type in each slot, -1 where there is none.
    """

    ids: Ints
    types: Ints
