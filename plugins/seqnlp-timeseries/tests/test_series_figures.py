"""Figures against oracles: formulas written out, sums of pinball losses, scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from seqnlp_timeseries import figures
from sklearn.metrics import average_precision_score, f1_score

finite = st.floats(-1e3, 1e3, allow_subnormal=False)
series = arrays(np.float64, st.integers(3, 40), elements=finite)


def test_mase_is_that_of_the_paper_worked_by_hand() -> None:
    past = [1.0, 3.0, 2.0, 6.0]  # naive errors 2, 1, 4: mean 7/3
    scale = figures.naive_error(past)
    assert scale == pytest.approx(7 / 3)
    errors = figures.absolute_errors([5.0, 5.0], [6.0, 8.0])
    assert errors.mean() / scale == pytest.approx(2 * 3 / 7)


def test_the_seasonal_denominator_leaves_out_pairs_with_a_missing_value() -> None:
    past = [1.0, math.nan, 4.0, 5.0, 9.0]
    assert figures.naive_error(past, 2) == pytest.approx((3 + 5) / 2)
    assert math.isnan(figures.naive_error([2.0, 2.0, 2.0]))
    assert math.isnan(figures.naive_error([1.0, 2.0], 5))


@given(series)
def test_the_naive_forecast_has_a_scaled_error_of_one_within_its_own_past(past: object) -> None:
    values = np.asarray(past)
    scale = figures.naive_error(values)
    if not math.isnan(scale):
        errors = figures.absolute_errors(values[:-1], values[1:])
        assert errors.mean() / scale == pytest.approx(1)


def test_symmetric_errors_by_hand() -> None:
    found = figures.symmetric_errors([1.0, 0.0, -2.0], [3.0, 0.0, 2.0])
    np.testing.assert_allclose(found, [1.0, 0.0, 2.0])


@given(finite, finite, finite, st.sampled_from([0.5, 0.8, 0.95]))
def test_the_interval_score_is_the_pinball_loss_of_its_two_ends(
    one: float, other: float, truth: float, level: float
) -> None:
    low, high = sorted([one, other])
    alpha = 1 - level
    ends = [alpha / 2, 1 - alpha / 2]
    pinball = figures.quantile_scores([low, high], truth, ends).sum()
    score = figures.interval_scores(low, high, truth, level)
    assert float(score) == pytest.approx(2 / alpha * pinball, rel=1e-9, abs=1e-9)


def test_the_interval_score_by_hand() -> None:
    # Width 4; a miss by 3 at level 0.8 costs 2 / 0.2 * 3.
    assert float(figures.interval_scores(1.0, 5.0, 8.0, 0.8)) == pytest.approx(4 + 30)
    assert float(figures.interval_scores(1.0, 5.0, 0.5, 0.8)) == pytest.approx(4 + 5)
    assert float(figures.interval_scores(1.0, 5.0, 3.0, 0.8)) == pytest.approx(4)


@given(arrays(np.float64, 5, elements=finite), finite)
def test_the_weighted_interval_score_is_twice_the_mean_pinball_loss(
    drawn: object, truth: float
) -> None:
    quantiles = np.sort(np.asarray(drawn))
    levels = [0.025, 0.1, 0.5, 0.9, 0.975]
    intervals = {0.95: (quantiles[0], quantiles[4]), 0.8: (quantiles[1], quantiles[3])}
    score = figures.weighted_interval_scores(quantiles[2], intervals, truth)
    oracle = 2 * figures.quantile_scores(quantiles, truth, levels).mean()
    assert float(score) == pytest.approx(oracle, rel=1e-9, abs=1e-9)


def test_the_weighted_interval_score_of_many_intervals_nears_the_crps_of_a_gaussian() -> None:
    from scipy.stats import norm

    levels = np.linspace(0.01, 0.99, 99)
    intervals = {level: norm.interval(level) for level in levels}
    truth = 0.7
    crps = truth * (2 * norm.cdf(truth) - 1) + 2 * norm.pdf(truth) - 1 / math.sqrt(math.pi)
    score = figures.weighted_interval_scores(0.0, intervals, truth)
    assert float(score) == pytest.approx(crps, abs=0.01)


points = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30)


@given(points.filter(lambda rows: any(label for _, label in rows)))
def test_the_area_is_the_average_precision_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, labels = map(np.array, zip(*rows, strict=True))
    expected = average_precision_score(labels, scores)
    assert figures.precision_recall(scores, labels) == pytest.approx(expected)


@given(points.filter(lambda rows: any(label for _, label in rows)), st.randoms())
def test_weights_count_points_as_if_they_were_repeated(
    rows: list[tuple[int, bool]], random
) -> None:  # type: ignore[no-untyped-def]
    scores, labels = map(np.array, zip(*rows, strict=True))
    times = np.array([random.randint(0, 3) for _ in rows])
    repeated = figures.precision_recall(np.repeat(scores, times), np.repeat(labels, times))
    assert figures.precision_recall(scores, labels, times) == pytest.approx(repeated)


def test_the_area_is_zero_without_anomalies() -> None:
    assert figures.precision_recall([1.0, 2.0], [False, False]) == 0.0
    assert figures.precision_recall([], []) == 0.0


@given(points)
def test_no_threshold_has_a_better_f1(rows: list[tuple[int, bool]]) -> None:
    scores, labels = map(np.array, zip(*rows, strict=True))
    threshold, f1 = figures.best_threshold(scores, labels)
    of = lambda cut: f1_score(labels, scores > cut, zero_division=0.0)  # noqa: E731
    assert of(threshold) == pytest.approx(f1)
    assert f1 >= max(of(cut) for cut in np.arange(-0.5, 7)) - 1e-12


def test_events_are_found_once_and_false_alarms_counted_by_runs() -> None:
    labels = np.array([0, 1, 1, 0, 0, 0, 1, 0, 0, 1], dtype=bool)
    alarms = np.array([1, 1, 1, 0, 1, 1, 0, 0, 1, 0], dtype=bool)
    # The run that begins before the event meets it: no false alarm.
    assert figures.event_counts(alarms, labels) == (1, 2, 2)
