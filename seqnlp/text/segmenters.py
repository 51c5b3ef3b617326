"""Random segmentations of many words at once: byte-pair encoding with dropped merges, and samples
from a unigram language model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LONGEST = 256
"""Symbols of a word that is sampled; work grows by the square of its length."""

_NEVER = np.iinfo(np.int64).max


class Segmenter(ABC):
    """Draws ways to cut words into the pieces of a trained tokenizer.

    Args:
        pieces: the names of the numbers that `draw` returns.
        words: cuts a text into words; the tokens of the text are those of its words.
        plain: the tokens of one word.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        *,
        words: Callable[[str], list[str]],
        plain: Callable[[str], list[str]],
    ) -> None:
        self.pieces = tuple(pieces)
        self.words, self.plain = words, plain

    @abstractmethod
    def encode(self, word: str) -> Ints | None:
        """What `draw` reads of a word, int64 [L, ...]; None where it is cut in one way only."""

    @abstractmethod
    def draw(
        self, words: Ints, rows: Ints, rate: float, generator: np.random.Generator
    ) -> tuple[Ints, Ints]:
        """Draw one segmentation for each row, independently.

        Args:
            words: int64 [W, L, ...], encoded words of one length.
            rows: int64 [R], the word of each row.
            rate: 0 to 1.
            generator: all that is random comes from it.

        Returns:
            Numbers of pieces, int64 [M], row after row, and how many each row has, int64 [R].
        """


class MergeSegmenter(Segmenter):
    """Byte-pair encoding that drops each possible merge, at each step, with probability `rate`.

    Source: Provilkov et al. 2020, "BPE-Dropout", arXiv:1910.13267, algorithm 1. At a rate of 0 it
    merges as the tokenizer does, at 1 not at all.

    Args:
        pieces: symbols by number; every character of a word is one of them.
        merges: pairs of symbols in the order in which they were learned.
    """

    def __init__(
        self,
        pieces: Sequence[str],
        merges: Sequence[tuple[str, str]],
        *,
        words: Callable[[str], list[str]],
        plain: Callable[[str], list[str]],
    ) -> None:
        super().__init__(pieces, words=words, plain=plain)
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        number = self._numbers.__getitem__
        pairs = [number(left) * len(self.pieces) + number(right) for left, right in merges]
        self._merged = np.array([number(left + right) for left, right in merges], dtype=np.int64)
        self._ranks = np.argsort(np.array(pairs, dtype=np.int64), kind="stable")
        self._pairs = np.array([*sorted(pairs), _NEVER], dtype=np.int64)
        self._ranks = np.append(self._ranks, _NEVER)

    def encode(self, word: str) -> Ints | None:
        if not 0 < len(word) <= LONGEST:
            return None
        return np.array([self._numbers[character] for character in word], dtype=np.int64)

    def draw(
        self, words: Ints, rows: Ints, rate: float, generator: np.random.Generator
    ) -> tuple[Ints, Ints]:
        # Every row that still merges has merged once a step, so all have the same length.
        symbols = words[rows]
        ranks = self._rank(symbols[:, :-1], symbols[:, 1:])
        running = np.arange(len(rows))
        found, lengths = np.empty_like(symbols), np.empty(len(rows), dtype=np.int64)
        while symbols.shape[1] > 1:
            dropped = generator.random(ranks.shape, dtype=np.float32) < rate
            candidates = np.where(dropped, _NEVER, ranks)
            place = candidates.argmin(axis=1)
            best = candidates[np.arange(len(place)), place]
            ended = best == _NEVER
            found[running[ended], : symbols.shape[1]] = symbols[ended]
            lengths[running[ended]] = symbols.shape[1]
            going = ~ended
            running, place, best = running[going], place[going], best[going]
            symbols, ranks = self._merge(symbols[going], ranks[going], place, best)
        found[running, : symbols.shape[1]] = symbols
        lengths[running] = symbols.shape[1]
        return found[np.arange(found.shape[1]) < lengths[:, None]], lengths

    def _merge(self, symbols: Ints, ranks: Ints, place: Ints, best: Ints) -> tuple[Ints, Ints]:
        """Merge the pair at `place` of each row: one symbol and one pair less, two pairs new."""
        rows = np.arange(len(place))
        symbols[rows, place] = self._merged[best]
        symbols, ranks = _without(symbols, place + 1), _without(ranks, place)
        for pair in (place - 1, place):
            real = (pair >= 0) & (pair < ranks.shape[1])
            row, left = rows[real], pair[real]
            ranks[row, left] = self._rank(symbols[row, left], symbols[row, left + 1])
        return symbols, ranks

    def _rank(self, left: Ints, right: Ints) -> Ints:
        """The number of the merge of each pair, _NEVER where there is none."""
        pairs = left * len(self.pieces) + right
        found = np.searchsorted(self._pairs, pairs)
        return np.where(self._pairs[found] == pairs, self._ranks[found], _NEVER)


class LatticeSegmenter(Segmenter):
    """Samples from all ways to cut a word, by a unigram language model.

    A way x is drawn with a probability proportional to P(x)^alpha, where alpha = (1 - rate) / rate:
    near a rate of 0 it is the most probable way, at 0.5 a sample of the model, at 1 all ways are
    equally probable.

    Source: Kudo 2018, "Subword Regularization", arXiv:1804.10959, section 3.3, with l = infinity.

    Args:
        scores: the log probability of each piece. A word with a character that is no piece is cut
            in one way only.
    """

    def __init__(
        self,
        scores: Mapping[str, float],
        *,
        words: Callable[[str], list[str]],
        plain: Callable[[str], list[str]],
    ) -> None:
        super().__init__(tuple(scores), words=words, plain=plain)
        self._numbers = {piece: number for number, piece in enumerate(self.pieces)}
        self._scores = np.array([*scores.values()], dtype=np.float64)
        self._longest = max(map(len, self.pieces), default=1)

    def encode(self, word: str) -> Ints | None:
        """The piece that ends at each place and is k + 1 long: int64 [L, K], -1 for none."""
        length, numbers = len(word), self._numbers
        if not 0 < length <= LONGEST or not all(character in numbers for character in word):
            return None
        sizes = range(1, min(length, self._longest) + 1)
        return np.array(
            [
                [numbers.get(word[end - size : end], -1) if size <= end else -1 for size in sizes]
                for end in range(1, length + 1)
            ],
            dtype=np.int64,
        )

    def draw(
        self, words: Ints, rows: Ints, rate: float, generator: np.random.Generator
    ) -> tuple[Ints, Ints]:
        with np.errstate(divide="ignore"):
            sharpness = np.float64(1 - rate) / np.float64(rate)
        chances = self._chances(words, sharpness)
        length = words.shape[1]
        ends = np.full(len(rows), length)
        running = np.arange(len(rows))
        found, counts = np.empty((len(rows), length), dtype=np.int64), np.zeros_like(ends)
        while len(running):  # from the end of each word to its beginning
            end, word = ends[running] - 1, rows[running]
            total = chances[word, end]
            size = (total <= generator.random((len(running), 1)) * total[:, -1:]).sum(axis=1)
            counts[running] += 1
            found[running, length - counts[running]] = words[word, end, size]
            ends[running] -= size + 1
            running = running[ends[running] > 0]
        return found[np.arange(length) >= length - counts[:, None]], counts

    def _chances(self, words: Ints, sharpness: np.float64) -> Floats:
        """Cumulated probabilities of the sizes of the last piece before each end: [W, L, K]."""
        count, length, sizes = words.shape
        scores = np.where(words < 0, -np.inf, sharpness * self._scores[words])
        forward = np.full((count, length + sizes), -np.inf)  # sizes in front: before the word
        forward[:, sizes - 1] = 0
        for end in range(length):
            reached = scores[:, end] + forward[:, end : end + sizes][:, ::-1]
            most = reached.max(axis=1, keepdims=True)
            scores[:, end] = np.exp(reached - most).cumsum(axis=1)
            forward[:, end + sizes] = most[:, 0] + np.log(scores[:, end, -1])
        return scores


def _without(table: Ints, columns: Ints) -> Ints:
    """The table [R, N] without one column of each row: [R, N - 1]."""
    kept = np.ones(table.shape, dtype=np.bool_)
    kept[np.arange(len(columns)), columns] = False
    return table[kept].reshape(len(columns), table.shape[1] - 1)
