"""What may come next: forbidden tokens, lengths, prefixes, n-grams that do not repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from seqnlp.tasks.decoding.words import WordLimit

NEVER = float("-inf")
FLOOR = -1e4  # log-probability of what is forced on a model that rules it out


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A step of a search, and whose rows it is about.

    time: tokens that the hypotheses have. sources: int64 [B'], each with N / B' rows. history:
    int64 [N, time], the tokens; read by `no_repeat_ngram` alone, and elsewhere anything. full: bool
    [N], which may begin no further word; None where none is full. alone: whether a hypothesis has
    no others that it is compared with.
    """

    time: int
    sources: Tensor
    history: Tensor
    full: Tensor | None = None
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a search may produce.

    eos: the token that ends. forbidden: int64 [F]. min_length, no_repeat_ngram: see `Decoding`.
    limits: int64 [B], the greatest length of each source's outputs, the end not counted.
    prefixes: int64 [B, P], -1 after their ends. words: of each output, where they are limited.
    """

    eos: int
    forbidden: Tensor
    min_length: int
    no_repeat_ngram: int
    limits: Tensor
    prefixes: Tensor
    words: WordLimit | None = None

    @cached_property
    def _first_limit(self) -> int:
        return int(self.limits.min())

    @cached_property
    def _first_full(self) -> int | float:
        """Fewer tokens are fewer words."""
        return math.inf if self.words is None else int(self.words.most.min())

    def plain(self, time: int) -> bool:
        """Whether nothing but `forbidden` is ruled out after so many tokens."""
        begun = max(self.min_length, self.prefixes.shape[1]) <= time
        free = time < min(self._first_limit, self._first_full)
        return begun and free and not self.no_repeat_ngram

    def full(self, words: Tensor | None, last: Tensor, sources: Tensor, time: int) -> Tensor | None:
        """Which hypotheses may begin no further word, bool [N]; None where it is none.

        Args:
            words: int64 [B', R], how many they have; None without a limit.
            last: int64 [B', R], the last token of each.
            sources: int64 [B'].
            time: tokens that they have.
        """
        if self.words is None or words is None or time < self._first_full:
            return None
        return self.words.full(words, last, sources.unsqueeze(1)).flatten()

    def count_words(
        self, words: Tensor | None, last: Tensor, tokens: Tensor, sources: Tensor, time: int
    ) -> Tensor | None:
        """The number of words after another token, int64 [B', R]; None without a limit.

        Args:
            words, last, sources, time: see `full`; before it.
            tokens: int64 [B', R], the new ones.
        """
        if self.words is None or words is None:
            return None
        return self.words.count(words, last, tokens, sources.unsqueeze(1), first=time == 0)

    def cut(self, logits: Tensor, sources: Tensor, time: int) -> Tensor | None:
        """What the model would go on with where the greatest length ends an output, int64 [N].

        It is the end itself for rows that may go on; None before the first limit.
        """
        if time < self._first_limit:
            return None
        ending = (self.limits[sources] <= time).repeat_interleave(len(logits) // len(sources))
        return torch.where(ending, logits.argmax(1), self.eos)

    def apply(self, scores: Tensor, moment: Moment) -> None:
        """Put -inf on what may not come next, in place. Some token is always left.

        What is forced (a prefix, the end at the limit) is spared by all other rules; and a
        hypothesis may end early where its words are full or nothing else is left.

        Args:
            scores: float [N, V], log-probabilities.
            moment: of which step and rows.
        """
        forced = self._forced(moment)
        if forced is not None:
            forced = forced.repeat_interleave(len(scores) // len(moment.sources))
            rows = (forced >= 0).nonzero().squeeze(1)
            columns = forced[rows]
            values = scores[rows, columns].nan_to_num(FLOOR).clamp(min=FLOOR)
        end = scores[:, self.eos].nan_to_num(FLOOR).clamp(min=FLOOR)
        scores.index_fill_(1, self.forbidden, NEVER)
        short = moment.time < self.min_length
        if short:
            scores[:, self.eos] = NEVER
        if moment.full is not None:
            self._ban_words(scores, moment, end)
        if self.no_repeat_ngram:
            self._ban_repeated(scores, moment.history)
        if short or self.no_repeat_ngram:
            stuck = scores.amax(1) == NEVER
            scores[:, self.eos] = torch.where(stuck, end, scores[:, self.eos])
        if forced is not None:
            scores[rows] = NEVER
            scores[rows, columns] = values

    def _forced(self, moment: Moment) -> Tensor | None:
        """Int64 [B'], the only token that may come, or -1; None where there is none at all."""
        prefixed = moment.time < self.prefixes.shape[1]
        ending = self.limits[moment.sources] <= moment.time
        if not prefixed and not ending.any():
            return None
        forced = torch.where(ending, self.eos, -1)
        if not prefixed:
            return forced
        prefix = self.prefixes[moment.sources, moment.time]
        return torch.where(prefix >= 0, prefix, forced)

    def _ban_words(self, scores: Tensor, moment: Moment, end: Tensor) -> None:
        """Rule out further words where they are full, and let those rows end.

        A hypothesis that stands alone goes on with its last word only if that is the best of all
        that there is: else a piece would be hung on to a whole word.
        """
        assert self.words is not None
        assert moment.full is not None
        rows = moment.full.nonzero().squeeze(1)
        sources = moment.sources.repeat_interleave(len(scores) // len(moment.sources))[rows]
        begins = self.words.marks.begins[sources]
        if moment.alone:
            begins = begins | begins.gather(1, scores[rows].argmax(1, keepdim=True))
        scores[rows] = scores[rows].masked_fill(begins, NEVER)
        scores[rows, self.eos] = end[rows]

    def _ban_repeated(self, scores: Tensor, history: Tensor) -> None:
        """Rule out what would complete an n-gram for the second time; the end is no such token."""
        size = self.no_repeat_ngram
        if history.shape[1] < size:
            return
        grams = history.unfold(1, size, 1)  # [N, W, size]
        last = history[:, history.shape[1] - size + 1 :]
        rows, places = (grams[:, :, :-1] == last.unsqueeze(1)).all(2).nonzero(as_tuple=True)
        scores[rows, grams[rows, places, -1]] = NEVER


def limits(
    lengths: Tensor,
    *,
    ratio: float,
    extra: int,
    least: int,
    most: int | None,
    forced: Sequence[int],
) -> Tensor:
    """The greatest length of the outputs of each source, int64 [B].

    Args:
        lengths: int64 [B], of the sources.
        ratio: of ratio * length + extra.
        extra: see `ratio`.
        least: no limit is under it.
        most: none is over it.
        forced: tokens that each output must have in any case; no limit is under them.
    """
    found = (lengths.double() * ratio).floor().long() + extra
    found = found.clamp(min=1, max=most).clamp(min=least)
    return torch.maximum(found, torch.tensor(forced, dtype=torch.long, device=lengths.device))


def padded(sequences: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Int64 [B, T], -1 after the end of each."""
    table = torch.full((len(sequences), max(map(len, sequences), default=0)), -1)
    for row, sequence in enumerate(sequences):
        table[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
    return table.to(device)
