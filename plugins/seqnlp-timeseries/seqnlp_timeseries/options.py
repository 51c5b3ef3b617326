"""The tables `head` of recipes, and what a model keeps of how it reads series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field as Limit

from seqnlp.config import Section, Settings, validate_section
from seqnlp.data import Corpus
from seqnlp.errors import InputError
from seqnlp_timeseries.corpus import Part, parts_of
from seqnlp_timeseries.timeline import Step

Statistic = Literal["mean", "std", "median"]
LONGEST_SEASON = 366
USUAL_HORIZON = 12


class SeriesOptions(Section):
    """What both tasks have in common."""

    context: int | None = Limit(default=None, ge=1, le=100_000)
    """The most values that are read before the first that is forecast; by default two of the
    longest season, and at least three horizons."""
    seasons: tuple[int, ...] | None = None
    """Lengths of seasons in steps; by default those that are usual for the step: hours have 24 and
    168. `[]` is none."""
    scaling: Literal["window", "series"] = "window"
    """Whether values are scaled by their own window, or by the training part of their series."""
    scale_by: Statistic = "std"
    """By mean and standard deviation, by median and the middle half, or by the mean size alone."""
    calendar: bool = False
    """Read the time of day, of the week, of the month and of the year, too."""
    epoch_windows: int = Limit(default=4096, ge=1)
    """The most training windows an epoch; of more, others are drawn for each."""


class ForecastOptions(SeriesOptions):
    """The table `head` of a recipe for the task forecast."""

    horizon: int | None = Limit(default=None, ge=1, le=10_000)
    """Steps that are forecast; by default whole seasons of at least 12."""
    mode: Literal["direct", "autoregressive"] = "direct"
    """All steps at once from the state after the last value, or one after the other, each read as
    if it were a value, over sampled paths."""
    output: Literal["quantiles", "gaussian", "student"] = "quantiles"
    """Quantiles that are learned as such, or those of a distribution."""
    intervals: tuple[float, ...] = (50.0, 80.0, 95.0)
    """Central intervals in %."""
    samples: int = Limit(default=100, ge=2, le=10_000)
    """Paths that are drawn where the mode is autoregressive."""


class AnomalyOptions(SeriesOptions):
    """The table `head` of a recipe for the task anomaly."""

    score: Literal["forecast", "next", "reconstruction"] = "forecast"
    """By the error of the forecast of a whole block from what is before it, of the next value from
    all before it, or of a whole window put through a narrow vector. The next value is easily told
    from a fault that goes on, which is then taken for usual."""
    output: Literal["gaussian", "student"] = "student"
    """What the forecast is."""
    block: int | None = Limit(default=None, ge=1, le=10_000)
    """Values that are scored from one context, the values before them; by default two seasons, and
    at least 8."""
    latent: int = Limit(default=8, ge=1, le=4096)
    """Numbers of the narrow vector."""
    alarms: float = Limit(default=0.01, gt=0, lt=1)
    """The share of validation values that are above the threshold, where none is labeled."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model cuts and scales series; decided once, from settings and training series.

    horizon: targets of a window. minimum: the fewest values that are read. scales: (location,
    scale) of each series in train. step: of the training series, "3h".
    """

    horizon: int
    context: int
    minimum: int
    seasons: tuple[int, ...]
    step: str
    scaling: Literal["window", "series"]
    scale_by: Statistic
    calendar: bool
    epoch_windows: int
    scales: Mapping[str, tuple[float, float]]

    @property
    def lags(self) -> int:
        """Features of the past that each target has."""
        return 1 + 2 * len(self.seasons)

    @property
    def season(self) -> int:
        """The shortest season, 1 without any: of scaled errors."""
        return min(self.seasons, default=1)

    def state(self) -> dict[str, Any]:
        """What `restore` needs, as JSON values."""
        return asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """The plan of a state; a ValueError or TypeError where it is none."""
        scales = {
            str(name): (float(loc), float(scale)) for name, (loc, scale) in state["scales"].items()
        }
        seasons = tuple(int(season) for season in state["seasons"])
        plan = cls(**{**state, "scales": scales, "seasons": seasons})
        if min(plan.horizon, plan.context, plan.minimum, *seasons, plan.epoch_windows) < 1:
            raise ValueError(
                "horizon, context, minimum, seasons and epoch_windows must be positive"
            )
        Step.parse(plan.step)
        return plan

    def describe(self) -> str:
        """The line that a person reads when training begins."""
        seasons = " and ".join(map(str, self.seasons)) or "none"
        read = f"context {self.context}, horizon {self.horizon}"
        return f"{read}, seasons {seasons} (steps of {self.step})"


def forecast_options(settings: Settings) -> ForecastOptions:
    """The validated table `head`; a SettingsError names what is wrong."""
    return validate_section(ForecastOptions, settings.head, "head")


def anomaly_options(settings: Settings) -> AnomalyOptions:
    """The validated table `head`; a SettingsError names what is wrong."""
    return validate_section(AnomalyOptions, settings.head, "head")


def make_plan(options: SeriesOptions, horizon: int | None, corpus: Corpus) -> Plan:
    """Decide what the settings leave open, from the training series alone.

    Args:
        horizon: what the settings say of it.

    Raises:
        InputError: the training series are too short, or not all of one step.
    """
    train = corpus.split("train")
    parts = parts_of(train)
    steps = {str(part.series.timeline.step) for part in parts}
    if len(steps) > 1:
        raise InputError(f"{train.origin}: series of different steps: {', '.join(sorted(steps))}")
    length = max(len(part.series.values) for part in parts)
    step = parts[0].series.timeline.step
    usual = tuple(season for season in step.seasons if 2 * season <= length)
    seasons = usual if options.seasons is None else tuple(sorted(set(options.seasons)))
    if any(not 2 <= season <= LONGEST_SEASON for season in seasons):
        raise InputError(f"head.seasons: expected lengths of 2 to {LONGEST_SEASON}, not {seasons}")
    first = min(seasons, default=1)
    if horizon is None:
        horizon = min(first * -(-USUAL_HORIZON // first), max(1, length // 4))
    context = options.context or max(2 * max(seasons, default=0), 3 * horizon)
    context = min(context, max(1, length // 2)) if options.context is None else context
    minimum = min(context, max(4, first), max(1, length - 1))
    if length < minimum + 1:
        raise InputError(f"{train.origin}: {length} training values a series are too few")
    return Plan(
        horizon=horizon,
        context=context,
        minimum=minimum,
        seasons=seasons,
        step=str(step),
        scaling=options.scaling,
        scale_by=options.scale_by,
        calendar=options.calendar,
        epoch_windows=options.epoch_windows,
        scales={part.name: _scale(part, options.scale_by) for part in parts},
    )


def left_out(plan: Plan, given: Sequence[int] | None) -> tuple[str, ...]:
    """A note on usual seasons that the training series are too short for."""
    usual = [season for season in Step.parse(plan.step).seasons if season not in plan.seasons]
    if given is not None or not usual:
        return ()
    listed = " and ".join(map(str, usual))
    return (f"train is shorter than two seasons of {listed} steps: that season is not looked for",)


def _scale(part: Part, statistic: Statistic) -> tuple[float, float]:
    values = part.series.values
    loc, scale = location_and_scale(values[None], statistic)
    return float(loc[0]), float(scale[0])


def location_and_scale(
    values: np.ndarray[Any, np.dtype[np.float64]], statistic: Statistic
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Location and scale [B] of float [B, N] with NaN; 0 and 0 of rows without a value.

    The middle half of a Gaussian is 1.349 standard deviations wide.
    """
    known = ~np.isnan(values)
    count = np.maximum(known.sum(1), 1)
    filled = np.where(known, values, 0.0)
    if statistic == "mean":
        return np.zeros(len(values)), np.abs(filled).sum(1) / count
    if statistic == "std":
        loc = filled.sum(1) / count
        spread = np.where(known, values - loc[:, None], 0.0)
        return loc, np.sqrt((spread**2).sum(1) / count)
    some = known.any(1)
    loc, scale = np.zeros(len(values)), np.zeros(len(values))
    if some.any():
        low, middle, high = np.nanquantile(values[some], [0.25, 0.5, 0.75], axis=1)
        loc[some], scale[some] = middle, (high - low) / 1.349
    return loc, scale


def with_horizon(plan: Plan, horizon: int) -> Plan:
    """The plan for windows of another horizon."""
    return replace(plan, horizon=horizon)
