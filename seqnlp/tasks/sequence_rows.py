"""Rows of tasks that write a sequence: what is read, and beside it what is to be written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch import device as Device

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.base import Batch, Rows
from seqnlp.tasks.rows import Ints, TokenRows
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sampling import SegmentSampler
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK
from seqnlp.types import Copies, TokenBatch

SOURCE_SPECIALS = (PAD, UNK, EOS)
TARGET_SPECIALS = (PAD, UNK, BOS, EOS)

Sides: TypeAlias = tuple[TokenRows, TokenRows]
"""A row for each document, of sources and of targets."""


@dataclass(frozen=True, kw_only=True)
class SequenceBatch(Batch):
    """source: B rows that end in <eos>. target: B rows from <bos> to <eos>; None at prediction.
    own_share: of the target tokens that the decoder reads, those that it has predicted itself.
    copies: what of the sources can be copied; None for a writer that copies nothing. goals: int64
    [B, T], the extended id (see `Copies`) of every token after <bos>, 0 on padding; UNK where one
    can be neither generated nor copied, which counts nowhere. None where `target` itself says it.
    """

    source: TokenBatch
    target: TokenBatch | None = None
    own_share: float = 0.0
    copies: Copies | None = None
    goals: Tensor | None = None

    def to(self, device: Device | str) -> SequenceBatch:
        if self.source.ids.device == torch.device(device):
            return self
        return SequenceBatch(
            source=self.source.to(device),
            target=None if self.target is None else self.target.to(device),
            own_share=self.own_share,
            copies=None if self.copies is None else self.copies.to(device),
            goals=None if self.goals is None else self.goals.to(device),
        )


class PairRows(Rows):
    """Sources with their targets, to learn from.

    Args:
        source, target: a row for each document.
        chosen: int64 [R], the documents that are rows.
        again: makes source and target of an epoch, where they are drawn anew.
        own_share: see `SequenceBatch`; by epoch, from 1.
        notes: see `Rows`.
    """

    def __init__(
        self,
        source: TokenRows,
        target: TokenRows,
        *,
        chosen: Ints,
        again: Callable[[int], Sides] | None = None,
        own_share: Callable[[int], float] = lambda epoch: 0.0,
        notes: tuple[str, ...] = (),
        epoch: int = 1,
    ) -> None:
        self.source, self.target, self.chosen = source, target, chosen
        self._again, self._own_share = again, own_share
        self.own_share, self.notes = own_share(epoch), notes
        # Steps of the decoder cost the most, and so are padded the least.
        self.lengths = np.stack([target.lengths[chosen], source.lengths[chosen]], axis=1)

    def batch(self, indices: Ints) -> SequenceBatch:
        documents = self.chosen[indices]
        return SequenceBatch(
            source=self.source.tokens(documents),
            target=self.target.tokens(documents),
            own_share=self.own_share,
        )

    def for_epoch(self, epoch: int) -> PairRows:
        sides = (self.source, self.target) if self._again is None else self._again(epoch)
        return PairRows(
            *sides, chosen=self.chosen, again=self._again, own_share=self._own_share, epoch=epoch
        )


class SourceRows(Rows):
    """Sources to be answered; a long one may be several rows.

    Args:
        source: the rows, of N documents.
        blank: bool [N], documents that are not to be answered: nothing stands in them.
        pairs: those of them that have a target, and in one row each; None where none is known.
    """

    def __init__(self, source: TokenRows, *, blank: Ints, pairs: PairRows | None = None) -> None:
        self.source, self.blank, self.pairs = source, blank, pairs
        self.lengths = source.lengths

    def batch(self, indices: Ints) -> SequenceBatch:
        return SequenceBatch(source=self.source.tokens(indices))


class SampledText:
    """Texts of one side whose words are cut into subwords anew for each epoch.

    Args:
        pipeline: with its vocabulary. sampler: of the texts, by the same pipeline.
    """

    def __init__(self, pipeline: TokenPipeline, sampler: SegmentSampler) -> None:
        vocabulary = pipeline.vocabulary
        assert vocabulary is not None
        self._sampler = sampler
        # A type for each id. No token is empty, so that one is unknown.
        self._types = (*("" for _ in vocabulary.specials), *vocabulary.tokens)

    def text(self, epoch: int) -> TokenizedText:
        """The texts as an epoch reads them."""
        tokens, offsets = self._sampler.draw(epoch)
        return TokenizedText(types=self._types, tokens=tokens, offsets=offsets)
