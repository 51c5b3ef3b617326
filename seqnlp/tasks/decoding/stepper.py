"""The border between search and network: what a search asks of a model, one token at a time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqnlp.errors import InputError


@dataclass(frozen=True, kw_only=True)
class StepScores:
    """What a model says of the token that comes next.

    logits: float [N, V], log-probabilities up to a constant in each row; they are handed over, and
    the search may write into them. weights: float [N, S], attention to the source, zero on
    padding, where the model has one. normalized: whether the logits are log-probabilities already.
    """

    logits: Tensor
    weights: Tensor | None = None
    normalized: bool = False

    def log_probabilities(self) -> Tensor:
        """Float [N, V]."""
        return self.logits if self.normalized else torch.log_softmax(self.logits, 1)


class Stepper(ABC):
    """The decoder states of some sources with K hypotheses each, source by source: N = sources * K.

    Hypothesis k of source b is row b * K + k. A new stepper has one row for each source.
    K changes with `select`, the sources with `keep`.

    Attributes:
        vocabulary_size: V.
        sources: how many sources it still has.
    """

    vocabulary_size: int
    sources: int

    @abstractmethod
    def step(self, ids: Tensor) -> StepScores:
        """Read the last token of each hypothesis, int64 [N]; what may come next."""

    @abstractmethod
    def select(self, rows: Tensor) -> None:
        """Go on with these rows, int64 [M]; a row may be named several times, or not at all.

        M is a multiple of `sources`; the new rows of a source are copies of rows of the same.
        """

    @abstractmethod
    def keep(self, sources: Tensor) -> None:
        """Go on with these sources, int64 [B'] ascending, and all their rows; the others leave.

        Sources count from 0 among those that are there now.
        """


class EnsembleStepper(Stepper):
    """Several steppers over the same sources: the mean of their probabilities and of their weights.

    Weights are averaged over those that have any.

    Raises:
        InputError: their vocabularies or sources differ in number.
    """

    def __init__(self, steppers: Sequence[Stepper]) -> None:
        if not steppers:
            raise InputError("an ensemble needs at least one model")
        for name in ("vocabulary_size", "sources"):
            found = [getattr(stepper, name) for stepper in steppers]
            if len(set(found)) > 1:
                raise InputError(
                    f"models of an ensemble answer together, but their {name} are {found}"
                )
        self.steppers = tuple(steppers)
        self.vocabulary_size, self.sources = steppers[0].vocabulary_size, steppers[0].sources

    def step(self, ids: Tensor) -> StepScores:
        """See `Stepper`."""
        scores = [stepper.step(ids) for stepper in self.steppers]
        if len(scores) == 1:
            return scores[0]
        total = scores[0].log_probabilities()
        for other in scores[1:]:
            total = torch.logaddexp(total, other.log_probabilities())
        weights = [score.weights for score in scores if score.weights is not None]
        return StepScores(
            logits=total.sub_(math.log(len(scores))),
            weights=torch.stack(weights).mean(0) if weights else None,
            normalized=True,
        )

    def select(self, rows: Tensor) -> None:
        """See `Stepper`."""
        for stepper in self.steppers:
            stepper.select(rows)

    def keep(self, sources: Tensor) -> None:
        """See `Stepper`."""
        for stepper in self.steppers:
            stepper.keep(sources)
        self.sources = len(sources)
