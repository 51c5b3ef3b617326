"""Search along one path for each output: the best token at each step, or one drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import numpy as np

from seqnlp_runtime.decoding.arrays import Floats, Ints
from seqnlp_runtime.decoding.ranking import Ranking
from seqnlp_runtime.decoding.rules import Moment, Rules
from seqnlp_runtime.decoding.stepper import Stepper
from seqnlp_runtime.decoding.trace import Ends, Trace

Draw: TypeAlias = Callable[[Floats, int, Ints], Ints]
"""(log-probabilities [N, V], time, sources [B']) to tokens [N]."""

_STAY = 0.9  # the share of sources that go on above which none that has ended leaves yet


def walk(
    stepper: Stepper,
    draw: Draw | None,
    paths: int,
    *,
    bos: int,
    rules: Rules,
    ranking: Ranking,
    trace: Trace,
) -> Ends:
    """Follow `paths` paths from each source until all have ended: the best tokens, or drawn ones.

    Sources leave the batch as they end, a few at a time: what that costs is copying the others.
    """
    sources = np.arange(stepper.sources)
    if paths > 1:
        stepper.select(np.repeat(sources, paths))
    ids = np.full((len(sources), paths), bos)
    straight = np.arange(paths)
    totals = np.zeros(ids.shape)
    ended = np.zeros(ids.shape, dtype=np.bool_)
    coverage = None
    history = np.empty((*ids.shape, 0), dtype=np.int64)
    words = np.zeros_like(ids) if rules.words else None
    found = []
    for time in count():
        scores = stepper.step(ids.ravel())
        trace.add(sources, ids, np.broadcast_to(straight, ids.shape), scores.weights)
        coverage = ranking.cover(coverage, scores.weights)
        cut = rules.cut(scores.logs, sources, time)
        moment = Moment(
            time=time,
            sources=sources,
            history=history.reshape(ids.size, history.shape[2]),
            full=rules.full(words, ids, sources, time),
            alone=True,
        )
        last = ids
        if draw is None:
            gained, ids = rules.best(scores.logs, 1, moment)
        else:
            rules.apply(scores.logs, moment)
            ids = draw(scores.logs, time, sources)[:, None]
            gained = np.take_along_axis(scores.logs, ids, 1).astype(np.float64)
        ids = ids.reshape(ended.shape)
        words = rules.count_words(words, last, ids, sources, time)
        totals += np.where(ended, 0.0, gained.reshape(totals.shape))
        now = (ids == rules.eos) & ~ended
        if now.any():
            ended |= now
            penalty = ranking.penalty(coverage, sources, length=time + 1, rows=paths)
            marks = ranking.score(
                totals, time + 1, None if penalty is None else penalty.reshape(totals.shape)
            )
            places, rows = np.nonzero(now)
            found.append(
                Ends(
                    sources=sources[places],
                    steps=np.full_like(rows, time),
                    rows=rows,
                    scores=marks[now],
                    log_probabilities=totals[now],
                    cuts=ids[now] if cut is None else cut.reshape(ids.shape)[now],
                )
            )
            left = np.flatnonzero((~ended).any(1))
            if not len(left):
                break
        if rules.no_repeat_ngram:
            history = np.concatenate([history, ids[:, :, None]], 2)
        if now.any() and len(left) <= _STAY * len(sources):
            stepper.keep(left)
            sources, ids, totals, ended = sources[left], ids[left], totals[left], ended[left]
            history = history[left]
            words = None if words is None else words[left]
            if coverage is not None:
                positions = coverage.shape[1]
                coverage = coverage.reshape(-1, paths, positions)[left].reshape(-1, positions)
    return Ends.joined(found)
