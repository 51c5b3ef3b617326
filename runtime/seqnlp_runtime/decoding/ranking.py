"""What hypotheses are ranked by: log-probability, length and coverage (Wu et al. 2016, eq. 14)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqnlp_runtime.decoding.arrays import Doubles, Floats, Ints
from seqnlp_runtime.decoding.lengths import LengthPrior
from seqnlp_runtime.errors import RunnerError

LEAST_COVERAGE = 1e-10  # a token without any attention costs log of this, and not infinity


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """score = log P / ((5 + L) / 6)^alpha + beta * sum over the source of log(min(coverage, 1)).

    L counts the tokens of the output and its end; a prior of L, where there is one, is added.

    lengths: int64 [B], of the sources.
    """

    alpha: float
    beta: float
    lengths: Ints
    prior: LengthPrior | None = None

    def score(self, logs: Doubles, length: int, penalty: Doubles | None) -> Doubles:
        """Scores of hypotheses of L = `length`, by what `penalty` gives for them."""
        scores: Doubles = logs / ((5.0 + length) / 6.0) ** self.alpha
        return scores if penalty is None else scores + penalty

    def bound(self, logs: Doubles, limits: Ints, sources: Ints, least: int) -> Doubles:
        """What no continuation scores more than: not a nat lost, at the greatest length.

        Args:
            logs: [P], of hypotheses that go on.
            limits: int64 [P], the greatest length of each, its end not counted.
            sources: int64 [P], whose they are.
            least: the L that they have at least when they end.
        """
        best: Doubles = logs / ((6.0 + limits) / 6.0) ** self.alpha
        if self.prior is None:
            return best
        return best + self.prior.best(self.lengths[sources], least, limits + 1)

    def cover(self, coverage: Doubles | None, weights: Floats | None) -> Doubles | None:
        """The coverage after another step, [N, S]; None where it does not count.

        Raises:
            RunnerError: it counts, and the model has no attention.
        """
        if not self.beta:
            return None
        if weights is None:
            raise RunnerError(
                "decoding.coverage_penalty: needs attention, and this model gives none"
            )
        return weights.astype(np.float64) if coverage is None else coverage + weights

    def penalty(
        self, coverage: Doubles | None, sources: Ints, *, length: int, rows: int
    ) -> Doubles | None:
        """What is added to the first term, [N]; None where that is all.

        Args:
            coverage: [N, S], or None.
            sources: int64 [B'], the sources of the rows.
            length: L of the hypotheses.
            rows: of each source, N / B'.
        """
        prior = None
        if self.prior is not None:
            prior = np.repeat(self.prior.of(self.lengths[sources], length), rows)
        if coverage is None:
            return prior
        logs = np.log(np.clip(coverage, LEAST_COVERAGE, 1.0))
        real = np.arange(logs.shape[1]) < np.repeat(self.lengths[sources], rows)[:, None]
        penalty: Doubles = self.beta * np.where(real, logs, 0.0).sum(1)
        return penalty if prior is None else penalty + prior
