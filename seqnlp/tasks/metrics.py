"""Figures of classifiers, from counts of (reference, prediction) pairs, and what others share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def intervals_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The figures of a report that have an interval, by name; what tables and cards show.

    A figure is a mapping with `value`, `low` and `high`: shares of one, unless its `unit` is
    "points" of a hundred, or "plain" for a number that has none. It may have a `name` and a number
    of `digits` of its own, and `better` is "lower" where it is.
    """
    return {
        name: figure
        for name, figure in report.items()
        if isinstance(figure, Mapping) and {"value", "low", "high"} <= set(figure)
    }


def figures_of(reports: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The figures of the first report that a table of all of them shows.

    Where all texts are of one line, ROUGE-Lsum is ROUGE-L again, and left out.
    """
    found = intervals_of(reports[0]) if reports else {}
    both = [(each["rougeL"], each["rougeLsum"]) for each in reports if "rougeLsum" in each]
    if all(math.isclose(line["value"], lines["value"]) for line, lines in both):
        found.pop("rougeLsum", None)
    return found


def against_others(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and figures for references by other writers, where a report has any."""
    others = report.get("others")
    if others is not None:
        count = f"{others['each']:.1f}".removesuffix(".0")
        for name in ("mean", "best"):
            yield f"{name} of {count} other references", others[name]


def signatures(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """How figures were computed: the names of those of a kind, and their signature."""
    names: dict[str, list[str]] = {}
    for name, figure in figures.items():
        if "signature" in figure:
            names.setdefault(figure["signature"], []).append(heading(name, figure))
    return {", ".join(own): signature for signature, own in names.items()}


def in_hundreds(figure: Mapping[str, Any]) -> tuple[float, float, float]:
    """Value, low and high of a figure as people read them: in %, in points, or as it is."""
    scale = scale_of(figure)
    return scale * figure["value"], scale * figure["low"], scale * figure["high"]


def scale_of(figure: Mapping[str, Any]) -> int:
    """What makes the number that people read of the one that is kept."""
    return 100 if figure.get("unit") in (None, "%") else 1


def digits_of(figure: Mapping[str, Any]) -> int:
    """After the point, as people read it: a number without a unit is often near one.

    A figure may say it by its `digits`.
    """
    return int(figure.get("digits", 3 if figure.get("unit") == "plain" else 1))


def heading(name: str, figure: Mapping[str, Any]) -> str:
    """What a figure is called in a table: "macro-F1", "BLEU"."""
    return str(figure.get("name", name.replace("_f1", "-F1")))


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


def p_value(sampled: Floats, found: float) -> float:
    """How probable a difference as far from zero, of either sign, is if there is none.

    That is the share of resamples whose difference is as far from their mean. Ties count, so that
    two systems of the same answers do not differ.

    Args:
        sampled: float [R], differences in the resamples. found: that of the corpus.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 16.4.
    """
    # Differences that are equal on paper differ in their last bits.
    far = np.abs(sampled - sampled.mean()) >= abs(found) * (1 - 1e-9)
    return float(far.sum() + 1) / (len(sampled) + 1)


def paired_comparison(
    references: Counts,
    first: Counts,
    second: Counts,
    classes: int,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Paired bootstrap of two classifiers' answers to the same examples: accuracy and macro-F1.

    Every resample draws examples with replacement, the same for both. first, second: the figures.
    difference: second - first with its 95 % interval. wins: the share of resamples in which the
    second is better. p_value: how probable a difference this large, of either sign, would be if
    there were none.

    Args:
        references, first, second: int64 [N], numbers of classes.
    Source: Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation".
    """
    generator = np.random.default_rng(seed)
    cells = [references * classes + answers for answers in (first, second)]
    kinds = {"accuracy": accuracy, "macro_f1": macro_f1}
    # The first row is of the examples themselves.
    values = np.empty((len(kinds), resamples + 1, 2))
    for number in range(resamples + 1):
        drawn = generator.integers(0, len(references), len(references)) if number else slice(None)
        counts = np.stack([np.bincount(own[drawn], minlength=classes**2) for own in cells])
        for row, figure in zip(values, kinds.values(), strict=True):
            row[number] = figure(counts.reshape(2, classes, classes))
    made = {}
    for name, row in zip(kinds, values, strict=True):
        changes = row[:, 1] - row[:, 0]
        low, high = np.quantile(changes[1:], [0.025, 0.975])
        made[name] = {
            "first": float(row[0, 0]),
            "second": float(row[0, 1]),
            "difference": {"value": float(changes[0]), "low": float(low), "high": float(high)},
            "wins": float((changes[1:] > 0).mean()),
            "p_value": p_value(changes[1:], float(changes[0])),
        }
    return made


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
