"""Hypotheses that have finished, kept while others go on."""

from __future__ import annotations

import numpy as np

from seqnlp_runtime.decoding.arrays import NEVER, Doubles, Ints
from seqnlp_runtime.decoding.trace import Ends


class Pool:
    """The best finished hypotheses of P groups, and how many there have been.

    Args:
        groups: P.
        size: how many of each are kept.
    """

    def __init__(self, groups: int, size: int) -> None:
        self.scores = np.full((groups, size), NEVER)
        self.counts = np.zeros(groups, dtype=np.int64)
        self._logs = self.scores.copy()
        self._steps, self._rows, self._cuts = np.zeros((3, groups, size), dtype=np.int64)

    def add(
        self, groups: Ints, scores: Doubles, totals: Doubles, time: int, rows: Ints, cuts: Ints
    ) -> None:
        """Those that ended in step `time`: [P', W] each, for the groups int64 [P'].

        Scores are -inf where a row has none.
        """
        self.counts[groups] += (scores > NEVER).sum(1)
        every = np.concatenate([self.scores[groups], scores], 1)
        places = np.argsort(-every, axis=1, kind="stable")[:, : self.scores.shape[1]]
        self.scores[groups] = np.take_along_axis(every, places, 1)
        for own, new in (
            (self._logs, totals),
            (self._steps, np.full_like(rows, time)),
            (self._rows, rows),
            (self._cuts, cuts),
        ):
            both = np.concatenate([own[groups], new], 1)
            own[groups] = np.take_along_axis(both, places, 1)

    def ends(self, groups: int) -> Ends:
        """All that were kept, of sources with so many groups each."""
        places, slots = np.nonzero(self.scores > NEVER)
        return Ends(
            sources=places // groups,
            steps=self._steps[places, slots],
            rows=self._rows[places, slots],
            scores=self.scores[places, slots],
            log_probabilities=self._logs[places, slots],
            cuts=self._cuts[places, slots],
        )
