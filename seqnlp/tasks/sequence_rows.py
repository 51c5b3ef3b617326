"""Rows of tasks that write a sequence: what is read, and beside it what is to be written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch import device as Device

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.base import Batch, Rows
from seqnlp.tasks.copy_rows import CopyTable
from seqnlp.tasks.rows import Ints, TokenRows
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sampling import SegmentSampler
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK
from seqnlp.types import Copies, TokenBatch

SOURCE_SPECIALS = (PAD, UNK, EOS)
TARGET_SPECIALS = (PAD, UNK, BOS, EOS)
UNKNOWN = TARGET_SPECIALS.index(UNK)


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


class Sides:
    """Sources with their targets, a row for each document.

    Args:
        source, target: the rows.
        outputs: V, how many tokens of the target's vocabulary can be generated.
        copies: what can be copied; None where nothing is.
        target_types: the token types of targets.
        mixed: whether batches are of sources of like length, whatever that of their targets.
    """

    def __init__(
        self,
        source: TokenRows,
        target: TokenRows,
        *,
        outputs: int,
        copies: CopyTable | None,
        target_types: Sequence[str],
        mixed: bool = False,
    ) -> None:
        self.source, self.target, self.mixed = source, target, mixed
        self._outputs, self._copies = outputs, copies
        # Special tokens stand in no source.
        self._numbers = (
            None if copies is None else np.append(copies.number(target_types), (-1,) * 4)
        )

    def batch(self, documents: Ints, *, own_share: float) -> SequenceBatch:
        """The rows of these documents."""
        types = [side.types(documents) for side in (self.source, self.target)]
        target = self.target.tokens(documents, types[1])
        ids = target.ids[:, 1:].numpy()
        copies, goals = None, np.where(ids < self._outputs, ids, UNKNOWN)
        if self._copies is not None and self._numbers is not None:
            slots = self._copies.slots(types[0])
            goals = self._copies.goals(slots, ids, self._numbers[types[1][:, 1:]])
            copies = self._copies.copies(slots)
        return SequenceBatch(
            source=self.source.tokens(documents, types[0]),
            target=target,
            copies=copies,
            goals=torch.from_numpy(goals),
            own_share=own_share,
        )


class PairRows(Rows):
    """Sources with their targets, to learn from.

    Args:
        sides: a row for each document.
        chosen: int64 [R], the documents that are rows.
        again: makes the sides of an epoch, where they are drawn anew.
        own_share: see `SequenceBatch`; by epoch, from 1.
        notes: see `Rows`.
    """

    def __init__(
        self,
        sides: Sides,
        *,
        chosen: Ints,
        again: Callable[[int], Sides] | None = None,
        own_share: Callable[[int], float] = lambda epoch: 0.0,
        notes: tuple[str, ...] = (),
        epoch: int = 1,
    ) -> None:
        self.sides, self.chosen = sides, chosen
        self._again, self._own_share = again, own_share
        self.own_share, self.notes = own_share(epoch), notes
        source, target = sides.source.lengths[chosen], sides.target.lengths[chosen]
        # Steps of the decoder cost the most, and so are padded the least. But of short targets a
        # batch of one length has few tokens, each of which would weigh so much the more that
        # outputs would end too soon.
        self.lengths = source if sides.mixed else np.stack([target, source], axis=1)

    def batch(self, indices: Ints) -> SequenceBatch:
        return self.sides.batch(self.chosen[indices], own_share=self.own_share)

    def for_epoch(self, epoch: int) -> PairRows:
        sides = self.sides if self._again is None else self._again(epoch)
        return PairRows(
            sides, chosen=self.chosen, again=self._again, own_share=self._own_share, epoch=epoch
        )


class SourceRows(Rows):
    """Sources to be answered; a long one may be several rows.

    Args:
        source: the rows, of N documents.
        blank: bool [N], documents that are not to be answered: nothing stands in them.
        texts: gives them as they are.
        pairs: those of them that have a target, and in one row each; None where none is known.
        copies: what can be copied; None where nothing is.
    """

    def __init__(
        self,
        source: TokenRows,
        *,
        blank: Ints,
        texts: Callable[[], Iterable[str]],
        pairs: PairRows | None = None,
        copies: CopyTable | None = None,
    ) -> None:
        self.source, self.blank, self.pairs, self.copies = source, blank, pairs, copies
        self.texts = texts
        self.lengths = source.lengths

    def batch(self, indices: Ints) -> SequenceBatch:
        types = self.source.types(indices)
        source = self.source.tokens(indices, types)
        if self.copies is None:
            return SequenceBatch(source=source)
        return SequenceBatch(source=source, copies=self.copies.copies(self.copies.slots(types)))

    def slot_names(self, indices: Ints) -> list[tuple[str, ...]]:
        """The tokens that rows can copy and not generate, in the order of their extended ids."""
        if self.copies is None:
            return [()] * len(indices)
        return self.copies.names(self.copies.slots(self.source.types(indices)))


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
