"""Baselines by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from seqnlp_timeseries.baselines import drift, forecast, methods, naive, seasonal_naive

PAST = np.array([1.0, 4.0, 2.0, 6.0, 3.0])
LEVELS = (0.1, 0.5, 0.9)


def test_the_last_value_and_a_random_walk_around_it() -> None:
    means, spreads = naive(PAST, 4)
    np.testing.assert_array_equal(means, [3, 3, 3, 3])
    sigma = math.sqrt((9 + 4 + 16 + 9) / 4)
    np.testing.assert_allclose(spreads, sigma * np.sqrt([1, 2, 3, 4]))


def test_the_last_season() -> None:
    means, spreads = seasonal_naive(PAST, 5, season=2)
    np.testing.assert_array_equal(means, [6, 3, 6, 3, 6])
    sigma = math.sqrt((1 + 4 + 1) / 3)
    np.testing.assert_allclose(spreads, sigma * np.sqrt([1, 1, 2, 2, 3]))
    np.testing.assert_array_equal(seasonal_naive(PAST, 2, season=9)[0], [3, 3])


def test_the_line_through_the_ends() -> None:
    means, spreads = drift(PAST, 2)
    np.testing.assert_allclose(means, [3.5, 4.0])
    residuals = np.diff(PAST) - 0.5
    sigma = math.sqrt((residuals**2).mean())
    np.testing.assert_allclose(spreads, sigma * np.sqrt([1 * 1.25, 2 * 1.5]))


def test_missing_values_are_those_before_them_and_intervals_are_normal() -> None:
    answer = forecast(naive, np.array([math.nan, 1.0, math.nan, 3.0, math.nan]), 1, LEVELS)
    assert answer.median.tolist() == [3]
    sigma = math.sqrt((0 + 4 + 0) / 3)
    low, high = answer.interval(0.8)
    assert float(high[0]) == pytest.approx(3 + 1.2815515655 * sigma)
    assert float(low[0]) == pytest.approx(3 - 1.2815515655 * sigma)


def test_there_is_one_for_each_season() -> None:
    assert list(methods((8, 56))) == ["seasonal naive (8)", "seasonal naive (56)", "naive", "drift"]
    assert list(methods((7,))) == ["seasonal naive", "naive", "drift"]
    assert list(methods(())) == ["naive", "drift"]
