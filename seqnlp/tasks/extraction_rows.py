"""Rows of documents as sentences: what an extractor reads and, beside it, what is to be taken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import device as Device

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.base import Batch, Rows
from seqnlp.tasks.rows import Ints, TokenRows
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import TokenBatch


@dataclass(frozen=True, kw_only=True)
class ExtractionBatch(Batch):
    """B documents, or parts of long ones, of up to S sentences.

    tokens: with the ends of their sentences. numbers: int64 [B, S], the place of each sentence in
    its document. totals: int64 [B, S], the sentences of its document; 0 where there is none.
    labels: float [B, S], 1 for a sentence that is to be taken; None at prediction.
    """

    tokens: TokenBatch
    numbers: Tensor
    totals: Tensor
    labels: Tensor | None = None

    def to(self, device: Device | str) -> ExtractionBatch:
        if self.numbers.device == torch.device(device):
            return self
        return ExtractionBatch(
            tokens=self.tokens.to(device),
            numbers=self.numbers.to(device),
            totals=self.totals.to(device),
            labels=None if self.labels is None else self.labels.to(device),
        )


class ExtractionRows(Rows):
    """Documents as their sentences; a long one may be several rows, of whole sentences each.

    Args:
        text: M sentences, those of a document one after another.
        counts: int64 [N], how many each document has.
        pipeline: with its vocabulary.
        documents: gives the N texts, to quote from.
        sentence_tokens: of a longer sentence no more are read.
        max_tokens: the most tokens of a row, by and by: no sentence is cut.
        long_documents: what is longer is left out ("truncate") or makes more rows ("chunk").
        labels: bool [M], the sentences to be taken; None where that is not known.
        labeled_only: leaves documents without any such sentence out.
        notes: see `Rows`.
    """

    def __init__(
        self,
        text: TokenizedText,
        counts: Ints,
        pipeline: TokenPipeline,
        *,
        documents: Callable[[], Iterable[str]],
        sentence_tokens: int,
        max_tokens: int,
        long_documents: Literal["chunk", "truncate"],
        labels: NDArray[np.bool_] | None = None,
        labeled_only: bool = False,
        notes: tuple[str, ...] = (),
    ) -> None:
        self.counts, self.documents, self.notes = counts, documents, notes
        self.labels = labels
        sizes = np.minimum(text.lengths, sentence_tokens)
        document = np.repeat(np.arange(len(counts)), counts)
        first = np.cumsum(counts) - counts
        before = np.cumsum(sizes) - sizes
        before -= before[first[document]]  # tokens of the document so far
        kept = sizes > 0
        if long_documents == "truncate":
            kept &= (before + sizes <= max_tokens) | (before == 0)
        if labeled_only and labels is not None:
            kept &= (np.bincount(document, labels, len(counts)) > 0)[document]
        self.sentences: Ints = np.flatnonzero(kept)
        """int64 [K], those of the M that are read."""
        self._document, self._sizes = document[kept], sizes[kept]
        self._numbers = self.sentences - first[self._document]
        self._labels = None if labels is None else labels[kept].astype(np.float32)
        # Parts of a document have nearly equal numbers of tokens.
        total = np.bincount(self._document, self._sizes, len(counts)).astype(np.int64)
        total = total[self._document]
        part = before[kept] * -(-total // max_tokens) // total
        changes = (np.diff(self._document, prepend=-1) != 0) | (np.diff(part, prepend=0) != 0)
        self._begins = np.append(np.flatnonzero(changes), len(part))
        self._ends = np.cumsum(self._sizes)
        offsets = np.append(0, self._ends)[self._begins]
        tokens = np.asarray(text.tokens)
        if len(tokens) != offsets[-1]:
            tokens = tokens[_read_tokens(text, kept, sentence_tokens)]
        rows = TokenizedText(types=text.types, tokens=tokens, offsets=offsets)
        self._tokens = TokenRows(rows, pipeline, max_tokens=sys.maxsize, long_documents="truncate")
        self._offsets = offsets
        self.lengths = self._tokens.lengths

    def batch(self, indices: Ints) -> ExtractionBatch:
        tokens = self._tokens.tokens(indices)
        flat, real = self._places(indices)
        rows = np.nonzero(real)[0]
        ends = np.zeros(tokens.ids.shape, dtype=np.bool_)
        ends[rows, self._ends[flat] - 1 - self._offsets[indices][rows]] = True
        made = {"numbers": self._numbers, "totals": self.counts[self._document]}
        padded = {}
        for name, values in made.items():
            padded[name] = np.zeros(real.shape, dtype=np.int64)
            padded[name][real] = values[flat]
        labels = None
        if self._labels is not None:
            labels = torch.zeros(real.shape)
            labels[torch.from_numpy(real)] = torch.from_numpy(self._labels[flat])
        return ExtractionBatch(
            tokens=replace(tokens, ends=torch.from_numpy(ends)),
            numbers=torch.from_numpy(padded["numbers"]),
            totals=torch.from_numpy(padded["totals"]),
            labels=labels,
        )

    def places(self, indices: Ints) -> Ints:
        """The places among all M of the sentences of rows, row by row."""
        return self.sentences[self._places(indices)[0]]

    def _places(self, indices: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """The sentences of rows among those that are read; bool [B, S], where there is one."""
        begins, ends = self._begins[indices], self._begins[indices + 1]
        steps = np.arange((ends - begins).max(initial=0))
        real = steps < (ends - begins)[:, None]
        return (begins[:, None] + steps)[real], real


def _read_tokens(text: TokenizedText, kept: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Bool, of all tokens: whether they are among the first of a sentence that is read."""
    sentence = np.repeat(np.arange(len(text)), text.lengths)
    place = np.arange(len(sentence)) - text.offsets[sentence]
    return kept[sentence] & (place < most)
