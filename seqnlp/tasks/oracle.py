"""Which sentences of a document make the best extract: what an extractor learns from."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp.data.corpus import Split
from seqnlp.data.store import cache_entry, digest_of
from seqnlp.files import new_file
from seqnlp.tasks.rouge import Rouge
from seqnlp.text.sentences import split_sentences

Labels: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]


def label_sentences(split: Split, *, most: int | None = None) -> tuple[Ints, Labels]:
    """The sentences of each document, and whether they are of its best extract; cached,
    unless the split is not lasting.

    Args:
        split: of the fields document and summary.
        most: see `best_sentences`.

    Returns:
        How many sentences, int64 [N]; of those of all documents one after another, bool [M].
    """
    if not split.lasting:
        return _label(split, most)
    libraries = [version(name) for name in ("seqnlp", "rouge-score")]
    digest = digest_of(["extracts", split.fingerprint, most, *libraries])
    path = cache_entry("extracts", f"{digest}.npy")
    found = _load(path, len(split))
    if found is None:
        found = _label(split, most)
        with new_file(path) as file:
            for each in found:
                np.save(file, each, allow_pickle=False)
    return found


def _label(split: Split, most: int | None) -> tuple[Ints, Labels]:
    tokenize = Rouge(split.column("summary")).tokenize
    sizes, labels = array("q"), bytearray()
    for document, summary in zip(split.column("document"), split.column("summary"), strict=True):
        sentences = [tokenize(sentence) for sentence in split_sentences(document)]
        own = bytearray(len(sentences))
        for sentence in best_sentences(sentences, tokenize(summary), most=most):
            own[sentence] = 1
        sizes.append(len(own))
        labels += own
    return np.array(sizes, dtype=np.int64), np.frombuffer(labels, dtype=np.bool_)


def _load(path: Path, size: int) -> tuple[Ints, Labels] | None:
    """What is in a cache file, or None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            sizes, labels = (np.load(file, allow_pickle=False) for _ in range(2))
    except (OSError, ValueError, EOFError):
        return None
    return (sizes, labels) if sizes.shape == (size,) and sizes.sum() == len(labels) else None


def best_sentences(
    sentences: Sequence[Sequence[str]], summary: Sequence[str], *, most: int | None = None
) -> list[int]:
    """The sentences that are most like a summary, in the order in which they were found.

    One after another the sentence is taken with which the sum of ROUGE-1 and ROUGE-2 (F1) is
    highest, the first of equal ones, as long as that raises it. Word pairs across sentences do not
    count. Source: Nallapati et al. 2017, arXiv:1611.04230, section 3.1.

    Args:
        sentences: tokens of each. summary: tokens.
        most: sentences at the most; None for no limit.

    >>> best_sentences([["hello"], ["the", "plan", "failed"], ["a", "plan"]], ["plan", "failed"])
    [1]
    """
    counts = [_overlaps(sentences, summary, size) for size in (1, 2)]
    taken: list[int] = []
    before, highest = [(0.0, 0.0)] * 2, 0.0
    while sentences and (most is None or len(taken) < most):
        scores = np.zeros(len(sentences))
        for (shared, sizes, wanted), (found, size) in zip(counts, before, strict=True):
            together = np.minimum(shared + found, wanted).sum(1)
            scores += 2 * together / np.maximum(sizes + size + wanted.sum(), 1)
        scores[taken] = 0
        best = int(scores.argmax())
        if scores[best] <= highest + 1e-12:
            break
        taken.append(best)
        highest = float(scores[best])
        before = [
            (found + shared[best], size + sizes[best])
            for (shared, sizes, _), (found, size) in zip(counts, before, strict=True)
        ]
    return taken


Counts = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _overlaps(sentences: Sequence[Sequence[str]], summary: Sequence[str], size: int) -> Counts:
    """How often each n-gram of the summary occurs, of U distinct ones.

    Returns:
        In each of S sentences, [S, U]; all n-grams of each sentence, [S]; in the summary, [U].
    """
    wanted = Counter(_ngrams(summary, size))
    numbers = {ngram: number for number, ngram in enumerate(wanted)}
    shared = np.zeros((len(sentences), len(wanted)))
    for row, sentence in zip(shared, sentences, strict=True):
        for ngram in _ngrams(sentence, size):
            if ngram in numbers:
                row[numbers[ngram]] += 1
    totals = np.array([max(len(sentence) + 1 - size, 0) for sentence in sentences], dtype=float)
    return shared, totals, np.array(list(wanted.values()), dtype=float)


def _ngrams(tokens: Sequence[str], size: int) -> Sequence[object]:
    return tokens if size == 1 else list(pairwise(tokens))
