"""Forecasts that anybody should beat: the last value, the last season, the line through the ends.

Intervals are those of a normal distribution around them, whose variance grows with the horizon as
it does for each method. Source: Hyndman and Athanasopoulos, "Forecasting: Principles and Practice",
3rd edition, sections 5.2 and 5.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp_timeseries.forecast_report import Forecast, forecast_of

Floats = NDArray[np.float64]
Method = Callable[[Floats, int], tuple[Floats, Floats]]
"""Past float [N] without NaN, and a horizon, to means and standard deviations float [H]."""


def naive(past: Floats, horizon: int) -> tuple[Floats, Floats]:
    """The last value."""
    steps = np.arange(1, horizon + 1)
    return np.full(horizon, past[-1]), _spread(np.diff(past)) * np.sqrt(steps)


def seasonal_naive(past: Floats, horizon: int, *, season: int) -> tuple[Floats, Floats]:
    """The last value of the same season; of a past that is shorter than one, the last value."""
    if len(past) < season:
        return naive(past, horizon)
    steps = np.arange(horizon)
    means = past[-season:][steps % season]
    return means, _spread(past[season:] - past[:-season]) * np.sqrt(steps // season + 1)


def drift(past: Floats, horizon: int) -> tuple[Floats, Floats]:
    """The line through the first and the last value, drawn on."""
    steps = np.arange(1, horizon + 1)
    slope = (past[-1] - past[0]) / max(len(past) - 1, 1)
    spread = _spread(np.diff(past) - slope)
    return past[-1] + slope * steps, spread * np.sqrt(steps * (1 + steps / max(len(past) - 1, 1)))


def methods(seasons: Sequence[int]) -> dict[str, Method]:
    """All of them by name; one seasonal naive for each season."""
    several = len(seasons) > 1
    found: dict[str, Method] = {
        f"seasonal naive{f' ({season})' if several else ''}": partial(seasonal_naive, season=season)
        for season in seasons
    }
    return {**found, "naive": naive, "drift": drift}


def forecast(method: Method, past: Floats, horizon: int, levels: tuple[float, ...]) -> Forecast:
    """The answer of a method to a past float [N], whose missing values are those before them."""
    known = past[~np.isnan(past)]
    filled = _filled(past) if len(known) else np.zeros(1)
    means, spreads = method(filled, horizon)
    units = torch.special.ndtri(torch.tensor(levels, dtype=torch.float64)).numpy()
    return forecast_of(means[:, None] + spreads[:, None] * units, levels)


def _filled(past: Floats) -> Floats:
    begun = past[np.flatnonzero(~np.isnan(past))[0] :]
    places = np.where(np.isnan(begun), 0, np.arange(len(begun)))
    filled: Floats = begun[np.maximum.accumulate(places)]
    return filled


def _spread(errors: Floats) -> float:
    return float(np.sqrt((errors**2).mean())) if len(errors) else 0.0
