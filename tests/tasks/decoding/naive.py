"""Searches written down plainly: one source at a time, lists of tuples, no early end."""

from __future__ import annotations

from collections import Counter

from seqnlp.tasks.decoding import Decoding
from tests.tasks.decoding.toy import BOS, EOS, World, score


def greedy(world: World, source: int, options: Decoding) -> tuple[int, ...]:
    """The best token at each step."""
    ids: tuple[int, ...] = ()
    while len(ids) < world.limit(source, options):
        row = world.read(source, ids)[0][-1].copy()
        row[BOS] = float("-inf")
        token = int(row.argmax())
        if token == EOS:
            break
        ids = (*ids, token)
    return ids


def beam(world: World, source: int, options: Decoding) -> list[tuple[float, tuple[int, ...]]]:
    """Scores and outputs, best first, without a bound: groups end when they are full or at the limit."""
    width = options.beam // options.diverse_groups
    limit = world.limit(source, options)
    live: list[list[tuple[float, tuple[int, ...]]]] = [[(0.0, ())]] * options.diverse_groups
    over: list[list[tuple[float, tuple[int, ...]]]] = [[] for _ in live]
    for length in range(limit + 1):
        taken: Counter[int] = Counter()
        for group, hypotheses in enumerate(live):
            if len(over[group]) >= width:
                live[group] = []
                continue
            ways = []
            for total, ids in hypotheses:
                rows, _ = world.read(source, ids)
                for token in range(1, world.size):
                    if length == limit and token != EOS:
                        continue
                    gained = float(rows[-1][token])
                    key = total + gained - options.diversity * taken[token]
                    ways.append((key, total + gained, (*ids, token)))
            ways.sort(reverse=True)
            for _, total, ids in ways[:width]:
                if ids[-1] == EOS:
                    _, weights = world.read(source, ids[:-1])
                    mark = score(total, len(ids), weights.sum(0), options)
                    over[group].append((float(mark), ids[:-1]))
            going = [(total, ids) for _, total, ids in ways if ids[-1] != EOS][:width]
            live[group] = going
            taken.update(ids[-1] for _, ids in going)
    return sorted({one for group in over for one in group}, reverse=True)[: options.n_best]
