"""Beam search over all sources of a batch at once, in one or several groups."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from seqnlp.nn.engines.greatest import top
from seqnlp.tasks.decoding.certainty import Certain, Certainty
from seqnlp.tasks.decoding.constraints import Phrases, Progress
from seqnlp.tasks.decoding.growth import Grown, best_tokens, first_of, grow
from seqnlp.tasks.decoding.pool import Pool
from seqnlp.tasks.decoding.ranking import Ranking
from seqnlp.tasks.decoding.rules import NEVER, Moment, Rules
from seqnlp.tasks.decoding.stepper import Stepper, StepScores
from seqnlp.tasks.decoding.trace import Ends, Trace
from seqnlp.tasks.decoding.wanted import check_wanted


@dataclass(frozen=True, kw_only=True)
class Live:
    """The R hypotheses of each source that go on: those of its first group, then of its second, ...

    sources: int64 [B']. tokens: int64 [B', R], the last of each. parents: int64 [B', R], the rows
    of the step before that they continue. totals: float64 [B', R], log-probabilities; -inf where
    there is none. history: int64 [B' * R, T], read by `no_repeat_ngram` alone. coverage: float64
    [B' * R, S], where it counts. progress: in the phrases, where there are any. words: int64
    [B', R], how many each has, where they are limited.
    """

    sources: Tensor
    tokens: Tensor
    parents: Tensor
    totals: Tensor
    history: Tensor
    coverage: Tensor | None = None
    progress: Progress | None = None
    words: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """A beam search with groups that avoid each other's tokens (Vijayakumar et al. 2018).

    At a step the best `width` hypotheses of a group go on; an end among the best `width` ways to
    grow is a finished hypothesis, which leaves its place to the next. A group is done when `width`
    have finished, and a source when in each group `width` have, or none that goes on can reach the
    score of its `n_best`-th. This last rule changes nothing of what is found.

    width: hypotheses of a group. groups: how many a source has; 1 where there are phrases.
    diversity, n_best: see `Decoding`. phrases: what must occur. certainty: where it is asked for.
    """

    bos: int
    width: int
    groups: int
    diversity: float
    n_best: int
    rules: Rules
    ranking: Ranking
    trace: Trace
    phrases: Phrases | None = None
    certainty: Certainty | None = None

    def run(self, stepper: Stepper) -> Generator[list[Certain], None, Ends]:
        """The best `n_best` of each group, in no order; after each step what is certain of them."""
        live = self._begin(stepper)
        pool = Pool(live.tokens.numel(), min(self.n_best, self.width), live.tokens.device)
        for time in count():
            check_wanted()
            scores = stepper.step(live.tokens.flatten())
            self.trace.add(live.sources, live.tokens, live.parents, scores.weights)
            coverage = self.ranking.cover(live.coverage, scores.weights)
            cut = self.rules.cut(scores.logits, live.sources, time)
            grown = self._grow(scores, live, time)
            self._finish(pool, grown, live, time, coverage, cut)
            grown = self._going_on(pool, grown, live)
            left = self._left(pool, grown, live, time)
            rows = live.tokens.shape[1]
            following = self._next(grown, live, left, coverage, time)
            if self.certainty is not None:
                yield self.certainty.after(
                    weights=scores.weights,
                    ends=pool.ends(self.groups),
                    read=live.sources,
                    sources=following.sources,
                    tokens=following.tokens,
                    parents=following.parents,
                    going=following.totals > NEVER,
                )
            if not len(left):
                break
            if len(left) < len(live.sources):
                stepper.keep(left)
            live = following
            stepper.select((_arange(left).unsqueeze(1) * rows + live.parents).flatten())
        return pool.ends(self.groups)

    def _begin(self, stepper: Stepper) -> Live:
        sources = torch.arange(stepper.sources, device=self.rules.limits.device)
        if self.groups > 1:
            stepper.select(sources.repeat_interleave(self.groups))
        tokens = sources.new_full((len(sources), self.groups), self.bos)
        return Live(
            sources=sources,
            tokens=tokens,
            parents=_arange(tokens[0]).expand_as(tokens),
            totals=torch.zeros_like(tokens, dtype=torch.float64),
            history=tokens.new_empty(tokens.numel(), 0),
            progress=self.phrases.begin() if self.phrases else None,
            words=torch.zeros_like(tokens) if self.rules.words else None,
        )

    def _grow(self, scores: StepScores, live: Live, time: int) -> Grown:
        """Twice `width` ways for each group to grow, [B' * G, 2 * width]: half of them may end."""
        moment = Moment(
            time=time,
            sources=live.sources,
            history=live.history,
            full=self.rules.full(live.words, live.tokens, live.sources, time),
            alone=self.width == 1,
        )
        if self.phrases and live.progress:
            return self.phrases.grow(
                scores.log_probabilities(),
                live.totals,
                live.progress,
                moment,
                width=self.width,
                last=live.tokens,
                words=live.words,
            )
        count = min(2 * self.width, scores.logits.shape[1])
        if self.groups == 1:
            values, tokens = best_tokens(scores, count, self.rules, moment)
            return grow(values, tokens, live.totals, 2 * self.width)
        allowed = scores.log_probabilities()
        self.rules.apply(allowed, moment)
        return self._grow_apart(allowed, live, count)

    def _grow_apart(self, scores: Tensor, live: Live, count: int) -> Grown:
        """Group by group, where a token costs more the more of earlier groups have taken it."""
        sources, size = len(live.sources), scores.shape[1]
        scores = scores.view(sources, self.groups, -1, size)
        totals = live.totals.view(sources, self.groups, -1)
        taken = scores.new_zeros(sources, 1, size)
        parts = []
        for group in range(self.groups):
            keys = (scores[:, group] - self.diversity * taken).view(-1, size)
            values, tokens = top(keys, count)
            part = grow(values.double(), tokens, totals[:, group], 2 * self.width)
            costs = self.diversity * taken[:, 0].gather(1, part.tokens)
            parts.append(part.raised(costs))
            chosen = part.take(first_of(part.tokens != self.rules.eos, self.width))
            there = (chosen.totals > NEVER).to(taken.dtype)
            taken[:, 0].scatter_add_(1, chosen.tokens, there)
        return Grown.interleaved(parts)

    def _finish(
        self,
        pool: Pool,
        grown: Grown,
        live: Live,
        time: int,
        coverage: Tensor | None,
        cut: Tensor | None,
    ) -> None:
        """Put those of the first `width` ways that end into the pool."""
        totals, tokens = grown.totals[:, : self.width], grown.tokens[:, : self.width]
        over = (tokens == self.rules.eos) & (totals > NEVER)
        if not over.any():
            return
        rows = live.tokens.shape[1] // self.groups
        group = _arange(totals).unsqueeze(1)
        parents = grown.parents[:, : self.width]
        penalty = self.ranking.penalty(
            coverage, live.sources, length=time + 1, rows=live.tokens.shape[1]
        )
        if penalty is not None:
            penalty = penalty[group * rows + parents]
        scores = self.ranking.score(totals, time + 1, penalty).masked_fill(~over, NEVER)
        cuts = tokens if cut is None else cut[group * rows + parents]
        parents = parents + group % self.groups * rows
        pool.add(self._groups_of(live.sources), scores, totals, time, parents, cuts)

    def _going_on(self, pool: Pool, grown: Grown, live: Live) -> Grown:
        """The first `width` ways that do not end, [B' * G, width]; none in groups that are done."""
        ends = grown.tokens == self.rules.eos
        first = grown.take(first_of(~ends, self.width))
        done = pool.counts[self._groups_of(live.sources)] >= self.width
        # An end stands where fewer than `width` go on.
        return first.without((first.tokens == self.rules.eos) | done.unsqueeze(1))

    def _left(self, pool: Pool, grown: Grown, live: Live, time: int) -> Tensor:
        """Which of the sources are not done, int64."""
        limits = self.rules.limits[live.sources].repeat_interleave(self.groups)
        sources = live.sources.repeat_interleave(self.groups)
        best = self.ranking.bound(grown.totals.amax(1), limits, sources, time + 2)
        done = ~(best > NEVER)  # of NaN too, which would never end
        if self.n_best <= self.width:
            done |= best <= pool.scores[self._groups_of(live.sources)].amin(1)
        return (~done.view(-1, self.groups).all(1)).nonzero().squeeze(1)

    def _next(
        self, grown: Grown, live: Live, left: Tensor, coverage: Tensor | None, time: int
    ) -> Live:
        """The hypotheses that go on, of the sources that are left."""
        sources, rows = live.tokens.shape
        base = _arange(left.new_empty(self.groups)) * (rows // self.groups)
        parents = grown.parents.view(sources, -1)[left] + base.repeat_interleave(self.width)
        tokens = grown.tokens.view(sources, -1)[left]
        old = (left.unsqueeze(1) * rows + parents).flatten()
        history, progress, words = live.history, live.progress, live.words
        if self.rules.no_repeat_ngram:
            history = torch.cat([history[old], tokens.view(-1, 1)], 1)
        if self.phrases and progress:
            progress = progress.select(left.unsqueeze(1), parents)
            progress = self.phrases.advance(progress, tokens, live.sources[left])
        if words is not None:
            before, last = (each.flatten()[old].view_as(tokens) for each in (words, live.tokens))
            words = self.rules.count_words(before, last, tokens, live.sources[left], time)
        return Live(
            sources=live.sources[left],
            tokens=tokens,
            parents=parents,
            totals=grown.totals.view(sources, -1)[left],
            history=history,
            coverage=None if coverage is None else coverage[old],
            progress=progress,
            words=words,
        )

    def _groups_of(self, sources: Tensor) -> Tensor:
        """Int64 [B' * G], the numbers of their groups in the pool."""
        own = torch.arange(self.groups, device=sources.device)
        return (sources.unsqueeze(1) * self.groups + own).flatten()


def _arange(like: Tensor) -> Tensor:
    """0, 1, ... for the rows of a tensor, on its device."""
    return torch.arange(len(like), device=like.device)
