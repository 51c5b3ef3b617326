"""Phrases that must occur: a beam shared out by how much of them a hypothesis has.

Dynamic beam allocation (Post and Vilar 2018, arXiv:1804.06609): hypotheses compete with those that
have as many tokens of their phrases, in a bank, so that one without any, which is always more
probable at first, does not drive them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqnlp_runtime.decoding.arrays import (
    FLOOR,
    NEVER,
    Bools,
    Doubles,
    Floats,
    Ints,
    padded,
    repeat,
    top,
)
from seqnlp_runtime.decoding.growth import Grown
from seqnlp_runtime.decoding.rules import Moment, Rules
from seqnlp_runtime.decoding.words import WordLimit


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far hypotheses are in the C phrases of their sources.

    matched: bool [..., C, L], whether a hypothesis ends in the first 1, 2, ... L tokens of a
    phrase. met: bool [..., C], which it contains.
    """

    matched: Bools
    met: Bools

    def select(self, sources: Ints, rows: Ints) -> Progress:
        """These rows [..., M] of these sources, which are broadcast together."""
        return Progress(matched=self.matched[sources, rows], met=self.met[sources, rows])


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """What the outputs of each source contain, each phrase as one run of tokens; they may overlap.

    tokens: int64 [B, C, L], -1 after a phrase's end. lengths: int64 [B, C], 0 for none.
    rules: whose limits leave room for the phrases. words: int64 [B, C, L + 1], those that the first
    0, 1, ... L tokens of a phrase have, where words are limited.
    """

    tokens: Ints
    lengths: Ints
    rules: Rules
    words: Ints | None = None

    @classmethod
    def of(cls, phrases: Sequence[Sequence[Sequence[int]]], rules: Rules) -> Phrases:
        """The phrases of each source."""
        most = max(map(len, phrases))
        flat = [list(own[i]) if i < len(own) else [] for own in phrases for i in range(most)]
        tokens = padded(flat).reshape(len(phrases), most, -1)
        words = None if rules.words is None else _words_of(tokens, rules.words)
        return cls(tokens=tokens, lengths=(tokens >= 0).sum(2), rules=rules, words=words)

    def begin(self) -> Progress:
        """Of one hypothesis for each source that has no token yet."""
        matched = np.zeros(self.tokens.shape, dtype=np.bool_)
        return Progress(matched=matched[:, None], met=(self.lengths == 0)[:, None])

    def advance(self, progress: Progress, tokens: Ints, sources: Ints) -> Progress:
        """After another token: all phrases at once, as Baeza-Yates and Gonnet (1992) search texts.

        Args:
            progress: of [B', M] hypotheses.
            tokens: int64 [B', M].
            sources: int64 [B'].
        """
        phrases, lengths = self.tokens[sources][:, None], self.lengths[sources][:, None]
        before = np.ones_like(progress.matched)
        before[..., 1:] = progress.matched[..., :-1]
        matched = before & (phrases == tokens[:, :, None, None])
        last = np.broadcast_to(np.maximum(lengths - 1, 0), progress.met.shape)[..., None]
        met = progress.met | np.take_along_axis(matched, last, 3)[..., 0]
        return Progress(matched=matched, met=met)

    def reached(self, progress: Progress) -> Ints:
        """How long a part of each phrase the hypotheses end in, int64 [..., C]."""
        found: Ints = (progress.matched * np.arange(1, self.tokens.shape[2] + 1)).max(-1)
        return found

    def covered(self, progress: Progress, sources: Ints) -> Ints:
        """Tokens of phrases that hypotheses have, int64 [B', M]: the bank of each.

        Of unfinished phrases the one that is furthest counts: going on with it is sure to raise
        the number by 1, so that what is missing is never more than the rest.
        """
        whole = (progress.met * self.lengths[sources][:, None]).sum(2)
        found: Ints = whole + np.where(progress.met, 0, self.reached(progress)).max(2)
        return found

    def words_missing(self, progress: Progress, sources: Ints) -> Ints:
        """Words that hypotheses still need for phrases, int64 [B', M]; see `covered`."""
        assert self.words is not None
        shape = *progress.met.shape, self.words.shape[2]
        words = np.broadcast_to(self.words[sources][:, None], shape)
        begun = np.take_along_axis(words, self.reached(progress)[..., None], 3)[..., 0]
        missing = np.where(progress.met, 0, words[..., -1]).sum(2)
        found: Ints = missing - np.where(progress.met, 0, begun).max(2)
        return found

    def next_tokens(self, progress: Progress, sources: Ints) -> Ints:
        """What goes on with each phrase, int64 [B', M, C]; -1 where it is there already."""
        phrases = np.broadcast_to(self.tokens[sources][:, None], progress.matched.shape)
        place = np.minimum(self.reached(progress), self.tokens.shape[2] - 1)[..., None]
        return np.where(progress.met, -1, np.take_along_axis(phrases, place, 3)[..., 0])

    def grow(
        self,
        logs: Floats,
        totals: Doubles,
        progress: Progress,
        moment: Moment,
        *,
        width: int,
        last: Ints,
        words: Ints | None,
    ) -> Grown:
        """The 2 * width ways to grow that the banks give, those of the beam before the others.

        Beside the best tokens of each hypothesis, those are tried that go on with a phrase; no
        rule but a prefix holds them up. Nothing grows that has no room left for its phrases, one
        after another, and nothing ends without them.

        Args:
            logs: float32 [B' * W, V], log-probabilities, overwritten.
            totals: [B', W], log-probabilities of the hypotheses.
            progress: of [B', W] hypotheses.
            moment: of which step and rows.
            width: of the beam.
            last: int64 [B', W], the last token of each hypothesis.
            words: int64 [B', W], how many each has, where they are limited.
        """
        time, sources = moment.time, moment.sources
        count, size = len(sources), logs.shape[1]
        wanted = self.next_tokens(progress, sources).reshape(len(logs), -1)
        known = np.maximum(wanted, 0)
        extra = np.maximum(np.take_along_axis(logs, known, 1), np.float32(FLOOR))
        held = wanted < 0
        if time < self.rules.prefixes.shape[1]:
            prefixed = self.rules.prefixes[sources, time] >= 0
            held = repeat(prefixed, totals.shape[1])[:, None] | held
        self.rules.apply(logs, moment)
        logs[~progress.met.all(2).ravel(), self.rules.eos] = NEVER

        values, tokens = top(logs, min(2 * width, size))
        again = (tokens[:, None] == wanted[:, :, None]) & (values > NEVER)[:, None]
        twice = np.tril(wanted[:, None] == wanted[:, :, None], -1)
        extra = np.where(held | again.any(2) | twice.any(2), np.float32(NEVER), extra)
        tokens = np.concatenate([tokens, known], 1)
        each = tokens.shape[1]
        gained = np.concatenate([values, extra], 1).astype(np.float64).reshape(count, -1, each)
        marks = (gained + totals[:, :, None]).reshape(count, -1)
        tokens = tokens.reshape(count, -1)
        parents = np.arange(tokens.shape[1]) // each
        after = self.advance(
            Progress(matched=progress.matched[:, parents], met=progress.met[:, parents]),
            tokens,
            sources,
        )
        banks = self.covered(after, sources)
        needed = self.lengths[sources].sum(1, keepdims=True)
        room = np.maximum(self.rules.limits[sources] - time - 1, 0)[:, None]
        marks = np.where(needed - banks > room, NEVER, marks)
        if words is not None and (limit := self.rules.words) is not None:
            own = sources[:, None]
            new = limit.count(words[:, parents], last[:, parents], tokens, own, first=time == 0)
            new = new + self.words_missing(after, sources)
            marks[(tokens != self.rules.eos) & (new > limit.most[own])] = NEVER
        grown = Grown(totals=marks, tokens=tokens, parents=np.broadcast_to(parents, tokens.shape))
        return grown.take(_allot(marks, banks, needed, width)).padded(2 * width)


def without_parts(phrases: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The phrases without those that lie in another, and each once."""
    every = sorted({tuple(phrase) for phrase in phrases}, key=lambda own: (-len(own), own))
    kept: list[tuple[int, ...]] = []
    for phrase in every:
        size = len(phrase)
        runs = (long[i : i + size] for long in kept for i in range(len(long) - size + 1))
        if phrase not in runs:
            kept.append(phrase)
    return kept


def _words_of(tokens: Ints, limit: WordLimit) -> Ints:
    """See `Phrases.words`."""
    real, ids = tokens >= 0, np.maximum(tokens, 0)
    begun = np.ones_like(real)
    begun[..., 1:] = limit.begun(ids[..., :-1], ids[..., 1:], np.arange(len(ids))[:, None, None])
    return np.pad(np.cumsum(begun & real, 2), ((0, 0), (0, 0), (1, 0)))


def _allot(marks: Doubles, banks: Ints, needed: Ints, width: int) -> Ints:
    """Places of the 2 * width ways to grow that stay, int64 [B', up to 2 * width].

    Each bank has an equal share of the beam, at least one, the highest what is left over. Where
    those are too many the highest banks come first; where they are too few, the best of all others
    fill up.

    Args:
        marks: [B', M].
        banks: int64 [B', M].
        needed: int64 [B', 1], the highest bank.
        width: of the beam.
    """
    order = np.argsort(-marks, axis=1, kind="stable")
    banks = np.take_along_axis(banks, order, 1)
    kinds = np.arange(int(needed.max()) + 1)
    ranks = np.cumsum(banks[:, :, None] == kinds, 1)
    rank = np.take_along_axis(ranks, banks[:, :, None], 2)[..., 0] - 1
    share = width // (needed + 1)
    quota = np.maximum(np.where(banks == needed, width - share * needed, share), 1)
    first = (rank < quota) & (np.take_along_axis(marks, order, 1) > NEVER)
    again = np.argsort(-np.where(first, banks + 1, 0), axis=1, kind="stable")
    return np.take_along_axis(order, again, 1)[:, : 2 * width]
