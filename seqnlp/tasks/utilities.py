"""How good texts are against each other, all pairs at once: what a choice among them goes by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from seqnlp.tasks.metrics import Floats
from seqnlp.tasks.originality import ngrams
from seqnlp.tasks.rouge import Rouge
from seqnlp.tasks.translation_metrics import chrf_of

_ORDERS = range(1, 7)


def chrf(candidates: Sequence[str], references: Sequence[str]) -> Floats:
    """Sentence-level chrF2 float [C, R], as sacrebleu computes it, of 1.

    >>> chrf(["ab"], ["ab", "ba", "c"]).round(2)
    array([[1. , 0.5, 0. ]])
    """
    sides = [["".join(text.split()) for text in side] for side in (candidates, references)]
    shape = len(candidates), len(references)
    statistics = np.empty((*shape, len(_ORDERS), 3))
    for place, order in enumerate(_ORDERS):
        own, other = ([ngrams(text, order) for text in side] for side in sides)
        statistics[:, :, place] = _statistics(own, other)
    return chrf_of(statistics.reshape(*shape, -1)) / 100


def rouge(candidates: Sequence[str], references: Sequence[str]) -> Floats:
    """The mean of ROUGE-1, 2 and L float [C, R]: F1 with stemming, as rouge-score computes it.

    >>> rouge(["gas deals"], ["Gas deal", "gas", "oil"]).round(3)
    array([[1.   , 0.444, 0.   ]])
    """
    tokenize = Rouge(references).tokenize
    own, other = ([tokenize(text) for text in side] for side in (candidates, references))
    total = _f1(_statistics(own, other))
    total += _f1(
        _statistics([ngrams(each, 2) for each in own], [ngrams(each, 2) for each in other])
    )
    shared = np.empty(total.shape)
    for column, tokens in enumerate(other):
        shared[:, column] = common_lengths(tokens, own)
    total += _f1(np.stack([*_sizes(own, other), shared], axis=-1))
    return total / 3


def common_lengths(text: Sequence[Hashable], others: Sequence[Sequence[Hashable]]) -> list[int]:
    """The length of the longest subsequence that a text has in common with each of others.

    Bit j of `open` is down where a match ends at item j: one step an item of the other text.
    Source: Hyyrö 2004, "Bit-Parallel LCS-length Computation Revisited".

    >>> common_lengths("abcd", ["acd", "dcba", ""])
    [3, 1, 0]
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(text):
        places[item] = places.get(item, 0) | 1 << place
    everywhere = (1 << len(text)) - 1
    found = []
    for other in others:
        unmatched = everywhere
        for item in other:
            at = unmatched & places.get(item, 0)
            unmatched = (unmatched + at) | (unmatched - at)
        found.append(len(text) - (unmatched & everywhere).bit_count())
    return found


def _statistics(
    candidates: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]]
) -> Floats:
    """Float [C, R, 3]: items of the candidate, of the reference, and those that they share."""
    numbers: dict[Hashable, int] = {}
    ids = [
        numbers.setdefault(item, len(numbers))
        for each in (*candidates, *references)
        for item in each
    ]
    sizes = [len(each) for each in (*candidates, *references)]
    rows = np.repeat(np.arange(len(sizes)), sizes)
    width = max(len(numbers), 1)
    flat = rows * width + np.array(ids, dtype=np.int64)
    counts = np.bincount(flat, minlength=len(sizes) * width).reshape(-1, width)
    own, other = counts[: len(candidates)], counts[len(candidates) :]
    shared = np.empty((len(own), len(other)))
    for row, count in zip(shared, own, strict=True):
        row[:] = np.minimum(count, other).sum(1)
    return np.stack([*_sizes(candidates, references), shared], axis=-1)


def _sizes(
    candidates: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]]
) -> tuple[Floats, Floats]:
    """The sizes of both sides, float [C, R] each."""
    own, other = (np.array([len(each) for each in side], dtype=np.float64)
                  for side in (candidates, references))  # fmt: skip
    shape = len(own), len(other)
    return np.broadcast_to(own[:, None], shape), np.broadcast_to(other, shape)


def _f1(statistics: Floats) -> Floats:
    """2 shared / (own + other) of [..., 3]; 0 of nothing."""
    sizes = statistics[..., :2].sum(-1)
    shares: Floats = 2 * statistics[..., 2] / np.maximum(sizes, 1)
    return shares
