"""Figures of classifiers, from counts of (reference, prediction) pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(references: Counts, predictions: Counts, classes: int) -> Counts:
    """Counts int64 [K, K], rows by reference and columns by prediction, from int64 [N] each."""
    pairs = references * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def accuracy(counts: Counts) -> Floats:
    """Share of the diagonal in counts [..., K, K]; 0 where there are none."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum((-2, -1)))


def precision_recall(counts: Counts) -> tuple[Floats, Floats]:
    """Precision and recall [..., K] of counts [..., K, K]; 0 where undefined."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return _ratio(hits, counts.sum(-2)), _ratio(hits, counts.sum(-1))


def f1(counts: Counts) -> Floats:
    """F1 [..., K] of counts [..., K, K]: 2 TP / (2 TP + FP + FN); 0 where undefined."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return _ratio(2 * hits, counts.sum(-2) + counts.sum(-1))


def macro_f1(counts: Counts) -> Floats:
    """Mean F1 over the classes that occur among references or predictions."""
    present = (counts.sum(-1) + counts.sum(-2)) > 0
    return _ratio(f1(counts).sum(-1), present.sum(-1))


def calibration_error(probabilities: Floats, correct: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy, by bins of confidence.

    Args:
        probabilities: float [N], of the predicted class. correct: bool [N].
    Source: Guo et al. 2017, arXiv:1706.04599, equation 3.
    """
    numbers = np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
    confidence = np.bincount(numbers, weights=probabilities, minlength=bins)
    hits = np.bincount(numbers, weights=correct, minlength=bins)
    return float(np.abs(confidence - hits).sum() / max(len(probabilities), 1))


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with the bounds of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def intervals_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """The figures of a report that have an interval, by name; what tables and cards show."""
    return {
        name: figure
        for name, figure in report.items()
        if isinstance(figure, Mapping) and set(figure) == {"value", "low", "high"}
    }


def bootstrap(
    counts: Counts, figure: Callable[[Counts], Floats], *, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap over examples (Efron 1979).

    Resampling N examples with replacement draws the confusion counts from a multinomial, so the
    examples themselves are not needed.

    Args:
        counts: int64 [K, K]. figure: maps counts [..., K, K] to [...].
    """
    total = int(counts.sum())
    if total == 0:
        return Interval(value=0.0, low=0.0, high=0.0)
    shares = counts.reshape(-1) / total
    draws = np.random.default_rng(seed).multinomial(total, shares, size=resamples)
    values = figure(draws.reshape(resamples, *counts.shape))
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(value=float(figure(counts)), low=float(low), high=float(high))


def classification_report(
    references: Counts, predictions: Counts, labels: tuple[str, ...], confidence: Floats | None
) -> dict[str, Any]:
    """Every figure of a classifier as JSON values.

    Args:
        references, predictions: int64 [N], numbers into `labels`.
        confidence: float [N], the probability of the predicted class, for calibration.
    """
    counts = confusion(references, predictions, len(labels))
    precision, recall = precision_recall(counts)
    scores = f1(counts)
    report: dict[str, Any] = {
        "examples": len(references),
        "accuracy": asdict(bootstrap(counts, accuracy)),
        "macro_f1": asdict(bootstrap(counts, macro_f1)),
        "classes": {
            label: {
                "precision": float(precision[k]),
                "recall": float(recall[k]),
                "f1": float(scores[k]),
                "support": int(counts[k].sum()),
            }
            for k, label in enumerate(labels)
        },
        "confusion": counts.tolist(),
    }
    if confidence is not None:
        report["calibration_error"] = calibration_error(confidence, references == predictions)
    return report


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    quotient: Floats = np.divide(
        part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0
    )
    return quotient
