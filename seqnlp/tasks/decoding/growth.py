"""Hypotheses and the ways to add a token to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqnlp.nn.engines.greatest import most_probable, top
from seqnlp.tasks.decoding.rules import NEVER, Moment, Rules
from seqnlp.tasks.decoding.stepper import StepScores


@dataclass(frozen=True, kw_only=True)
class Grown:
    """Hypotheses longer by a token, best first: [B', M] each.

    totals: float64, their log-probabilities; -inf where there is none. tokens: int64, what was
    added. parents: int64, to which row of the group.
    """

    totals: Tensor
    tokens: Tensor
    parents: Tensor

    def take(self, places: Tensor) -> Grown:
        """Those at `places`, int64 [B', W]."""
        return Grown(
            totals=self.totals.gather(1, places),
            tokens=self.tokens.gather(1, places),
            parents=self.parents.gather(1, places),
        )

    def without(self, places: Tensor) -> Grown:
        """None at `places`, bool [B', M]."""
        totals = self.totals.masked_fill(places, NEVER)
        return Grown(totals=totals, tokens=self.tokens, parents=self.parents)

    def raised(self, amounts: Tensor) -> Grown:
        """Log-probabilities higher by float [B', M], in the same order."""
        totals = self.totals + amounts
        return Grown(totals=totals, tokens=self.tokens, parents=self.parents)

    @classmethod
    def interleaved(cls, groups: Sequence[Grown]) -> Grown:
        """Those of G groups of B' sources, [B' * G, M]."""
        return cls(
            totals=torch.stack([group.totals for group in groups], 1).flatten(0, 1),
            tokens=torch.stack([group.tokens for group in groups], 1).flatten(0, 1),
            parents=torch.stack([group.parents for group in groups], 1).flatten(0, 1),
        )

    def padded(self, count: int) -> Grown:
        """`count` of each, with none where there are fewer."""
        missing = (0, count - self.tokens.shape[1])
        if missing == (0, 0):
            return self
        return Grown(
            totals=pad(self.totals, missing, value=NEVER),
            tokens=pad(self.tokens, missing),
            parents=pad(self.parents, missing),
        )


def best_tokens(
    scores: StepScores, count: int, rules: Rules, moment: Moment
) -> tuple[Tensor, Tensor]:
    """The best tokens of each row that the rules allow, best first.

    Args:
        scores: of N rows.
        count: at most V.
        rules: what may come.
        moment: of which step and rows.

    Returns:
        Log-probabilities float64 [N, count], tokens int64 [N, count].
    """
    if rules.plain(moment.time):
        return most_probable(scores.logits, count, rules.forbidden, normalized=scores.normalized)
    allowed = scores.log_probabilities()
    rules.apply(allowed, moment)
    values, tokens = top(allowed, count)
    return values.double(), tokens


def grow(values: Tensor, tokens: Tensor, totals: Tensor, count: int) -> Grown:
    """The best `count` ways to add a token to the hypotheses of each source.

    Args:
        values: float64 [B' * W, M], log-probabilities of the best tokens of each row.
        tokens: int64 [B' * W, M].
        totals: float64 [B', W], log-probabilities of the hypotheses.
    """
    sources, each = len(totals), tokens.shape[1]
    marks = (values.view(sources, -1, each) + totals.unsqueeze(2)).flatten(1)
    found = marks.topk(min(count, marks.shape[1]), 1)
    return Grown(
        totals=found.values,
        tokens=tokens.view(sources, -1).gather(1, found.indices),
        parents=found.indices.div(each, rounding_mode="floor"),
    ).padded(count)


def first_of(wanted: Tensor, count: int) -> Tensor:
    """Places of the first `count` wanted ones of each row, the unwanted after them."""
    return (~wanted).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
