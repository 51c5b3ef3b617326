"""What texts look like: n-grams of symbols, counted in the transcripts of train."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

MOST_KEPT = 1 << 16
"""Contexts whose probabilities are kept; they are then computed anew."""


class LanguageModel:
    """Interpolated n-grams by Witten and Bell.

    P(c | h) = (N(h c) + T(h) P(c | h')) / (N(h) + T(h)), N counts, T(h) how many distinct symbols
    were seen behind h, h' the context without its first symbol; below the unigrams all symbols and
    the end of a text are equally likely. Symbol 0, the blank, is none: its place is the end's.

    Source: Witten and Bell 1991, "The zero-frequency problem"; interpolated as in Chen and Goodman
    1998, section 2.5.

    Args:
        counts: n-grams, each padded on its left by -1 where a text began, and how often each
            occurs.
        symbols: V, the blank included. order: n.
    """

    def __init__(self, counts: dict[tuple[int, ...], int], *, symbols: int, order: int) -> None:
        self.counts, self.symbols, self.order = counts, symbols, order
        self._following: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for ngram, count in counts.items():
            for begin in range(order):
                self._following[ngram[begin:-1]][ngram[-1]] += count
        self._known: dict[tuple[int, ...], Floats] = {}

    @classmethod
    def fit(cls, texts: Iterable[Sequence[int]], *, symbols: int, order: int) -> LanguageModel:
        """Count the n-grams of texts, symbols from 1 to V - 1; 0 behind each is its end."""
        counts: Counter[tuple[int, ...]] = Counter()
        for text in texts:
            padded = (*[-1] * (order - 1), *text, 0)
            counts.update(
                padded[end - order : end] for end in range(order, len(padded) + 1)
            )  # fmt: skip
        return cls(dict(counts), symbols=symbols, order=order)

    def following(self, prefix: Sequence[int]) -> Floats:
        """Log-probabilities [V] of each symbol behind a text that begins so; [0] is its end's."""
        size = self.order - 1
        context = tuple(prefix[-size:]) if size else ()
        context = (-1,) * (size - len(context)) + context
        if context not in self._known:
            if len(self._known) >= MOST_KEPT:
                self._known.clear()
            self._known[context] = np.log(self._probabilities(context))
        return self._known[context]

    def end(self, text: Sequence[int]) -> float:
        """The log-probability that a text ends here."""
        return float(self.following(text)[0])

    def log_probability(self, text: Sequence[int]) -> float:
        """Of a whole text and its end, in nats."""
        steps = (self.following(text[:place])[text[place]] for place in range(len(text)))
        return float(sum(steps)) + self.end(text)

    def _probabilities(self, context: tuple[int, ...]) -> Floats:
        seen = self._following.get(context)
        if context:
            lower = self._probabilities(context[1:])
        else:
            lower = np.full(self.symbols, 1 / self.symbols)
        if not seen:
            return lower
        own = np.zeros(self.symbols)
        own[list(seen)] = list(seen.values())
        mixed: Floats = (own + len(seen) * lower) / (own.sum() + len(seen))
        return mixed

    def to_tensor(self) -> Tensor:
        """The counts as int64 [E, order + 1], each n-gram and how often it occurs."""
        rows = [(*ngram, count) for ngram, count in sorted(self.counts.items())]
        return torch.tensor(rows, dtype=torch.int64).reshape(len(rows), self.order + 1)

    @classmethod
    def from_tensor(cls, counts: Tensor, *, symbols: int) -> LanguageModel:
        """The model that `to_tensor` gave these counts of.

        Raises:
            ValueError: they hold a symbol that there is not.
        """
        ngrams = counts[:, :-1]
        if len(ngrams) and not -1 <= int(ngrams.min()) <= int(ngrams.max()) < symbols:
            raise ValueError("the language model has symbols that the task has not")
        made = {tuple(row[:-1]): row[-1] for row in counts.tolist()}
        return cls(made, symbols=symbols, order=counts.shape[1] - 1)
