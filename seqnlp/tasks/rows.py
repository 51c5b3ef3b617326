"""From tokens to rows of ids: long documents cut or chunked, n-grams added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.data.tokens import TokenizedText
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sentences import ends_sentence
from seqnlp.text.vocabulary import PAD, UNK
from seqnlp.types import Pieces, TokenBatch

Ints = NDArray[np.int64]


class TokenRows:
    """The rows of a tokenized text.

    Args:
        text: N documents.
        pipeline: with its vocabulary.
        max_tokens: the most tokens of a document in a row.
        long_documents: a longer document is cut ("truncate") or becomes several rows of nearly
            equal length ("chunk").
        begin, end: special tokens around every row, "" for none.
        sentences: whether batches say where sentences end.

    lengths: int64 [R], at least 1: an empty document without special tokens is one unknown token.
    documents: int64 [R], the document that each row belongs to; ascending.
    """

    def __init__(
        self,
        text: TokenizedText,
        pipeline: TokenPipeline,
        *,
        max_tokens: int,
        long_documents: Literal["chunk", "truncate"],
        begin: str = "",
        end: str = "",
        sentences: bool = False,
    ) -> None:
        sizes = np.asarray(text.lengths, dtype=np.int64)
        if long_documents == "truncate":
            sizes = np.minimum(sizes, max_tokens)
        self.size = len(sizes)
        self.documents: Ints = np.arange(self.size)
        self._begin: Ints = np.asarray(text.offsets[:-1], dtype=np.int64)
        self._length: Ints = sizes
        if sizes.max(initial=0) > max_tokens:
            self._chunk(max_tokens)
        self._around = (1 if begin else 0), (1 if end else 0)
        self.lengths: Ints = np.maximum(self._length + sum(self._around), 1)
        # Plain arrays over the same file: a selection from a memmap costs a new memmap.
        self._tokens = np.asarray(text.tokens)
        self._names = (*text.types, UNK, PAD, begin, end)
        self._load_features(text, pipeline, begin, end)
        self._marks: NDArray[np.bool_] | None = None
        if sentences:
            # Behind those of the text stand the types of unknown, padding, begin and end.
            found = [ends_sentence(pipeline.tokenizer.label(token)) for token in text.types]
            self._marks = np.array([*found, False, False, False, True])

    def _chunk(self, max_tokens: int) -> None:
        """Cut every document into as few rows of nearly equal length as it takes."""
        chunks = np.maximum(-(-self._length // max_tokens), 1)
        self.documents = np.repeat(self.documents, chunks)
        number = np.arange(len(self.documents)) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        parts, whole = np.repeat(chunks, chunks), np.repeat(self._length, chunks)
        begin = number * whole // parts
        self._begin = np.repeat(self._begin, chunks) + begin
        self._length = (number + 1) * whole // parts - begin

    def _load_features(
        self, text: TokenizedText, pipeline: TokenPipeline, begin: str, end: str
    ) -> None:
        """Ids and n-grams of every type, and of four more, which are special tokens."""
        vocabulary = pipeline.vocabulary
        assert vocabulary is not None
        ids, ngrams, offsets = pipeline.features(text.types)
        around = [vocabulary.special(name) if name else vocabulary.pad for name in (begin, end)]
        self._unknown, self._padding, self._begins, self._ends = range(len(ids), len(ids) + 4)
        self._ids = np.concatenate([ids, (vocabulary.unk, vocabulary.pad), around])
        self._ngrams = ngrams if pipeline.hasher is not None else None
        # The n-grams of type u are ngrams[first[u]:first[u + 1]]; the added types have none.
        self._first = np.concatenate([offsets, (len(ngrams),) * 5])

    def types(self, indices: Ints) -> Ints:
        """The type numbers int64 [B, T] of rows; special tokens and padding have numbers after."""
        lengths, sizes = self.lengths[indices], self._length[indices]
        before, after = self._around
        steps = np.arange(-before, lengths.max(initial=1) - before)
        positions = self._begin[indices][:, None] + steps
        real = (steps >= 0) & (steps < sizes[:, None])
        types = np.full(real.shape, self._padding, dtype=np.int64)
        types[real] = self._tokens[positions[real]]
        if before:
            types[:, 0] = self._begins
        if after:
            types[np.arange(len(types)), before + sizes] = self._ends
        if not before + after:
            types[sizes == 0, 0] = self._unknown
        return types

    def tokens(self, indices: Ints, types: Ints | None = None) -> TokenBatch:
        """The rows of these indices, int64 [B], padded to the longest among them.

        Args:
            indices: of the rows.
            types: what `types` says of them, where it was asked before.
        """
        types = self.types(indices) if types is None else types
        return TokenBatch(
            ids=torch.from_numpy(self._ids[types]),
            lengths=torch.from_numpy(self.lengths[indices]),
            pieces=self._pieces(types) if self._ngrams is not None else None,
            ends=None if self._marks is None else torch.from_numpy(self._find_ends(types)),
        )

    def _find_ends(self, types: Ints) -> NDArray[np.bool_]:
        """Bool [B, T]: marks that end a sentence; of several in a row the last."""
        assert self._marks is not None
        marks: NDArray[np.bool_] = self._marks[types]
        marks[:, :-1] &= ~marks[:, 1:]
        return marks

    def names(self, index: int) -> tuple[str, ...]:
        """The tokens of a row as they are written, special ones too."""
        begin = self._begin[index]
        types = self._tokens[begin : begin + self._length[index]].tolist()
        before, after = self._around
        whole = [self._begins] * before + types + [self._ends] * after
        return tuple(self._names[kind] for kind in whole or [self._unknown])

    def _pieces(self, types: Ints) -> Pieces:
        assert self._ngrams is not None
        distinct, inverse = np.unique(types, return_inverse=True)
        first = self._first[distinct]
        sizes = self._first[distinct + 1] - first
        offsets = np.cumsum(sizes) - sizes
        places = np.arange(sizes.sum()) + np.repeat(first - offsets, sizes)
        return Pieces(
            ids=torch.from_numpy(self._ngrams[places]),
            offsets=torch.from_numpy(offsets),
            inverse=torch.from_numpy(inverse.reshape(types.shape)),
        )


def single_row(tokens: Sequence[str], pipeline: TokenPipeline) -> TokenBatch:
    """A batch of one text, what `TokenRows` makes of it where it is not too long, only sooner.

    Arrays over a whole text pay for many texts; for one, they take as long as the network.
    """
    vocabulary, hasher = pipeline.vocabulary, pipeline.hasher
    assert vocabulary is not None
    ids = vocabulary.ids(tokens) or [vocabulary.unk]
    pieces = None
    if hasher is not None:
        numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
        ngrams, offsets = hasher.bags(list(numbers))
        pieces = Pieces(
            ids=torch.from_numpy(ngrams),
            offsets=torch.from_numpy(offsets) if tokens else torch.tensor([0]),
            inverse=_row([numbers[token] for token in tokens] or [0]),
        )
    return TokenBatch(ids=_row(ids), lengths=_row([len(ids)])[0], pieces=pieces)


def _row(numbers: list[int]) -> Tensor:
    """int64 [1, N]; torch itself takes twice as long over a list."""
    return torch.from_numpy(np.array(numbers, dtype=np.int64)).unsqueeze(0)
