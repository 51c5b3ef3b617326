"""Figures of forecasts and of anomaly scores. NaN is a missing value and counts nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


def naive_error(past: ArrayLike, season: int = 1) -> float:
    """The mean absolute error of the seasonal naive forecast within the past, float [N].

    NaN where no two values are a season apart, or all of them repeat.
    Source: Hyndman and Koehler 2006, "Another look at measures of forecast accuracy", the
    denominator of the scaled error; with a season as in the M4 competition.
    """
    values = np.asarray(past, dtype=np.float64)
    errors = np.abs(values[season:] - values[:-season])
    errors = errors[~np.isnan(errors)]
    mean = float(errors.mean()) if len(errors) else 0.0
    return mean if mean > 0 else float("nan")


def absolute_errors(forecast: ArrayLike, truth: ArrayLike) -> Floats:
    """|forecast - truth|, of any shape; over `naive_error` and averaged it is MASE."""
    return np.abs(np.asarray(forecast, np.float64) - np.asarray(truth, np.float64))


def symmetric_errors(forecast: ArrayLike, truth: ArrayLike) -> Floats:
    """2 |f - y| / (|f| + |y|), 0 where both are 0; their mean is sMAPE, a share (M4)."""
    guess, value = np.asarray(forecast, np.float64), np.asarray(truth, np.float64)
    size = np.abs(guess) + np.abs(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * np.abs(guess - value) / size
    return np.where(size == 0, 0.0, found)


def interval_scores(low: ArrayLike, high: ArrayLike, truth: ArrayLike, level: float) -> Floats:
    """The interval score of central intervals of a level in (0, 1); better when lower.

    (u - l) + 2/a (l - y) 1[y < l] + 2/a (y - u) 1[y > u], with a = 1 - level.
    Source: Gneiting and Raftery 2007, "Strictly proper scoring rules", equation 43.
    """
    lower, upper, value = (np.asarray(each, np.float64) for each in (low, high, truth))
    rate = 2 / (1 - level)
    outside = np.maximum(lower - value, 0) + np.maximum(value - upper, 0)
    found: Floats = upper - lower + rate * outside
    return found


def quantile_scores(quantiles: ArrayLike, truth: ArrayLike, levels: Sequence[float]) -> Floats:
    """Pinball losses [..., Q] of quantiles [..., Q] (Koenker and Bassett 1978)."""
    error = np.asarray(truth, np.float64)[..., None] - np.asarray(quantiles, np.float64)
    tau = np.asarray(levels)
    return np.maximum(tau * error, (tau - 1) * error)


def weighted_interval_scores(
    median: ArrayLike, intervals: Mapping[float, tuple[ArrayLike, ArrayLike]], truth: ArrayLike
) -> Floats:
    """The weighted interval score of a median and K central intervals; better when lower.

    (|y - m| / 2 + sum_k a_k / 2 * IS_k) / (K + 1/2), where a_k = 1 - level_k: twice the mean
    pinball loss of all quantiles, which goes to the CRPS as they become many.
    Source: Bracher et al. 2021, "Evaluating epidemic forecasts in an interval format", equation 1.
    """
    total = 0.5 * absolute_errors(median, truth)
    for level, (low, high) in intervals.items():
        total = total + (1 - level) / 2 * interval_scores(low, high, truth, level)
    return total / (len(intervals) + 0.5)


def precision_recall(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> float:
    """The area under the precision-recall curve, as average precision; 0 without anomalies.

    sum_n (R_n - R_{n-1}) P_n over thresholds, equal scores together.

    Args:
        scores: float [N]. labels: bool [N]. weights: float [N], how often each point counts.
    """
    order, last = threshold_order(scores)
    times = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[order]
    hits = np.cumsum(times * np.asarray(labels, np.float64)[order])[last]
    alarms = np.cumsum(times)[last]
    if not len(hits) or hits[-1] == 0:
        return 0.0
    with np.errstate(invalid="ignore"):
        precision = np.where(alarms > 0, hits / np.maximum(alarms, 1e-300), 0.0)
    return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])


def threshold_order(scores: ArrayLike) -> tuple[Ints, Ints]:
    """Places by falling score, and where in that order each distinct score ends."""
    values = np.asarray(scores, np.float64)
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    return order, np.flatnonzero(np.append(ordered[1:] != ordered[:-1], len(ordered) > 0))


def best_threshold(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """The threshold whose alarms (score > threshold) have the best F1, and that F1.

    It lies halfway to the next lower score, so that it does not hang on one of them.
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.float64)
    order, last = threshold_order(values)
    hits, alarms = np.cumsum(truth[order])[last], last + 1.0
    f1 = 2 * hits / (alarms + truth.sum())
    best = int(f1.argmax())
    here = values[order[last[best]]]
    below = values[order[last[best + 1]]] if best + 1 < len(last) else here
    # No next number down: below zero it would be one that training flushes to zero.
    cut = (here + below) / 2 if below < here else here - 1e-9 * max(1.0, abs(here))
    return float(cut), float(f1[best])


def runs(marks: ArrayLike) -> list[tuple[int, int]]:
    """Where a bool [N] is True: begin and end of each run.

    >>> runs([False, True, True, False, True])
    [(1, 3), (4, 5)]
    """
    edges = np.diff(np.concatenate([[0], np.asarray(marks, np.int8), [0]]))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def event_counts(alarms: ArrayLike, labels: ArrayLike) -> tuple[int, int, int]:
    """Events that were found, runs of alarms that meet no event, events that were missed.

    An event is a run of labeled points, found where any point of it has an alarm, once.
    Source: Hundman et al. 2018, arXiv:1802.04431, section 4.2.
    """
    flags, truth = np.asarray(alarms, np.bool_), np.asarray(labels, np.bool_)
    found = sum(bool(flags[begin:end].any()) for begin, end in runs(truth))
    false = sum(not truth[begin:end].any() for begin, end in runs(flags))
    return found, false, len(runs(truth)) - found
