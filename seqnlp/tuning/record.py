"""What is known of the trials of a study: values, figures, and how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from seqnlp.config import Settings
from seqnlp.tuning.space import Space

if TYPE_CHECKING:
    import optuna

AS_IT_IS = "as_it_is"
"""Marks the trial of the settings without the search."""
COUNTED = ("complete", "pruned", "failed")
"""Ends after which a trial is not tried again."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """A trial.

    Attributes:
        number: from 0.
        values: key of the settings to value; none of the trial of the settings as they are, where
            these are outside of what is searched through.
        status: "complete", "pruned", "failed", "interrupted", "lost" or "running".
        figure: the monitored figure on validation; of a pruned trial, until then.
        epoch: whose weights have it.
        epochs: how many were trained.
        course: epoch to figure.
        reason: why it failed.
        as_it_is: it is the trial of the settings without the search.
    """

    number: int
    values: dict[str, object]
    status: str
    figure: float | None = None
    epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""
    as_it_is: bool = False
    course: dict[int, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a search has found.

    Attributes:
        name: of the study.
        settings: the best, completed; those without the search where no trial is complete.
        monitor: the figure that trials are compared by.
        maximize: greater is better.
        space: what was searched through.
        trials: all of the study, by number.
        importances: key to its share in what the figure varies by, of the complete trials.
        interrupted: Ctrl-C has ended it.
        seconds: that this search has taken; earlier ones of the study are not counted.
    """

    name: str
    settings: Settings
    monitor: str
    maximize: bool
    space: Space
    trials: Sequence[TrialRecord]
    importances: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def best(self) -> TrialRecord | None:
        """The complete trial of the best figure, the first of equal ones."""
        return best_of(self.trials, maximize=self.maximize)

    @property
    def default(self) -> TrialRecord | None:
        """The trial of the settings without the search."""
        return next((t for t in self.trials if t.as_it_is and t.status in COUNTED), None)

    def count(self, status: str) -> int:
        """How many trials ended so."""
        return sum(trial.status == status for trial in self.trials)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        best, default = self.best, self.default
        return {
            "study": self.name,
            "monitor": self.monitor,
            "better": "higher" if self.maximize else "lower",
            "search": {key: str(dimension) for key, dimension in self.space.items()},
            "best": None if best is None else best.as_dict(),
            "default": None if default is None else default.as_dict(),
            "importances": dict(self.importances),
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "trials": [trial.as_dict() for trial in self.trials],
        }


def best_of(trials: Sequence[TrialRecord], *, maximize: bool) -> TrialRecord | None:
    """The complete trial of the best figure, the first of equal ones."""
    complete = [t for t in trials if t.status == "complete" and t.figure is not None]
    sign = 1 if maximize else -1
    return max(complete, key=lambda t: (sign * (t.figure or 0.0), -t.number), default=None)


def record_of(trial: optuna.trial.FrozenTrial, space: Space) -> TrialRecord:
    """A trial of Optuna's, as a record."""
    known = trial.user_attrs
    status = known.get("status") or ("lost" if trial.state.is_finished() else "running")
    return TrialRecord(
        number=trial.number,
        values={key: space[key].value(drawn) for key, drawn in trial.params.items()},
        status=status,
        figure=known.get("figure"),
        epoch=known.get("epoch"),
        epochs=known.get("epochs", 0),
        seconds=known.get("seconds", 0.0),
        reason=known.get("reason", ""),
        as_it_is=AS_IT_IS in known,
        course=dict(trial.intermediate_values),
    )
