"""How the next trial is drawn, and which trials are ended before their last epoch."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seqnlp.errors import SettingsError
from seqnlp.tuning.space import Choice, Dimension, Space

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "random", "grid", "gp")
PRUNERS = ("halving", "median", "none")


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """What draws trials, each from a seed of its own: a study that goes on repeats no draw.

    The seed follows from the number that the database has given the trial, so that processes that
    ask at the same moment get different ones.

    Args:
        name: one of `SAMPLERS`.
    """
    from optuna.samplers import BaseSampler

    class Numbered(BaseSampler):
        own: BaseSampler

        def before_trial(self, study: Any, trial: Any) -> None:
            self.own = _sampler_of(name, seed, trial.number)

        def infer_relative_search_space(self, study: Any, trial: Any) -> Any:
            return self.own.infer_relative_search_space(study, trial)

        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> Any:
            return self.own.sample_relative(study, trial, search_space)

        def sample_independent(self, study: Any, trial: Any, *param: Any) -> Any:
            return self.own.sample_independent(study, trial, *param)

    return Numbered()


def _sampler_of(name: str, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """What draws the trial of a number.

    tpe: Bergstra et al. 2011. gp: a Gaussian process with expected improvement (Jones et al. 1998).
    """
    from optuna import samplers

    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if name == "tpe":
        return samplers.TPESampler(seed=drawn, n_startup_trials=8)
    if name == "gp":
        return samplers.GPSampler(seed=drawn, n_startup_trials=8, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=drawn)


def make_pruner(name: str) -> optuna.pruners.BasePruner:
    """What ends a trial early.

    halving: after epochs 2, 6, 18, ... only the best third of the trials so far goes on (Li et al.
    2020, arXiv:1810.05934). median: whoever is worse than the median of the others at their epoch
    ends, once five trials are through.
    """
    from optuna import pruners

    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    return pruners.NopPruner()


def distributions(space: Space) -> dict[str, optuna.distributions.BaseDistribution]:
    """A space as Optuna has it."""
    return {key: _distribution(dimension) for key, dimension in space.items()}


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.labels)
    if dimension.whole:
        return IntDistribution(
            int(dimension.low),
            int(dimension.high),
            log=dimension.log,
            step=int(dimension.step or 1),
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def grid_points(space: Space, seed: int) -> list[dict[str, object]]:
    """All combinations, in an order that the seed decides.

    Raises:
        SettingsError: an interval that has no step.
    """
    values = []
    for key, dimension in space.items():
        found = dimension.grid()
        if found is None:
            raise SettingsError(
                f"--search {key}={dimension}: a grid has no end in an interval without a step; "
                "name values, such as 0.001,0.003,0.01, or another --sampler"
            )
        values.append(found)
    points = [dict(zip(space, each, strict=True)) for each in itertools.product(*values)]
    random.Random(seed).shuffle(points)
    return points


def next_point(
    points: Iterable[Mapping[str, object]], tried: Iterable[Mapping[str, Any]]
) -> dict[str, object] | None:
    """The first point of a grid that no trial has had."""
    known = [dict(each) for each in tried]
    return next((dict(point) for point in points if dict(point) not in known), None)
