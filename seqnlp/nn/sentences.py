"""The sentences of padded documents: where they lie, and their rows on the way to an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.engines.transforms import transforming

Ints = NDArray[np.int64]

BLOCK = 1 << 15
"""Tokens, padding counted, that are read at once: what an engine needs beside its result is
bounded by it, however long a document."""


@dataclass(frozen=True, kw_only=True)
class Sentences:
    """M sentences of B documents, those of a document one after another.

    documents: int64 [M], ascending. numbers: int64 [M], a sentence's place in its document.
    begins: int64 [M], its first token among all B * T. sizes: int64 [M], its tokens, at least 1.
    counts: int64 [B], sentences of each document; none of an empty one.
    """

    documents: Ints
    numbers: Ints
    begins: Ints
    sizes: Ints
    counts: Ints

    @classmethod
    def of(cls, lengths: Tensor, ends: Tensor | None, time: int, *, most: int = 0) -> Self:
        """Find the sentences of a batch. Lengths and ends on a GPU are waited for.

        Args:
            lengths: int64 [B], each in 0..time.
            ends: bool [B, time], True on the last token of each sentence; whatever on padding, and
                on the last token of a document, which always ends one. None where none is known.
            time: T.
            most: tokens of a sentence: a document that has no more is one sentence, and a longer
                sentence is cut into pieces of nearly equal size. 0 for no such limit.

        Raises:
            InputError: `ends` has another shape or type.
        """
        sizes: Ints = _numbers(lengths)
        shape = (len(sizes), time)
        if ends is None:
            marks = np.zeros(shape, dtype=np.bool_)
        elif tuple(ends.shape) == shape and ends.dtype == torch.bool:
            marks = _numbers(ends).copy()
        else:
            dtype = str(ends.dtype).removeprefix("torch.")
            raise InputError(
                f"ends must be bool {list(shape)}, as x has steps, not {dtype} {list(ends.shape)}"
            )
        if most:
            marks[sizes <= most] = False
        full = np.flatnonzero(sizes)
        marks[full, sizes[full] - 1] = True
        documents, last = np.nonzero(marks & (np.arange(time) < sizes[:, None]))
        first = np.zeros_like(last)
        follows = documents[1:] == documents[:-1]
        first[1:][follows] = last[:-1][follows] + 1
        sizes_of = last + 1 - first
        if most:
            documents, first, sizes_of = _cut(documents, first, sizes_of, most)
        counts = np.bincount(documents, minlength=len(sizes))
        return cls(
            documents=documents,
            numbers=np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts),
            begins=documents * time + first,
            sizes=sizes_of,
            counts=counts,
        )

    def groups(self, block: int = BLOCK) -> Iterator[Ints]:
        """All sentences by size, in groups whose padding is at most half of them, int64 [N] each.

        So the work of reading them grows with their tokens, and not with the longest. A group is
        at most `block` tokens, or one sentence.
        """
        order = np.argsort(-self.sizes, kind="stable")
        while len(order):
            sizes = self.sizes[order]
            padded = np.arange(1, len(order) + 1) * sizes[0]
            full = (padded > 2 * np.cumsum(sizes)) | (padded > block)
            full[0] = False
            count = int(full.argmax()) or len(order)
            yield order[:count]
            order = order[count:]

    @property
    def width(self) -> int:
        """S, sentences of the document that has most."""
        return int(self.counts.max(initial=0))

    def slots(self, group: Ints) -> Ints:
        """The places of N sentences among B * S, int64 [N]."""
        slots: Ints = self.documents[group] * self.width + self.numbers[group]
        return slots

    def tokens(self, group: Ints) -> tuple[Ints, Ints, int]:
        """The real tokens of a group of N sentences, padded to the longest of them, L.

        Returns:
            sources int64 [R], their places among B * T; places int64 [R], those among N * L; L.
        """
        sizes = self.sizes[group]
        longest = int(sizes.max())
        rows, steps = np.nonzero(np.arange(longest) < sizes[:, None])
        return self.begins[group][rows] + steps, rows * longest + steps, longest


def _numbers(tensor: Tensor) -> NDArray[Any]:
    """The values; of a tensor without memory, which transforms make, one by one."""
    return np.array(tensor.tolist()) if transforming() else tensor.cpu().numpy()


def _cut(documents: Ints, first: Ints, sizes: Ints, most: int) -> tuple[Ints, Ints, Ints]:
    """Sentences in as few pieces of nearly equal size as it takes."""
    pieces = -(-sizes // most)
    number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    parts, whole = np.repeat(pieces, pieces), np.repeat(sizes, pieces)
    begin, end = number * whole // parts, (number + 1) * whole // parts
    return np.repeat(documents, pieces), np.repeat(first, pieces) + begin, end - begin


def move(rows: Tensor, sources: Ints, places: Ints, size: int) -> Tensor:
    """Rows of float [N, D] into zeros float [size, D]: `rows[sources[i]]` goes to `places[i]`.

    Args:
        sources: int64 [R], each at most once.
        places: int64 [R], each at most once.
    """
    old, new = (torch.from_numpy(index).to(rows.device) for index in (sources, places))
    if transforming():
        return _copy(rows, old, new, size)
    moved: Tensor = _Move.apply(rows, old, new, size)  # type: ignore[no-untyped-call]
    return moved


def _copy(rows: Tensor, sources: Tensor, places: Tensor, size: int) -> Tensor:
    zeros = rows.new_zeros(size, rows.shape[1])
    return zeros.index_copy(0, places, rows.index_select(0, sources))


class _Move(torch.autograd.Function):
    """See `move`. The gradient is the way back, which copies rows too.

    Autograd, which must expect an index to repeat, would add them up one by one.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sources: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(sources, places)
        ctx.rows = len(rows)
        return _copy(rows, sources, places, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        sources, places = ctx.saved_tensors
        return _copy(gradients[0], places, sources, ctx.rows), None, None, None
