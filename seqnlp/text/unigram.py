"""Training of a unigram language model over subwords: a function of the word counts alone.

Source: Kudo 2018, "Subword Regularization", arXiv:1804.10959, section 3.2. The trainer of the
`tokenizers` package walks its words in an order that changes from run to run, and so do the last
digits of its result; a recipe could not be repeated to the bit.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_LONGEST_PIECE = 16
_LONGEST_WORD = 32  # keeps products of probabilities, each at least _FLOOR, in a double's range
_FLOOR = 1e-9
_MOST_WORDS = 100_000  # distinct words that are trained on, the most frequent
_SEEDS_PER_PIECE = 10
_KEPT_SHARE = 0.75  # of the pieces, in each round of pruning
_STEPS = 2  # of expectation and maximization, between two prunings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def train_unigram(
    counts: Mapping[str, int], *, size: int, min_count: int
) -> list[tuple[str, float]]:
    """Find at most `size` pieces and their log probabilities, most probable first.

    Every character seen `min_count` times is a piece (of those, at most the `size` / 2 most
    frequent), so that few texts hold an unknown one.

    Args:
        counts: how often each word occurs.
        size: the most pieces.
        min_count: rarer substrings are no pieces.
    """
    words = _cut(counts)
    characters = _frequent_characters(words, most=max(1, size // 2), min_count=min_count)
    seeds = _seeds(words, set(characters), most=_SEEDS_PER_PIECE * size, min_count=min_count)
    pieces = characters + seeds
    if not pieces:
        return []
    texts, times = list(words), np.array(list(words.values()), dtype=np.float64)
    lattice, within = _Lattice.over(texts, pieces), _Lattice.over(pieces, pieces).of_parts()
    probabilities = np.full(len(pieces), 1 / len(pieces))
    fixed = len(characters)
    while True:
        for _ in range(_STEPS):
            expected = lattice.expected_counts(probabilities, times)
            probabilities = np.maximum(expected / max(expected.sum(), 1.0), _FLOOR)
        if len(pieces) <= size:
            break
        room = max(size, int(_KEPT_SHARE * len(pieces))) - fixed
        # What the corpus loses in likelihood when a piece gives way to its best replacement.
        scores = np.log(probabilities)
        loss = expected[fixed:] * (scores - within.best_scores(scores))[fixed:]
        chosen = np.sort(np.argsort(-loss, kind="stable")[:room])
        kept = np.concatenate([np.arange(fixed), fixed + chosen])
        pieces = [pieces[i] for i in kept]
        probabilities = probabilities[kept]
        lattice, within = lattice.with_pieces(kept), within.with_pieces(kept).with_texts(kept)
    scores = np.log(probabilities / probabilities.sum())
    return sorted(
        zip(pieces, scores.tolist(), strict=True), key=lambda found: (-found[1], found[0])
    )


@dataclass(frozen=True)
class _Lattice:
    """Every way to cut each text into pieces: one edge for each piece at each place it fits.

    text, start, end, piece: int64 [E], sorted by `end`. lengths: int64 [texts]. pieces: how many
    pieces there are.
    """

    text: Ints
    start: Ints
    end: Ints
    piece: Ints
    lengths: Ints
    pieces: int

    @classmethod
    def over(cls, texts: Sequence[str], pieces: Sequence[str]) -> _Lattice:
        ids = {piece: i for i, piece in enumerate(pieces)}
        longest = max(len(piece) for piece in pieces)
        edges = array("q")  # a list of tuples would take ten times the memory
        for number, text in enumerate(texts):
            for start in range(len(text)):
                for end in range(start + 1, min(start + longest, len(text)) + 1):
                    if (piece := ids.get(text[start:end])) is not None:
                        edges.extend((number, start, end, piece))
        table = np.frombuffer(edges, dtype=np.int64).reshape(-1, 4)
        columns = np.ascontiguousarray(table[np.argsort(table[:, 2], kind="stable")].T)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        return cls(columns[0], columns[1], columns[2], columns[3], lengths, len(pieces))

    def with_pieces(self, kept: Ints) -> _Lattice:
        """The lattice of the kept pieces, renumbered in their order."""
        piece = _renumbered(kept, self.pieces)[self.piece]
        return replace(self._with(piece >= 0, piece=piece), pieces=len(kept))

    def with_texts(self, kept: Ints) -> _Lattice:
        """The lattice of the kept texts, renumbered in their order."""
        text = _renumbered(kept, len(self.lengths))[self.text]
        return replace(self._with(text >= 0, text=text), lengths=self.lengths[kept])

    def of_parts(self) -> _Lattice:
        """The lattice without the edges that span a whole text."""
        return self._with(self.end - self.start < self.lengths[self.text])

    def _with(self, edges: npt.NDArray[np.bool_], **columns: Ints) -> _Lattice:
        """The lattice of those edges, some columns given anew."""
        current = {name: getattr(self, name) for name in ("text", "start", "end", "piece")}
        return replace(self, **{name: a[edges] for name, a in (current | columns).items()})

    def expected_counts(self, probabilities: Floats, times: Floats) -> Floats:
        """How often each piece is used, over all ways to cut: float [pieces].

        Texts that the pieces cannot cut are left out.
        """
        rows, columns = len(self.lengths), int(self.lengths.max()) + 1
        forward, backward = np.zeros((rows, columns)), np.zeros((rows, columns))
        forward[:, 0] = 1
        backward[np.arange(rows), self.lengths] = 1
        weights = probabilities[self.piece]
        for edges in self._ends():
            text, start = self.text[edges], self.start[edges]
            reached = weights[edges] * forward[text, start]
            forward[:, self.end[edges][0]] = np.bincount(text, reached, minlength=rows)
        for edges in reversed(self._ends()):
            # Whatever begins at this end is counted already; no span occurs twice in a run.
            text, start = self.text[edges], self.start[edges]
            backward[text, start] += weights[edges] * backward[text, self.end[edges]]
        total = forward[np.arange(rows), self.lengths]
        scale = np.divide(times, total, out=np.zeros(rows), where=total > 0)
        use = forward[self.text, self.start] * weights * backward[self.text, self.end]
        use *= scale[self.text]
        return np.bincount(self.piece, use, minlength=self.pieces).astype(np.float64, copy=False)

    def best_scores(self, scores: Floats) -> Floats:
        """The log probability of the best way to cut each text, or -inf: float [texts]."""
        best = np.full((len(self.lengths), int(self.lengths.max()) + 1), -np.inf)
        best[:, 0] = 0
        for edges in self._ends():
            text = self.text[edges]
            reached = best[text, self.start[edges]] + scores[self.piece[edges]]
            np.maximum.at(best, (text, self.end[edges]), reached)
        return best[np.arange(len(self.lengths)), self.lengths]

    def _ends(self) -> list[slice]:
        """The runs of edges with the same end, ascending."""
        starts = np.flatnonzero(np.diff(self.end, prepend=-1, append=-1))
        return [slice(a, b) for a, b in pairwise(starts.tolist())]


def _renumbered(kept: Ints, count: int) -> Ints:
    """Old number to new, -1 for what is not kept."""
    numbers = np.full(count, -1)
    numbers[kept] = np.arange(len(kept))
    return numbers


def _cut(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent words, sorted, the longest of them cut into shorter ones."""
    often = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_WORDS]
    words: Counter[str] = Counter()
    for word in often:
        for start in range(0, len(word), _LONGEST_WORD):
            words[word[start : start + _LONGEST_WORD]] += counts[word]
    return dict(sorted(words.items()))


def _frequent_characters(words: Mapping[str, int], *, most: int, min_count: int) -> list[str]:
    characters: Counter[str] = Counter()
    for word, times in words.items():
        for character in word:
            characters[character] += times
    often = sorted(characters, key=lambda character: (-characters[character], character))
    return [character for character in often[:most] if characters[character] >= min_count]


def _seeds(
    words: Mapping[str, int], characters: set[str], *, most: int, min_count: int
) -> list[str]:
    """The substrings of two to 16 of those characters that cover most text."""
    found: Counter[str] = Counter()
    for word, times in words.items():
        for start in range(len(word) - 1):
            for end in range(start + 2, min(start + _LONGEST_PIECE, len(word)) + 1):
                found[word[start:end]] += times
    often = [
        piece
        for piece, times in found.items()
        if times >= max(min_count, 2) and characters.issuperset(piece)
    ]
    return sorted(often, key=lambda piece: (-found[piece] * len(piece), piece))[:most]
