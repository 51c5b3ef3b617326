"""Search along one path for each output: the best token at each step, or one drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Generator
from itertools import count
from typing import TypeAlias

import torch
from torch import Tensor

from seqnlp.tasks.decoding.certainty import Certain, Certainty
from seqnlp.tasks.decoding.growth import best_tokens
from seqnlp.tasks.decoding.ranking import Ranking
from seqnlp.tasks.decoding.rules import Moment, Rules
from seqnlp.tasks.decoding.stepper import Stepper
from seqnlp.tasks.decoding.trace import Ends, Trace
from seqnlp.tasks.decoding.wanted import check_wanted

Draw: TypeAlias = Callable[[Tensor, int, Tensor], Tensor]
"""(scores [N, V], time, sources [B']) to tokens [N]."""

STAY = 0.9  # the share of sources that go on above which none that has ended leaves yet


def walk(
    stepper: Stepper,
    draw: Draw | None,
    paths: int,
    *,
    bos: int,
    rules: Rules,
    ranking: Ranking,
    trace: Trace,
    certainty: Certainty | None = None,
) -> Generator[list[Certain], None, Ends]:
    """Follow `paths` paths from each source until all have ended: the best tokens, or drawn ones.

    Sources leave the batch as they end, a few at a time: what that costs is copying the others.
    With `certainty` it yields after each step what is certain.
    """
    sources = torch.arange(stepper.sources, device=rules.limits.device)
    if paths > 1:
        stepper.select(sources.repeat_interleave(paths))
    ids = sources.new_full((len(sources), paths), bos)
    straight = torch.arange(paths, device=ids.device)
    totals = torch.zeros_like(ids, dtype=torch.float64)
    ended = torch.zeros_like(ids, dtype=torch.bool)
    coverage: Tensor | None = None
    history = ids.new_empty(len(sources), paths, 0)
    words = torch.zeros_like(ids) if rules.words else None
    found = []
    for time in count():
        check_wanted()
        scores = stepper.step(ids.flatten())
        trace.add(sources, ids, straight.expand_as(ids), scores.weights)
        coverage = ranking.cover(coverage, scores.weights)
        cut = rules.cut(scores.logits, sources, time)
        moment = Moment(
            time=time,
            sources=sources,
            history=history.flatten(0, 1),
            full=rules.full(words, ids, sources, time),
            alone=True,
        )
        last = ids
        if draw is None:
            gained, ids = best_tokens(scores, 1, rules, moment)
        else:
            allowed = scores.log_probabilities()
            rules.apply(allowed, moment)
            ids = draw(allowed, time, sources).unsqueeze(1)
            gained = allowed.gather(1, ids).double()
        ids = ids.view_as(ended)
        words = rules.count_words(words, last, ids, sources, time)
        totals += torch.where(ended, 0.0, gained.view_as(totals))
        now = (ids == rules.eos) & ~ended
        if now.any():
            ended |= now
            penalty = ranking.penalty(coverage, sources, length=time + 1, rows=paths)
            marks = ranking.score(
                totals, time + 1, None if penalty is None else penalty.view_as(totals)
            )
            places, rows = now.nonzero(as_tuple=True)
            found.append(
                Ends(
                    sources=sources[places],
                    steps=torch.full_like(rows, time),
                    rows=rows,
                    scores=marks[now],
                    log_probabilities=totals[now],
                    cuts=ids[now] if cut is None else cut.view_as(ids)[now],
                )
            )
            left = (~ended).any(1).nonzero().squeeze(1)
        if certainty is not None:
            yield certainty.after(
                weights=scores.weights,
                ends=Ends.joined(found) if found else None,
                read=sources,
                sources=sources,
                tokens=ids,
                parents=straight.expand_as(ids),
                going=~ended,
            )
        if now.any() and not len(left):
            return Ends.joined(found)
        if rules.no_repeat_ngram:
            history = torch.cat([history, ids.unsqueeze(2)], 2)
        if now.any() and len(left) <= STAY * len(sources):
            stepper.keep(left)
            sources, ids, totals, ended = sources[left], ids[left], totals[left], ended[left]
            history = history[left]
            words = None if words is None else words[left]
            if coverage is not None:
                coverage = coverage.view(-1, paths, coverage.shape[1])[left].flatten(0, 1)
    raise AssertionError("unreachable")
