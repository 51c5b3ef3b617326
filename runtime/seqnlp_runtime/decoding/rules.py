"""What may come next: forbidden tokens, lengths, prefixes, n-grams that do not repeat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqnlp_runtime.decoding.arrays import FLOOR, NEVER, Bools, Doubles, Floats, Ints, repeat, top
from seqnlp_runtime.decoding.words import WordLimit


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A step of a search, and whose rows it is about.

    time: tokens that the hypotheses have. sources: int64 [B'], each with N / B' rows. history:
    int64 [N, time], the tokens; read by `no_repeat_ngram` alone, and elsewhere anything. full: bool
    [N], which may begin no further word; None where none is full. alone: whether a hypothesis has
    no others that it is compared with.
    """

    time: int
    sources: Ints
    history: Ints
    full: Bools | None = None
    alone: bool = False


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a search may produce.

    eos: the token that ends. forbidden: int64 [F]. min_length, no_repeat_ngram: see `Decoding`.
    limits: int64 [B], the greatest length of each source's outputs, the end not counted.
    prefixes: int64 [B, P], -1 after their ends. words: of each output, where they are limited.
    """

    eos: int
    forbidden: Ints
    min_length: int
    no_repeat_ngram: int
    limits: Ints
    prefixes: Ints
    words: WordLimit | None = None

    @cached_property
    def _first_limit(self) -> int:
        return int(self.limits.min())

    @cached_property
    def _first_full(self) -> int | float:
        """Fewer tokens are fewer words."""
        return math.inf if self.words is None else int(self.words.most.min())

    def best(self, logs: Floats, count: int, moment: Moment) -> tuple[Doubles, Ints]:
        """The best tokens of each row that may come next, best first: [N, count] each.

        Args:
            logs: float32 [N, V], log-probabilities, overwritten.
            count: at most V.
            moment: of which step and rows.
        """
        self.apply(logs, moment)
        values, tokens = top(logs, count)
        return values.astype(np.float64), tokens

    def full(self, words: Ints | None, last: Ints, sources: Ints, time: int) -> Bools | None:
        """Which hypotheses may begin no further word, bool [N]; None where it is none.

        Args:
            words: int64 [B', R], how many they have; None without a limit.
            last: int64 [B', R], the last token of each.
            sources: int64 [B'].
            time: tokens that they have.
        """
        if self.words is None or words is None or time < self._first_full:
            return None
        return self.words.full(words, last, sources[:, None]).ravel()

    def count_words(
        self, words: Ints | None, last: Ints, tokens: Ints, sources: Ints, time: int
    ) -> Ints | None:
        """The number of words after another token, int64 [B', R]; None without a limit."""
        if self.words is None or words is None:
            return None
        return self.words.count(words, last, tokens, sources[:, None], first=time == 0)

    def cut(self, logs: Floats, sources: Ints, time: int) -> Ints | None:
        """What the model would go on with where the greatest length ends an output, int64 [N].

        It is the end itself for rows that may go on; None before the first limit.
        """
        if time < self._first_limit:
            return None
        ending = repeat(self.limits[sources] <= time, len(logs) // len(sources))
        return np.where(ending, logs.argmax(1), self.eos)

    def apply(self, logs: Floats, moment: Moment) -> None:
        """Put -inf on what may not come next, in place. Some token is always left.

        What is forced (a prefix, the end at the limit) is spared by all other rules; and a
        hypothesis may end early where its words are full or nothing else is left.
        """
        forced = self._forced(moment)
        if forced is not None:
            forced = repeat(forced, len(logs) // len(moment.sources))
            rows = np.flatnonzero(forced >= 0)
            columns = forced[rows]
            values = _at_least(logs[rows, columns])
        end = _at_least(logs[:, self.eos])
        logs[:, self.forbidden] = NEVER
        short = moment.time < self.min_length
        if short:
            logs[:, self.eos] = NEVER
        if moment.full is not None:
            self._ban_words(logs, moment, moment.full, end)
        if self.no_repeat_ngram:
            self._ban_repeated(logs, moment.history)
        if short or self.no_repeat_ngram:
            stuck = logs.max(1) == NEVER
            logs[stuck, self.eos] = end[stuck]
        if forced is not None:
            logs[rows] = NEVER
            logs[rows, columns] = values

    def _forced(self, moment: Moment) -> Ints | None:
        """Int64 [B'], the only token that may come, or -1; None where there is none at all."""
        prefixed = moment.time < self.prefixes.shape[1]
        ending = self.limits[moment.sources] <= moment.time
        if not prefixed and not ending.any():
            return None
        forced = np.where(ending, self.eos, -1)
        if not prefixed:
            return forced
        prefix = self.prefixes[moment.sources, moment.time]
        return np.where(prefix >= 0, prefix, forced)

    def _ban_words(self, logs: Floats, moment: Moment, full: Bools, end: Floats) -> None:
        """Rule out further words where they are full, and let those rows end.

        A hypothesis that stands alone goes on with its last word only if that is the best of all
        that there is: else a piece would be hung on to a whole word.
        """
        assert self.words is not None
        rows = np.flatnonzero(full)
        sources = repeat(moment.sources, len(logs) // len(moment.sources))[rows]
        begins = self.words.marks.begins[sources]
        if moment.alone:
            best = logs[rows].argmax(1)[:, None]
            begins = begins | np.take_along_axis(begins, best, 1)
        logs[rows] = np.where(begins, np.float32(NEVER), logs[rows])
        logs[rows, self.eos] = end[rows]

    def _ban_repeated(self, logs: Floats, history: Ints) -> None:
        """Rule out what would complete an n-gram for the second time; the end is no such token."""
        size = self.no_repeat_ngram
        if history.shape[1] < size:
            return
        grams = np.lib.stride_tricks.sliding_window_view(history, size, axis=1)
        last = history[:, history.shape[1] - size + 1 :]
        rows, places = np.nonzero((grams[:, :, :-1] == last[:, None]).all(2))
        logs[rows, grams[rows, places, -1]] = NEVER


def _at_least(logs: Floats) -> Floats:
    """What may be forced."""
    return np.maximum(np.nan_to_num(logs, nan=FLOOR), np.float32(FLOOR))
