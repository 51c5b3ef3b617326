"""Phrases that must occur: a beam shared out by how much of them a hypothesis has.

Dynamic beam allocation (Post and Vilar 2018, arXiv:1804.06609): hypotheses compete with those that
have as many tokens of their phrases, in a bank, so that one without any, which is always more
probable at first, does not drive them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqnlp.nn.engines.greatest import top
from seqnlp.tasks.decoding.growth import Grown
from seqnlp.tasks.decoding.rules import FLOOR, NEVER, Moment, Rules, padded
from seqnlp.tasks.decoding.words import WordLimit


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far hypotheses are in the C phrases of their sources.

    matched: bool [..., C, L], whether a hypothesis ends in the first 1, 2, ... L tokens of a
    phrase. met: bool [..., C], which it contains.
    """

    matched: Tensor
    met: Tensor

    def select(self, sources: Tensor, rows: Tensor) -> Progress:
        """These rows [..., M] of these sources, which are broadcast together."""
        return Progress(matched=self.matched[sources, rows], met=self.met[sources, rows])


@dataclass(frozen=True, kw_only=True)
class Phrases:
    """What the outputs of each source contain, each phrase as one run of tokens; they may overlap.

    tokens: int64 [B, C, L], -1 after a phrase's end. lengths: int64 [B, C], 0 for none.
    rules: whose limits leave room for the phrases. words: int64 [B, C, L + 1], those that the first
    0, 1, ... L tokens of a phrase have, where words are limited.
    """

    tokens: Tensor
    lengths: Tensor
    rules: Rules
    words: Tensor | None = None

    @classmethod
    def of(cls, phrases: Sequence[Sequence[Sequence[int]]], rules: Rules) -> Phrases:
        """The phrases of each source."""
        most = max(map(len, phrases))
        flat = [own[i] if i < len(own) else () for own in phrases for i in range(most)]
        tokens = padded(flat, rules.limits.device).view(len(phrases), most, -1)
        words = None if rules.words is None else _words_of(tokens, rules.words)
        return cls(tokens=tokens, lengths=(tokens >= 0).sum(2), rules=rules, words=words)

    def begin(self) -> Progress:
        """Of one hypothesis for each source that has no token yet."""
        matched = torch.zeros_like(self.tokens, dtype=torch.bool)
        return Progress(matched=matched.unsqueeze(1), met=(self.lengths == 0).unsqueeze(1))

    def advance(self, progress: Progress, tokens: Tensor, sources: Tensor) -> Progress:
        """After another token: all phrases at once, as Baeza-Yates and Gonnet (1992) search texts.

        Args:
            progress: of [B', M] hypotheses.
            tokens: int64 [B', M].
            sources: int64 [B'].
        """
        phrases, lengths = self.tokens[sources].unsqueeze(1), self.lengths[sources].unsqueeze(1)
        before = torch.nn.functional.pad(progress.matched[..., :-1], (1, 0), value=True)
        matched = before & (phrases == tokens[:, :, None, None])
        last = (lengths - 1).clamp(min=0).expand_as(progress.met).unsqueeze(3)
        return Progress(matched=matched, met=progress.met | matched.gather(3, last).squeeze(3))

    def reached(self, progress: Progress) -> Tensor:
        """How long a part of each phrase the hypotheses end in, int64 [..., C]."""
        places = torch.arange(1, self.tokens.shape[2] + 1, device=self.tokens.device)
        return (progress.matched * places).amax(-1)

    def covered(self, progress: Progress, sources: Tensor) -> Tensor:
        """Tokens of phrases that hypotheses have, int64 [B', M]: the bank of each.

        Of unfinished phrases the one that is furthest counts: going on with it is sure to raise
        the number by 1, so that what is missing is never more than the rest.
        """
        lengths = self.lengths[sources].unsqueeze(1)
        whole = (progress.met * lengths).sum(2)
        return whole + self.reached(progress).masked_fill(progress.met, 0).amax(2)

    def words_missing(self, progress: Progress, sources: Tensor) -> Tensor:
        """Words that hypotheses still need for phrases, int64 [B', M]; see `covered`."""
        assert self.words is not None
        words = self.words[sources].unsqueeze(1).expand(*progress.met.shape, -1)
        begun = words.gather(3, self.reached(progress).unsqueeze(3)).squeeze(3)
        missing = words[..., -1].masked_fill(progress.met, 0).sum(2)
        return missing - begun.masked_fill(progress.met, 0).amax(2)

    def next_tokens(self, progress: Progress, sources: Tensor) -> Tensor:
        """What goes on with each phrase, int64 [B', M, C]; -1 where it is there already."""
        phrases = self.tokens[sources].unsqueeze(1).expand_as(progress.matched)
        place = self.reached(progress).clamp(max=self.tokens.shape[2] - 1).unsqueeze(3)
        return phrases.gather(3, place).squeeze(3).masked_fill(progress.met, -1)

    def grow(
        self,
        scores: Tensor,
        totals: Tensor,
        progress: Progress,
        moment: Moment,
        *,
        width: int,
        last: Tensor,
        words: Tensor | None,
    ) -> Grown:
        """The 2 * width ways to grow that the banks give, those of the beam before the others.

        Beside the best tokens of each hypothesis, those are tried that go on with a phrase; no
        rule but a prefix holds them up. Nothing grows that has no room left for its phrases, one
        after another, and nothing ends without them.

        Args:
            scores: float [B' * W, V], log-probabilities, overwritten.
            totals: float64 [B', W], log-probabilities of the hypotheses.
            progress: of [B', W] hypotheses.
            moment: of which step and rows.
            width: of the beam.
            last: int64 [B', W], the last token of each hypothesis.
            words: int64 [B', W], how many each has, where they are limited.
        """
        time, sources = moment.time, moment.sources
        count, size = len(sources), scores.shape[1]
        wanted = self.next_tokens(progress, sources).flatten(0, 1)
        extra = scores.gather(1, wanted.clamp(min=0)).clamp(min=FLOOR)
        if time < self.rules.prefixes.shape[1]:
            prefixed = self.rules.prefixes[sources, time] >= 0
            held = prefixed.repeat_interleave(totals.shape[1]).unsqueeze(1) | (wanted < 0)
        else:
            held = wanted < 0
        self.rules.apply(scores, moment)
        complete = progress.met.all(2).flatten()
        scores[:, self.rules.eos] = scores[:, self.rules.eos].masked_fill(~complete, NEVER)

        values, tokens = top(scores, min(2 * width, size))
        again = (tokens.unsqueeze(1) == wanted.unsqueeze(2)) & (values > NEVER).unsqueeze(1)
        twice = (wanted.unsqueeze(1) == wanted.unsqueeze(2)).tril(-1)
        extra = extra.masked_fill(held | again.any(2) | twice.any(2), NEVER)
        tokens = torch.cat([tokens, wanted.clamp(min=0)], 1)
        each = tokens.shape[1]
        marks = torch.cat([values, extra], 1).view(count, -1, each) + totals.unsqueeze(2)
        marks, tokens = marks.flatten(1), tokens.view(count, -1)
        parents = torch.arange(tokens.shape[1], device=tokens.device) // each
        after = self.advance(
            Progress(matched=progress.matched[:, parents], met=progress.met[:, parents]),
            tokens,
            sources,
        )
        banks = self.covered(after, sources)
        needed = self.lengths[sources].sum(1, keepdim=True)
        room = (self.rules.limits[sources] - time - 1).clamp(min=0).unsqueeze(1)
        marks = marks.masked_fill(needed - banks > room, NEVER)
        if words is not None and (limit := self.rules.words) is not None:
            own = sources.unsqueeze(1)
            words, last = words[:, parents], last[:, parents]
            words = limit.count(words, last, tokens, own, first=time == 0)
            words = words + self.words_missing(after, sources)
            over = (tokens != self.rules.eos) & (words > limit.most[own])
            marks = marks.masked_fill(over, NEVER)
        grown = Grown(totals=marks, tokens=tokens, parents=parents.expand_as(tokens))
        return grown.take(_allot(marks, banks, needed, width)).padded(2 * width)


def _words_of(tokens: Tensor, limit: WordLimit) -> Tensor:
    """See `Phrases.words`."""
    real = tokens >= 0
    ids = tokens.clamp(min=0)
    sources = torch.arange(len(ids), device=ids.device)[:, None, None]
    begun = torch.ones_like(real)
    begun[..., 1:] = limit.begun(ids[..., :-1], ids[..., 1:], sources)
    return torch.nn.functional.pad((begun & real).cumsum(2), (1, 0))


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


def _allot(marks: Tensor, banks: Tensor, needed: Tensor, width: int) -> Tensor:
    """Places of the 2 * width ways to grow that stay, int64 [B', up to 2 * width].

    Each bank has an equal share of the beam, at least one, the highest what is left over. Where
    those are too many the highest banks come first; where they are too few, the best of all others
    fill up.

    Args:
        marks: float64 [B', M].
        banks: int64 [B', M].
        needed: int64 [B', 1], the highest bank.
        width: of the beam.
    """
    order = marks.argsort(dim=1, descending=True, stable=True)
    banks = banks.gather(1, order)
    kinds = torch.arange(int(needed.max()) + 1, device=banks.device)
    rank = (banks.unsqueeze(2) == kinds).cumsum(1).gather(2, banks.unsqueeze(2)).squeeze(2) - 1
    share = width // (needed + 1)
    quota = torch.where(banks == needed, width - share * needed, share).clamp(min=1)
    first = (rank < quota) & (marks.gather(1, order) > NEVER)
    key = torch.where(first, banks + 1, 0)
    again = key.argsort(dim=1, descending=True, stable=True)
    return order.gather(1, again)[:, : 2 * width]
