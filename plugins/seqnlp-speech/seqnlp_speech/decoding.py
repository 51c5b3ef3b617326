"""From probabilities at every step to texts: greedy, and by a beam over prefixes.

Frames of symbol probabilities are log-probabilities float [T, V] in which number `BLANK` says that
nothing is said. An alignment is a symbol for every step; its text leaves out repeats and then
blanks (Graves et al. 2006, "Connectionist temporal classification", section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from seqnlp_speech.language_model import LanguageModel

BLANK = 0
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A text that a search found.

    symbols: without blanks. score: what ranked it. log_probability: of all alignments that the
    search has kept of it, in nats.
    """

    symbols: tuple[int, ...]
    score: float
    log_probability: float


def collapse(alignment: Sequence[int]) -> tuple[int, ...]:
    """The text of an alignment.

    >>> collapse([0, 1, 1, 0, 1, 2, 2])
    (1, 1, 2)
    """
    before = [BLANK, *alignment]
    return tuple(
        int(own) for last, own in zip(before, alignment, strict=False) if own not in (last, BLANK)
    )


class GreedySearch:
    """The text of the likeliest alignment, step after step."""

    def __init__(self) -> None:
        self._symbols: tuple[int, ...] = ()
        self._last = BLANK
        self._log = 0.0

    def advance(self, logs: Floats) -> None:
        """Read log-probabilities [M, T, V] of the next steps, or [T, V] of a single model.

        Of several models it is the mean probability of each step that counts.
        """
        logs = mean_of(logs) if logs.ndim == 3 else logs
        if not len(logs):
            return
        best = logs.argmax(1)
        self._symbols += collapse([self._last, *best.tolist()])[self._last != BLANK :]
        self._last = int(best[-1])
        self._log += float(logs.max(1).sum())

    def best(self, count: int = 1) -> list[Found]:
        """The one text so far; its log-probability is that of the alignment."""
        return [Found(symbols=self._symbols, score=self._log, log_probability=self._log)]


class PrefixBeamSearch:
    """The likeliest texts, each by the sum of its alignments; as many prefixes as the beam holds.

    Of each prefix l it keeps the probabilities of the alignments that end with a blank and of those
    that do not. At each step with probabilities p,

        p_b(l)  <- (p_b(l) + p_nb(l)) p(blank)
        p_nb(l) <- p_nb(l) p(c) + q(l') p(c),   l = l' c,

    q p_b + p_nb, or p_b alone where c is the last of l' too. A score adds `lm_weight` log P(l) of a
    language model and `symbol_bonus` |l|. Several models give a text the mean of its
    probabilities, each with alignments of its own.

    Source: Hannun et al. 2014, arXiv:1408.2873, algorithm 1; their language model is of words.

    Args:
        symbols: V, the blank included. models: M.
    """

    def __init__(
        self, symbols: int, *, beam_size: int, models: int = 1,
        language_model: LanguageModel | None = None, lm_weight: float = 0.0,
        symbol_bonus: float = 0.0,
    ) -> None:  # fmt: skip
        self.symbols, self.beam_size = symbols, beam_size
        self.language_model = language_model if lm_weight else None
        self.lm_weight, self.symbol_bonus = lm_weight, symbol_bonus
        self._prefixes: list[tuple[int, ...]] = [()]
        self._blank = np.zeros((models, 1))
        self._other = np.full((models, 1), -np.inf)
        self._bonus = np.zeros(1)

    def advance(self, logs: Floats) -> None:
        """Read log-probabilities [M, T, V] of the next steps, or [T, V] of a single model."""
        for step in np.moveaxis(logs if logs.ndim == 3 else logs[None], 1, 0):
            self._step(step)

    def best(self, count: int = 1) -> list[Found]:
        """At most `count` texts, the best first; a language model has said that they end."""
        logs = mean_of(np.logaddexp(self._blank, self._other))
        scores = logs + self._bonus
        if self.language_model is not None:
            scores = scores + self.lm_weight * np.array(
                [self.language_model.end(prefix) for prefix in self._prefixes]
            )
        order = np.argsort(-scores, kind="stable")[:count]
        return [
            Found(
                symbols=self._prefixes[row],
                score=float(scores[row]),
                log_probability=float(logs[row]),
            )
            for row in order
        ]

    def _step(self, logs: Floats) -> None:
        """One step, log-probabilities [M, V]. K prefixes, of which each may stay or be extended."""
        prefixes, count = self._prefixes, len(self._prefixes)
        last = np.array([prefix[-1] if prefix else BLANK for prefix in prefixes])
        both = np.logaddexp(self._blank, self._other)
        stay_blank = both + logs[:, BLANK, None]
        stay_other = self._other + logs[:, last]
        extended = both[:, :, None] + logs[:, None, :]
        rows = np.arange(count)
        # The same symbol again is another one only behind a blank.
        extended[:, rows, last] = self._blank + logs[:, last]
        extended[:, :, BLANK] = -np.inf
        self._merge(stay_other, extended)
        added = np.broadcast_to(self._added(), (count, self.symbols))
        scores = np.concatenate([
            mean_of(np.logaddexp(stay_blank, stay_other)) + self._bonus,
            (mean_of(extended) + self._bonus[:, None] + added).reshape(-1),
        ])  # fmt: skip
        chosen = _largest(scores, self.beam_size)
        stays, goes = chosen[chosen < count], chosen[chosen >= count] - count
        parents, ends = goes // self.symbols, goes % self.symbols
        self._prefixes = [
            *(prefixes[row] for row in stays),
            *((*prefixes[row], int(end)) for row, end in zip(parents, ends, strict=True)),
        ]
        nothing = np.full((len(logs), len(goes)), -np.inf)
        self._blank = np.concatenate([stay_blank[:, stays], nothing], axis=1)
        self._other = np.concatenate([stay_other[:, stays], extended[:, parents, ends]], axis=1)
        self._bonus = np.concatenate([
            self._bonus[stays], self._bonus[parents] + added[parents, ends]
        ])  # fmt: skip

    def _merge(self, stay_other: Floats, extended: Floats) -> None:
        """Where a prefix extended is another that is kept, that one gets its alignments."""
        places = {prefix: row for row, prefix in enumerate(self._prefixes)}
        for row, prefix in enumerate(self._prefixes):
            parent = places.get(prefix[:-1]) if prefix else None
            if parent is not None:
                own = extended[:, parent, prefix[-1]]
                stay_other[:, row] = np.logaddexp(stay_other[:, row], own)
                extended[:, parent, prefix[-1]] = -np.inf

    def _added(self) -> Floats:
        """What a further symbol adds to the score of each prefix, [K, V] or [1, 1]."""
        if self.language_model is None:
            return np.full((1, 1), self.symbol_bonus)
        known = np.stack([self.language_model.following(each) for each in self._prefixes])
        return self.lm_weight * known + self.symbol_bonus


def align(logs: Floats, symbols: Sequence[int]) -> list[int]:
    """The step at which each symbol is most certain, on the likeliest alignment of a text.

    Args:
        logs: log-probabilities [T, V].

    Raises:
        ValueError: there are fewer steps than the text needs.
    """
    if not symbols:
        return []
    labels = np.full(2 * len(symbols) + 1, BLANK)
    labels[1::2] = symbols
    skips = np.zeros(len(labels), dtype=np.bool_)
    skips[3::2] = labels[3::2] != labels[1:-2:2]
    best = np.full(len(labels), -np.inf)
    best[:2] = logs[0, labels[:2]]
    came = np.zeros((len(logs), len(labels)), dtype=np.int64)
    for step in range(1, len(logs)):
        from_one = np.concatenate([[-np.inf], best[:-1]])
        from_two = np.where(skips, np.concatenate([[-np.inf] * 2, best[:-2]]), -np.inf)
        options = np.stack([best, from_one, from_two])
        came[step] = options.argmax(0)
        best = options.max(0) + logs[step, labels]
    place = len(labels) - 2 + int(best[-1] >= best[-2])
    if best[place] == -np.inf:
        raise ValueError(f"{len(logs)} steps are too few for {len(symbols)} symbols")
    peaks, heights = [0] * len(symbols), np.full(len(symbols), -np.inf)
    for step in range(len(logs) - 1, -1, -1):
        if place % 2 and logs[step, labels[place]] > heights[place // 2]:
            peaks[place // 2], heights[place // 2] = step, logs[step, labels[place]]
        place -= int(came[step, place])
    return peaks


def least_steps(symbols: Sequence[int]) -> int:
    """How many steps a text needs: one a symbol, and a blank between any two that are the same.

    >>> least_steps([3, 3, 4])
    4
    """
    return len(symbols) + sum(one == other for one, other in pairwise(symbols))


def mean_of(logs: Floats) -> Floats:
    """The logarithm of the mean over the first axis of what `logs` are logarithms of."""
    mean: Floats = (
        logs[0] if len(logs) == 1 else np.logaddexp.reduce(logs, axis=0) - np.log(len(logs))
    )
    return mean


def _largest(scores: Floats, count: int) -> Ints:
    """The places of the `count` largest that are no -inf, the largest first; ties in order."""
    if len(scores) > count:
        chosen = np.argpartition(-scores, count - 1)[:count]
        chosen = chosen[np.lexsort((chosen, -scores[chosen]))]
    else:
        chosen = np.argsort(-scores, kind="stable")
    found: Ints = chosen[scores[chosen] > -np.inf].astype(np.int64)
    return found
