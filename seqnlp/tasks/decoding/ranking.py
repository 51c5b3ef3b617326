"""What hypotheses are ranked by: log-probability, length and coverage (Wu et al. 2016, eq. 14)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.tasks.decoding.lengths import LengthPrior

LEAST_COVERAGE = 1e-10  # a token without any attention costs log of this, and not infinity


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """score = log P / ((5 + L) / 6)^alpha + beta * sum over the source of log(min(coverage, 1)).

    L counts the tokens of the output and its end. Coverage of a source token is the attention that
    it has got from all of them. A prior of L, where there is one, is added.

    alpha, beta: see the formula. lengths: int64 [B], of the sources.
    """

    alpha: float
    beta: float
    lengths: Tensor
    prior: LengthPrior | None = None

    def score(
        self, log_probabilities: Tensor, lengths: int | Tensor, penalty: Tensor | None
    ) -> Tensor:
        """Scores of finished hypotheses, in the shape of the first.

        Args:
            log_probabilities: float64, at most 0.
            lengths: their L.
            penalty: what `penalty` gives for them.
        """
        scores = log_probabilities / ((5.0 + lengths) / 6.0) ** self.alpha
        return scores if penalty is None else scores + penalty

    def bound(
        self, log_probabilities: Tensor, limits: Tensor, sources: Tensor, least: int
    ) -> Tensor:
        """What no continuation scores more than: not a nat lost, at the greatest length.

        Args:
            log_probabilities: float64 [P], of hypotheses that go on.
            limits: int64 [P], the greatest length of each, its end not counted.
            sources: int64 [P], whose they are.
            least: the L that they have at least when they end.
        """
        best = log_probabilities / ((6.0 + limits) / 6.0) ** self.alpha
        if self.prior is None:
            return best
        return best + self.prior.best(self.lengths[sources], least, limits + 1)

    @property
    def covers(self) -> bool:
        """Whether coverage counts."""
        return self.beta > 0

    def cover(self, coverage: Tensor | None, weights: Tensor | None) -> Tensor | None:
        """The coverage after another step, float64 [N, S]; None where it does not count.

        Raises:
            InputError: it counts, and the model has no attention.
        """
        if not self.covers:
            return None
        if weights is None:
            raise InputError("coverage_penalty needs attention, and this model has none")
        return weights.double() if coverage is None else coverage + weights

    def penalty(
        self, coverage: Tensor | None, sources: Tensor, *, length: int, rows: int
    ) -> Tensor | None:
        """What is added to the first term, float64 [N]; None where that is all.

        Args:
            coverage: float64 [N, S], or None.
            sources: int64 [B'], the sources of the rows.
            length: L of the hypotheses.
            rows: of each source, N / B'.
        """
        prior = None
        if self.prior is not None:
            prior = self.prior.of(self.lengths[sources], length).repeat_interleave(rows)
        if coverage is None:
            return prior
        logs = coverage.clamp(LEAST_COVERAGE, 1.0).log()
        real = torch.arange(logs.shape[1], device=logs.device) < self.lengths[sources].unsqueeze(1)
        real = real.repeat_interleave(rows, 0)
        penalty = self.beta * torch.where(real, logs, 0.0).sum(1)
        return penalty if prior is None else penalty + prior
