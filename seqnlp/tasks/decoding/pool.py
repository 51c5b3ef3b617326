"""Hypotheses that have finished, kept while others go on."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.tasks.decoding.rules import NEVER
from seqnlp.tasks.decoding.trace import Ends


class Pool:
    """The best finished hypotheses of P groups, and how many there have been.

    Args:
        groups: P.
        size: how many of each are kept.
    """

    def __init__(self, groups: int, size: int, device: torch.device) -> None:
        self.scores = torch.full((groups, size), NEVER, dtype=torch.float64, device=device)
        self.log_probabilities = self.scores.clone()
        self.steps = torch.zeros(groups, size, dtype=torch.long, device=device)
        self.rows = self.steps.clone()
        self.cuts = self.steps.clone()
        self.counts = self.steps.new_zeros(groups)

    def add(
        self,
        groups: Tensor,
        scores: Tensor,
        totals: Tensor,
        time: int,
        rows: Tensor,
        cuts: Tensor,
    ) -> None:
        """Those that ended in step `time`: [P', W] each, for the groups int64 [P'].

        Scores are -inf where a row has none.
        """
        self.counts[groups] += (scores > NEVER).sum(1)
        kept = torch.cat([self.scores[groups], scores], 1).topk(self.scores.shape[1], 1)
        self.scores[groups] = kept.values
        for own, new in (
            (self.log_probabilities, totals),
            (self.steps, torch.full_like(rows, time)),
            (self.rows, rows),
            (self.cuts, cuts),
        ):
            own[groups] = torch.cat([own[groups], new], 1).gather(1, kept.indices)

    def ends(self, groups: int) -> Ends:
        """All that were kept, of sources with so many groups each."""
        places, slots = (self.scores > NEVER).nonzero(as_tuple=True)
        return Ends(
            sources=places.div(groups, rounding_mode="floor"),
            steps=self.steps[places, slots],
            rows=self.rows[places, slots],
            scores=self.scores[places, slots],
            log_probabilities=self.log_probabilities[places, slots],
            cuts=self.cuts[places, slots],
        )
