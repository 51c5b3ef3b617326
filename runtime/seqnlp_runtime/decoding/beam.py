"""Beam search over all sources of a batch at once, in one or several groups."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np

from seqnlp_runtime.decoding.arrays import NEVER, Doubles, Floats, Ints, top
from seqnlp_runtime.decoding.growth import Grown, first_of, grow
from seqnlp_runtime.decoding.phrases import Phrases, Progress
from seqnlp_runtime.decoding.pool import Pool
from seqnlp_runtime.decoding.ranking import Ranking
from seqnlp_runtime.decoding.rules import Moment, Rules
from seqnlp_runtime.decoding.stepper import Stepper
from seqnlp_runtime.decoding.trace import Ends, Trace


@dataclass(frozen=True, kw_only=True)
class Live:
    """The R hypotheses of each source that go on: those of its first group, then of its second, ...

    sources: int64 [B']. tokens: int64 [B', R], the last of each. parents: int64 [B', R], the rows
    of the step before that they continue. totals: float64 [B', R], log-probabilities; -inf where
    there is none. history: int64 [B' * R, T], read by `no_repeat_ngram` alone. coverage: float64
    [B' * R, S], where it counts. progress: in the phrases, where there are any. words: int64
    [B', R], how many each has, where they are limited.
    """

    sources: Ints
    tokens: Ints
    parents: Ints
    totals: Doubles
    history: Ints
    coverage: Doubles | None = None
    progress: Progress | None = None
    words: Ints | None = None


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """A beam search with groups that avoid each other's tokens (Vijayakumar et al. 2018).

    At a step the best `width` hypotheses of a group go on; an end among the best `width` ways to
    grow is a finished hypothesis, which leaves its place to the next. A group is done when `width`
    have finished, and a source when in each group `width` have, or none that goes on can reach the
    score of its `n_best`-th. This last rule changes nothing of what is found.

    width: hypotheses of a group. groups: how many a source has; 1 where there are phrases.
    diversity, n_best: see `Decoding`. phrases: what must occur.
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

    def run(self, stepper: Stepper) -> Ends:
        """The best `n_best` of each group, in no order."""
        live = self._begin(stepper)
        pool = Pool(live.tokens.size, min(self.n_best, self.width))
        for time in count():
            scores = stepper.step(live.tokens.ravel())
            self.trace.add(live.sources, live.tokens, live.parents, scores.weights)
            coverage = self.ranking.cover(live.coverage, scores.weights)
            cut = self.rules.cut(scores.logs, live.sources, time)
            grown = self._grow(scores.logs, live, time)
            self._finish(pool, grown, live, time, coverage, cut)
            grown = self._going_on(pool, grown, live)
            left = self._left(pool, grown, live, time)
            if not len(left):
                break
            if len(left) < len(live.sources):
                stepper.keep(left)
            rows = live.tokens.shape[1]
            live = self._next(grown, live, left, coverage, time)
            stepper.select((np.arange(len(left))[:, None] * rows + live.parents).ravel())
        return pool.ends(self.groups)

    def _begin(self, stepper: Stepper) -> Live:
        sources = np.arange(stepper.sources)
        if self.groups > 1:
            stepper.select(np.repeat(sources, self.groups))
        tokens = np.full((len(sources), self.groups), self.bos)
        return Live(
            sources=sources,
            tokens=tokens,
            parents=np.broadcast_to(np.arange(self.groups), tokens.shape),
            totals=np.zeros(tokens.shape),
            history=np.empty((tokens.size, 0), dtype=np.int64),
            progress=self.phrases.begin() if self.phrases else None,
            words=np.zeros_like(tokens) if self.rules.words else None,
        )

    def _grow(self, logs: Floats, live: Live, time: int) -> Grown:
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
                logs,
                live.totals,
                live.progress,
                moment,
                width=self.width,
                last=live.tokens,
                words=live.words,
            )
        most = min(2 * self.width, logs.shape[1])
        if self.groups == 1:
            values, tokens = self.rules.best(logs, most, moment)
            return grow(values, tokens, live.totals, 2 * self.width)
        self.rules.apply(logs, moment)
        return self._grow_apart(logs, live, most)

    def _grow_apart(self, logs: Floats, live: Live, most: int) -> Grown:
        """Group by group, where a token costs more the more of earlier groups have taken it."""
        sources, size = len(live.sources), logs.shape[1]
        scores = logs.reshape(sources, self.groups, -1, size)
        totals = live.totals.reshape(sources, self.groups, -1)
        taken = np.zeros((sources, size), dtype=np.float32)
        parts = []
        for group in range(self.groups):
            keys = scores[:, group] - np.float32(self.diversity) * taken[:, None]
            values, tokens = top(keys.reshape(-1, size), most)
            part = grow(values.astype(np.float64), tokens, totals[:, group], 2 * self.width)
            costs = self.diversity * np.take_along_axis(taken, part.tokens, 1)
            parts.append(part.raised(costs.astype(np.float64)))
            chosen = part.take(first_of(part.tokens != self.rules.eos, self.width))
            there = (chosen.totals > NEVER).astype(np.float32)
            np.add.at(taken, (np.arange(sources)[:, None], chosen.tokens), there)
        return Grown.interleaved(parts)

    def _finish(
        self,
        pool: Pool,
        grown: Grown,
        live: Live,
        time: int,
        coverage: Doubles | None,
        cut: Ints | None,
    ) -> None:
        """Put those of the first `width` ways that end into the pool."""
        totals, tokens = grown.totals[:, : self.width], grown.tokens[:, : self.width]
        over = (tokens == self.rules.eos) & (totals > NEVER)
        if not over.any():
            return
        rows = live.tokens.shape[1] // self.groups
        group = np.arange(len(totals))[:, None]
        parents = grown.parents[:, : self.width]
        penalty = self.ranking.penalty(
            coverage, live.sources, length=time + 1, rows=live.tokens.shape[1]
        )
        if penalty is not None:
            penalty = penalty[group * rows + parents]
        scores = np.where(over, self.ranking.score(totals, time + 1, penalty), NEVER)
        cuts = tokens if cut is None else cut[group * rows + parents]
        parents = parents + group % self.groups * rows
        pool.add(self._groups_of(live.sources), scores, totals, time, parents, cuts)

    def _going_on(self, pool: Pool, grown: Grown, live: Live) -> Grown:
        """The first `width` ways that do not end, [B' * G, width]; none in groups that are done."""
        ends = grown.tokens == self.rules.eos
        first = grown.take(first_of(~ends, self.width))
        done = pool.counts[self._groups_of(live.sources)] >= self.width
        # An end stands where fewer than `width` go on.
        return first.without((first.tokens == self.rules.eos) | done[:, None])

    def _left(self, pool: Pool, grown: Grown, live: Live, time: int) -> Ints:
        """Which of the sources are not done, int64."""
        sources = np.repeat(live.sources, self.groups)
        best = self.ranking.bound(
            grown.totals.max(1), self.rules.limits[sources], sources, time + 2
        )
        done = ~(best > NEVER)  # of NaN too, which would never end
        if self.n_best <= self.width:
            done |= best <= pool.scores[self._groups_of(live.sources)].min(1)
        return np.flatnonzero(~done.reshape(-1, self.groups).all(1))

    def _next(
        self, grown: Grown, live: Live, left: Ints, coverage: Doubles | None, time: int
    ) -> Live:
        """The hypotheses that go on, of the sources that are left."""
        sources, rows = live.tokens.shape
        base = np.arange(self.groups) * (rows // self.groups)
        parents = grown.parents.reshape(sources, -1)[left] + np.repeat(base, self.width)
        tokens = grown.tokens.reshape(sources, -1)[left]
        old = (left[:, None] * rows + parents).ravel()
        history, progress, words = live.history, live.progress, live.words
        if self.rules.no_repeat_ngram:
            history = np.concatenate([history[old], tokens.reshape(-1, 1)], 1)
        if self.phrases and progress:
            progress = progress.select(left[:, None], parents)
            progress = self.phrases.advance(progress, tokens, live.sources[left])
        if words is not None:
            before, last = (
                each.ravel()[old].reshape(tokens.shape) for each in (words, live.tokens)
            )
            words = self.rules.count_words(before, last, tokens, live.sources[left], time)
        return Live(
            sources=live.sources[left],
            tokens=tokens,
            parents=parents,
            totals=grown.totals.reshape(sources, -1)[left],
            history=history,
            coverage=None if coverage is None else coverage[old],
            progress=progress,
            words=words,
        )

    def _groups_of(self, sources: Ints) -> Ints:
        """Int64 [B' * G], the numbers of their groups in the pool."""
        return (sources[:, None] * self.groups + np.arange(self.groups)).ravel()
