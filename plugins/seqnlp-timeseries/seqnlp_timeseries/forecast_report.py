"""Figures of forecasts: sums over windows, their bootstrap intervals, comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks import bounds, resampled
from seqnlp.types import Prediction
from seqnlp_timeseries.figures import (
    absolute_errors,
    interval_scores,
    symmetric_errors,
    weighted_interval_scores,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a forecast is scored against.

    values: float64 [H], NaN where missing. scale: the mean error of the seasonal naive forecast in
    the past of the series, the denominator of scaled figures; NaN where it has none. series,
    origin: which series, and the place of the first value in it.
    """

    values: Floats
    scale: float
    series: str
    origin: int


@dataclass(frozen=True, kw_only=True)
class Forecast(Prediction):
    """levels: of the quantiles. quantiles: float64 [H, Q]."""

    levels: tuple[float, ...] = ()
    quantiles: Floats = field(default_factory=lambda: np.zeros((0, 0)), compare=False, repr=False)

    @property
    def median(self) -> Floats:
        """Float64 [H]."""
        found: Floats = self.quantiles[:, self.levels.index(0.5)]
        return found

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """The ends, float64 [H] each, of the central interval of a level in (0, 1)."""
        low, high = (self.levels.index(round(0.5 + sign * level / 2, 6)) for sign in (-1, 1))
        return self.quantiles[:, low], self.quantiles[:, high]

    @property
    def intervals(self) -> tuple[float, ...]:
        """The levels in (0, 1) of its central intervals."""
        return tuple(round(2 * level - 1, 6) for level in self.levels if level > 0.5)


def forecast_of(quantiles: Floats, levels: tuple[float, ...]) -> Forecast:
    """The answer with quantiles float64 [H, Q]: medians, and a narrow interval of each."""
    bare = Forecast(output="", levels=levels, quantiles=quantiles)
    ends = {f"{100 * level:g}": bare.interval(level) for level in bare.intervals}
    shown = bare.interval(0.8 if 0.8 in bare.intervals else bare.intervals[0]) if ends else None
    words = [f"{value:.4g}" for value in bare.median]
    if shown is not None:
        words = [
            f"{word} [{low:.4g}, {high:.4g}]" for word, low, high in zip(words, *shown, strict=True)
        ]
    return Forecast(
        output="  ".join(words),
        details={
            "forecast": _plain(bare.median),
            "intervals": {
                name: {"low": _plain(low), "high": _plain(high)}
                for name, (low, high) in ends.items()
            },
        },
        levels=levels,
        quantiles=quantiles,
    )


def _plain(values: Floats) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


class Sums:
    """Sums over the targets of each window, of which all figures are functions.

    Columns: targets with a scale, those of all; errors over the scale, symmetric ones, squared
    ones, weighted interval scores over the scale; then of each interval hits and scores over the
    scale.
    """

    def __init__(self, predictions: Sequence[Prediction], truths: Sequence[Truth]) -> None:
        first = predictions[0]
        assert isinstance(first, Forecast)
        self.intervals = first.intervals
        self.table = np.array([self._row(*pair) for pair in zip(predictions, truths, strict=True)])

    def _row(self, forecast: Prediction, truth: Truth) -> list[float]:
        assert isinstance(forecast, Forecast)
        known = ~np.isnan(truth.values)
        y, median = truth.values[known], forecast.median[known]
        ends = {}
        for level in self.intervals:
            low, high = forecast.interval(level)
            ends[level] = low[known], high[known]
        scaled = 0.0 if np.isnan(truth.scale) else 1 / truth.scale
        errors = absolute_errors(median, y)
        weighted = weighted_interval_scores(median, ends, y)
        row = [
            len(y) * (scaled > 0), len(y), scaled * errors.sum(), symmetric_errors(median, y).sum(),
            (errors**2).sum(), scaled * weighted.sum(),
        ]  # fmt: skip
        for level, (low, high) in ends.items():
            row.append(((low <= y) & (y <= high)).sum())
            row.append(scaled * interval_scores(low, high, y, level).sum())
        return [float(value) for value in row]

    def figures(self, sums: Floats) -> dict[str, Floats]:
        """Figures of sums float [..., F], by name."""
        scaled, every = (np.maximum(sums[..., i], 1) for i in (0, 1))
        found = {
            "mase": sums[..., 2] / scaled,
            "smape": sums[..., 3] / every,
            "wis": sums[..., 5] / scaled,
        }
        for i, level in enumerate(self.intervals):
            found[f"coverage_{100 * level:g}"] = sums[..., 6 + 2 * i] / every
        for i, level in enumerate(self.intervals):
            found[f"interval_score_{100 * level:g}"] = sums[..., 7 + 2 * i] / scaled
        found["rmse"] = np.sqrt(sums[..., 4] / every)
        return found


NAMES = {"mase": "MASE", "smape": "sMAPE", "wis": "WIS"}
IN_PERCENT = ("smape", "coverage")


def scores_of(predictions: Sequence[Prediction], truths: Sequence[Truth]) -> dict[str, float]:
    """All figures, by name; see `report_of`."""
    sums = Sums(predictions, truths)
    return {name: float(value) for name, value in sums.figures(sums.table.sum(0)).items()}


def report_of(predictions: Sequence[Prediction], truths: Sequence[Truth]) -> dict[str, Any]:
    """Figures as JSON values, MASE, sMAPE, WIS and coverage with 95 % bootstrap intervals.

    MASE, WIS and interval scores are over the error of the seasonal naive forecast in each series'
    past, so that series of any size count alike; RMSE is in their own units. Windows are drawn as a
    whole; those that follow each other are not independent, so that the intervals are a little
    narrow.
    """
    sums = Sums(predictions, truths)
    values = sums.figures(sums.table.sum(0))
    drawn = sums.figures(resampled(sums.table))
    report: dict[str, Any] = {
        "examples": len(predictions),
        "series": len({t.series for t in truths}),
    }
    for name, value in values.items():
        shown = name in NAMES or name in ("coverage_80", "coverage_95")
        report[name] = _figure(name, float(value), drawn[name]) if shown else float(value)
    errors = np.array([_scaled(p, t) for p, t in zip(predictions, truths, strict=True)])
    counts = (~np.isnan(errors)).sum(0)
    report["mase_by_step"] = [
        float(total / count) if count else None
        for total, count in zip(np.nansum(errors, axis=0), counts, strict=True)
    ]
    return report


def compare_forecasts(
    first: Sequence[Prediction], second: Sequence[Prediction], truths: Sequence[Truth]
) -> dict[str, dict[str, Any]]:
    """MASE, sMAPE and WIS of two models by the same resamples of windows; see `Task.compare`."""
    pair = [Sums(each, truths) for each in (first, second)]
    values = [sums.figures(sums.table.sum(0)) for sums in pair]
    drawn = [sums.figures(resampled(sums.table)) for sums in pair]
    made: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        one, other = (float(each[name]) for each in values)
        changes = drawn[1][name] - drawn[0][name]
        centered = np.abs(changes - changes.mean())
        made[name] = {
            "name": NAMES[name],
            "unit": "%" if name.startswith(IN_PERCENT) else "plain",
            "better": "lower",
            "first": one,
            "second": other,
            "difference": {"value": other - one, **bounds(changes)},
            "wins": float((changes < 0).mean()),
            "p_value": float((centered >= abs(other - one)).sum() + 1) / (len(changes) + 1),
        }
    return made


def _figure(name: str, value: float, drawn: Floats) -> dict[str, Any]:
    figure: dict[str, Any] = {"value": value, **bounds(drawn)}
    figure["unit"] = "%" if name.startswith(IN_PERCENT) else "plain"
    if name in NAMES:
        figure |= {"name": NAMES[name], "better": "lower"}
    else:
        figure["name"] = f"cover {name.removeprefix('coverage_')}"
    return figure


def _scaled(forecast: Prediction, truth: Truth) -> Floats:
    assert isinstance(forecast, Forecast)
    return absolute_errors(forecast.median, truth.values) / truth.scale


_COLUMNS = {"mase": "MASE", "smape": "sMAPE", "rmse": "RMSE", "wis": "WIS",
            "coverage_80": "cover 80", "coverage_95": "cover 95"}  # fmt: skip


def columns_of(found: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The titles of the figures that `rows_of` shows."""
    first = next(iter(found.values()))
    return [title for name, title in _COLUMNS.items() if name in first]


def rows_of(found: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Figures of systems as cells of a table, by name; sMAPE and coverage in %."""
    return [(system, *(_cell(name, own[name]) for name in _COLUMNS if name in own))
            for system, own in found.items()]  # fmt: skip


def _cell(name: str, value: float) -> str:
    return f"{100 * value:.1f}" if name.startswith(IN_PERCENT) else f"{value:.3f}"
