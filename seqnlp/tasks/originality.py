"""What of a summary is new, what is repeated, and what is taken from its document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeVar

from seqnlp.tasks.rouge import words

T = TypeVar("T")
ORDERS = (1, 2, 3)


def novelty(summaries: Sequence[str], documents: Sequence[str]) -> dict[str, float]:
    """The share of the distinct n-grams of each summary that its document does not have, by n.

    A share is of all summaries together: an n-gram counts once for each summary that has it.
    Words are runs of letters and digits in lower case, here and below.

    Source: See, Liu and Manning 2017, arXiv:1704.04368, section 7.2.

    >>> novelty(["the cat sat"], ["The cat, as ever, sat."])
    {'1': 0.0, '2': 0.5, '3': 1.0}
    """
    new, all_of = dict.fromkeys(ORDERS, 0), dict.fromkeys(ORDERS, 0)
    for summary, document in zip(summaries, documents, strict=True):
        own, read = words(summary), words(document)
        for order in ORDERS:
            grams = set(ngrams(own, order))
            all_of[order] += len(grams)
            new[order] += len(grams.difference(ngrams(read, order))) if grams else 0
    return {str(order): _share(new[order], all_of[order]) for order in ORDERS}


def repetition(summaries: Sequence[str]) -> dict[str, float]:
    """summaries: the share of them that have a trigram twice. trigrams: the share of all trigrams
    that stood in their summary before.

    >>> repetition(["we met and we met and", "all is well"])
    {'summaries': 0.5, 'trigrams': 0.2}
    """
    repeating = again = total = 0
    for summary in summaries:
        grams = ngrams(words(summary), 3)
        twice = len(grams) - len(set(grams))
        repeating += twice > 0
        again += twice
        total += len(grams)
    return {"summaries": _share(repeating, len(summaries)), "trigrams": _share(again, total)}


def copied(summaries: Sequence[str], documents: Sequence[str]) -> dict[str, float]:
    """rate: the share of the words of all summaries that their document has. length: of the
    fragment of the document that such a word is copied in, the mean in words.

    Fragments are the longest that summary and document share, taken from left to right.

    Source: Grusky, Naaman and Artzi 2018, arXiv:1804.11283, section 3: coverage and density, over
    all words and not by summary.

    >>> copied(["two dogs saw cats"], ["I saw cats chase two big dogs."])
    {'rate': 1.0, 'length': 1.5}
    """
    total = inside = weighted = 0
    for summary, document in zip(summaries, documents, strict=True):
        own = words(summary)
        fragments = _fragments(own, words(document))
        total += len(own)
        inside += sum(fragments)
        weighted += sum(size * size for size in fragments)
    return {"rate": _share(inside, total), "length": _share(weighted, inside)}


def length_ratio(summaries: Sequence[str], references: Sequence[str]) -> float:
    """Words of all summaries to those of all references; 0 without any of these."""
    own, expected = (sum(len(words(text)) for text in side) for side in (summaries, references))
    return _share(own, expected)


def report(
    summaries: Sequence[str], documents: Sequence[str], references: Sequence[str]
) -> dict[str, Any]:
    """All of them, and what novelty and copying of the references are."""
    made: dict[str, Any] = {
        "length_ratio": length_ratio(summaries, references),
        "repetition": repetition(summaries),
    }
    if any(documents):
        made["novelty"] = novelty(summaries, documents)
        made["copied"] = copied(summaries, documents)
        made["reference_novelty"] = novelty(references, documents)
        made["reference_copied"] = copied(references, documents)
    return made


def ngrams(items: Sequence[T], order: int) -> list[tuple[T, ...]]:
    """All runs of `order` items, in their order."""
    return list(zip(*(items[start:] for start in range(order)), strict=False))


def _fragments(summary: Sequence[str], document: Sequence[str]) -> list[int]:
    """Lengths of the longest shared runs of words, greedily from left to right."""
    wanted = set(summary)
    places = defaultdict(list)
    for place, word in enumerate(document):
        if word in wanted:
            places[word].append(place)
    found, begin = [], 0
    while begin < len(summary):
        longest = 0
        for place in places.get(summary[begin], ()):
            size = 1
            most = min(len(summary) - begin, len(document) - place)
            while size < most and summary[begin + size] == document[place + size]:
                size += 1
            longest = max(longest, size)
        found += [longest] if longest else []
        begin += max(longest, 1)
    return found


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
