"""Beam search over all sources of a batch at once, in one or several groups."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from seqnlp.tasks.decoding.ranking import Ranking
from seqnlp.tasks.decoding.rules import NEVER, Rules
from seqnlp.tasks.decoding.stepper import Stepper
from seqnlp.tasks.decoding.top import top
from seqnlp.tasks.decoding.trace import Ends, Trace


@dataclass(frozen=True, kw_only=True)
class Grown:
    """Hypotheses longer by a token, best first: [B', M] each.

    totals: float64, their log-probabilities; -inf where there is none. tokens: int64, what was
    added. parents: int64, to which row of the group.
    """

    totals: Tensor
    tokens: Tensor
    parents: Tensor

    def take(self, places: Tensor) -> Grown:
        """Those at `places`, int64 [B', W]."""
        return Grown(
            totals=self.totals.gather(1, places),
            tokens=self.tokens.gather(1, places),
            parents=self.parents.gather(1, places),
        )


def grow(scores: Tensor, totals: Tensor, count: int, keys: Tensor | None = None) -> Grown:
    """The best `count` ways to add a token to the hypotheses of each source.

    The best of each row come first, then the best of those, so that little is sorted.

    Args:
        scores: float [B', W, V], log-probabilities of the tokens.
        totals: float64 [B', W], log-probabilities of the hypotheses.
        keys: [B', W, V], what chooses in the place of `scores`.
    """
    sources, width, size = scores.shape
    each = min(count, size)
    values, tokens = top((scores if keys is None else keys).reshape(-1, size), each)
    marks = values.view(sources, width, each) + totals.unsqueeze(2)
    tokens = tokens.view(sources, width * each)
    found = marks.flatten(1).topk(min(count, width * each), 1)
    parents = found.indices.div(each, rounding_mode="floor")
    tokens = tokens.gather(1, found.indices)
    sums = found.values
    if keys is not None:
        sums = scores.flatten(1).gather(1, parents * size + tokens) + totals.gather(1, parents)
    missing = (0, count - sums.shape[1])
    pad = torch.nn.functional.pad
    return Grown(
        totals=pad(sums, missing, value=NEVER),
        tokens=pad(tokens, missing),
        parents=pad(parents, missing),
    )


class Pool:
    """The best finished hypotheses of P groups, and how many there have been.

    Args:
        groups: P.
        size: how many of each are kept.
    """

    def __init__(self, groups: int, size: int, device: torch.device) -> None:
        self.scores = torch.full((groups, size), NEVER, dtype=torch.float64, device=device)
        self.log_probabilities = self.scores.clone()
        self.steps = torch.zeros(groups, size, dtype=torch.long, device=device)
        self.rows = self.steps.clone()
        self.counts = self.steps.new_zeros(groups)

    def add(self, groups: Tensor, scores: Tensor, totals: Tensor, time: int, rows: Tensor) -> None:
        """Those that ended in step `time`: [P', W] each, for the groups int64 [P'].

        Scores are -inf where a row has none.
        """
        self.counts[groups] += (scores > NEVER).sum(1)
        kept = torch.cat([self.scores[groups], scores], 1).topk(self.scores.shape[1], 1)
        self.scores[groups] = kept.values
        for own, new in (
            (self.log_probabilities, totals),
            (self.steps, torch.full_like(rows, time)),
            (self.rows, rows),
        ):
            own[groups] = torch.cat([own[groups], new], 1).gather(1, kept.indices)

    def ends(self, groups: int) -> Ends:
        """All that were kept, of sources with so many groups each."""
        places, slots = (self.scores > NEVER).nonzero(as_tuple=True)
        return Ends(
            sources=places.div(groups, rounding_mode="floor"),
            steps=self.steps[places, slots],
            rows=self.rows[places, slots],
            scores=self.scores[places, slots],
            log_probabilities=self.log_probabilities[places, slots],
        )


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """A beam search with groups that avoid each other's tokens (Vijayakumar et al. 2018).

    At a step the best `width` hypotheses of a group go on; an end among the best `width` ways to
    grow is a finished hypothesis, which leaves its place to the next. A group is done when `width`
    have finished, or when none that goes on can reach the score of the `n_best`-th. The
    second rule changes nothing of what is found.

    width: hypotheses of a group. groups: how many a source has. diversity: see `Decoding`.
    """

    bos: int
    width: int
    groups: int
    diversity: float
    n_best: int
    rules: Rules
    ranking: Ranking
    trace: Trace

    def run(self, stepper: Stepper) -> Ends:
        """The best `n_best` of each group, in no order."""
        device = self.rules.limits.device
        sources = torch.arange(stepper.sources, device=device)
        if self.groups > 1:
            stepper.select(sources.repeat_interleave(self.groups))
        ids = sources.new_full((len(sources), self.groups), self.bos)
        parents = torch.arange(self.groups, device=device).expand_as(ids)
        totals = torch.zeros_like(ids, dtype=torch.float64)
        pool = Pool(ids.numel(), min(self.n_best, self.width), device)
        coverage: Tensor | None = None
        history = ids.new_empty(ids.numel(), 0)
        for time in count():
            scores = stepper.step(ids.flatten())
            self.trace.add(sources, ids, parents, scores.weights)
            coverage = self.ranking.cover(coverage, scores.weights)
            allowed = scores.log_probabilities()
            self.rules.apply(allowed, time, sources, history)
            grown = self._grow(allowed, totals)
            first, after = ids.shape[1] // self.groups, self.width
            live = self._finish(pool, grown, sources, time, coverage, first)
            left = self._left(pool, live.totals, sources)
            if not len(left):
                return pool.ends(self.groups)
            if len(left) < len(sources):
                stepper.keep(left)
            # Rows of a source: those of its first group, then those of its second, ...
            base = torch.arange(self.groups, device=device).repeat_interleave(after) * first
            parents = live.parents.view(len(sources), -1)[left] + base
            old = (left.unsqueeze(1) * ids.shape[1] + parents).flatten()
            rows = torch.arange(len(left), device=device).unsqueeze(1) * ids.shape[1] + parents
            stepper.select(rows.flatten())
            ids = live.tokens.view(len(sources), -1)[left]
            totals = live.totals.view(len(sources), -1)[left]
            sources = sources[left]
            if self.rules.no_repeat_ngram:
                history = torch.cat([history[old], ids.view(-1, 1)], 1)
            if coverage is not None:
                coverage = coverage[old]
        raise AssertionError("unreachable")

    def _grow(self, scores: Tensor, totals: Tensor) -> Grown:
        """Twice `width` ways for each group to grow, [B' * G, 2 * width]: half of them may end."""
        sources, rows = totals.shape
        scores = scores.view(sources, self.groups, rows // self.groups, -1)
        totals = totals.view(sources, self.groups, -1)
        if self.groups == 1:
            return grow(scores[:, 0], totals[:, 0], 2 * self.width)
        taken = scores.new_zeros(sources, scores.shape[3])
        parts = []
        for group in range(self.groups):
            own = scores[:, group]
            keys = own - self.diversity * taken.unsqueeze(1)
            part = grow(own, totals[:, group], 2 * self.width, keys)
            parts.append(part)
            chosen = part.take(_first(part.tokens != self.rules.eos, self.width))
            taken.scatter_add_(1, chosen.tokens, (chosen.totals > NEVER).to(taken.dtype))
        return Grown(
            totals=torch.stack([part.totals for part in parts], 1).flatten(0, 1),
            tokens=torch.stack([part.tokens for part in parts], 1).flatten(0, 1),
            parents=torch.stack([part.parents for part in parts], 1).flatten(0, 1),
        )

    def _finish(
        self,
        pool: Pool,
        grown: Grown,
        sources: Tensor,
        time: int,
        coverage: Tensor | None,
        rows: int,
    ) -> Grown:
        """Put those that end into the pool; those that go on, [B' * G, width]."""
        ends = grown.tokens == self.rules.eos
        over = ends[:, : self.width] & (grown.totals[:, : self.width] > NEVER)
        if over.any():
            totals = grown.totals[:, : self.width]
            group = torch.arange(len(totals), device=over.device).unsqueeze(1)
            parents = grown.parents[:, : self.width]
            penalty = self.ranking.penalty(coverage, sources)
            if penalty is not None:
                penalty = penalty[group * rows + parents]
            marks = self.ranking.score(totals, time + 1, penalty).masked_fill(~over, NEVER)
            base = group % self.groups * rows
            pool.add(self._groups_of(sources), marks, totals, time, parents + base)
        live = grown.take(_first(~ends, self.width))
        # An end may stand where fewer than `width` ways go on.
        return Grown(
            totals=live.totals.masked_fill(live.tokens == self.rules.eos, NEVER),
            tokens=live.tokens,
            parents=live.parents,
        )

    def _left(self, pool: Pool, totals: Tensor, sources: Tensor) -> Tensor:
        """Which of the sources go on, int64."""
        groups = self._groups_of(sources)
        limits = self.rules.limits[sources].repeat_interleave(self.groups)
        best = self.ranking.bound(totals.amax(1), limits)
        done = (pool.counts[groups] >= self.width) | (best == NEVER)
        if self.n_best <= self.width:
            done |= best <= pool.scores[groups].amin(1)
        return (~done.view(-1, self.groups).all(1)).nonzero().squeeze(1)

    def _groups_of(self, sources: Tensor) -> Tensor:
        """Int64 [B' * G], the numbers of their groups in the pool."""
        own = torch.arange(self.groups, device=sources.device)
        return (sources.unsqueeze(1) * self.groups + own).flatten()


def _first(wanted: Tensor, count: int) -> Tensor:
    """Places of the first `count` wanted ones of each row, the unwanted after them."""
    return (~wanted).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
