"""Figures of scores and alarms against labels, by points and by events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks import bounds, resampled
from seqnlp.types import Prediction
from seqnlp_timeseries.figures import precision_recall, runs

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CHUNK = 24
"""Values that are drawn together: an event has several."""
MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Marks:
    """labels: bool [N], the truth of each value of a series in a split, or None."""

    labels: Bools | None
    series: str


@dataclass(frozen=True, kw_only=True)
class Alarms(Prediction):
    """scores: float64 [N], over the threshold where above 1, NaN where there is none."""

    scores: Floats = field(default_factory=lambda: np.zeros(0), compare=False, repr=False)

    @property
    def flags(self) -> Bools:
        """Bool [N], True on anomalies."""
        found: Bools = self.scores > 1
        return found


def alarms_of(scores: Floats) -> Alarms:
    """The answer with these scores; places are counted from 1."""
    places = (np.flatnonzero(scores > 1) + 1).tolist()
    listed = " ".join(map(str, places[-MOST_LISTED:]))
    more = "... " if len(places) > MOST_LISTED else ""
    what = f"{len(places)} of {len(scores)} values anomalous: {more}{listed}" if places else "none"
    last = None if not len(scores) or np.isnan(scores[-1]) else float(f"{scores[-1]:.4g}")
    details = {"values": len(scores), "anomalies": places, "last_score": last}
    return Alarms(output=what, details=details, scores=scores)


def is_labeled(marks: Sequence[Marks]) -> bool:
    """Whether any value is labeled as an anomaly, without which there is nothing to score."""
    return any(own.labels is not None and bool(own.labels.any()) for own in marks)


def report_of(predictions: Sequence[Prediction], marks: Sequence[Marks]) -> dict[str, Any]:
    """Figures as JSON values with 95 % bootstrap intervals, of chunks of 24 values.

    f1: of values. event_f1: of events, an event being found where any of its values is (Hundman et
    al. 2018), without adjusting points, which flatters (Kim et al. 2022, arXiv:2109.05257).
    auc_pr: average precision of the scores. Without labels there is the share of alarms alone.
    """
    scores, labels, chunks = _pool(predictions, marks)
    alarms = scores > 1
    report: dict[str, Any] = {"examples": len(scores), "series": len(predictions)}
    size = int(chunks.max(initial=-1)) + 1
    if not is_labeled(marks):
        kinds = (alarms, np.ones(len(alarms)))
        drawn = resampled(_counts(kinds, chunks, size))
        share = float(alarms.mean()) if len(alarms) else 0.0
        report["alarms"] = {"value": share, **bounds(drawn[:, 0] / np.maximum(drawn[:, 1], 1))}
        return report
    outcomes = (alarms & labels, alarms & ~labels, ~alarms & labels)
    table = _counts(outcomes, chunks, size)
    events = _events(predictions, marks, size)
    for name, own, title in (("f1", table, "F1"), ("event_f1", events, "event F1")):
        value = float(_f1(own.sum(0)))
        report[name] = {"value": value, **bounds(_f1(resampled(own))), "name": title}
    times = resampled(np.eye(size))
    areas = np.array([precision_recall(scores, labels, drawn[chunks]) for drawn in times[:200]])
    area = precision_recall(scores, labels)
    low, high = np.quantile(areas, [0.025, 0.975])
    report["auc_pr"] = {"value": area, "low": float(low), "high": float(high), "name": "AUC-PR"}
    hits, false, missed = table.sum(0)
    found, wrong, lost = events.sum(0)
    report["points"] = {"found": int(hits), "false": int(false), "missed": int(missed)}
    report["events"] = {"found": int(found), "false": int(wrong), "missed": int(lost)}
    return report


def scores_of(predictions: Sequence[Prediction], marks: Sequence[Marks]) -> dict[str, float]:
    """f1, event_f1 and auc_pr of labeled values; nothing of others."""
    if not is_labeled(marks):
        return {}
    scores, labels, chunks = _pool(predictions, marks)
    alarms = scores > 1
    counts = np.array([(alarms & labels).sum(), (alarms & ~labels).sum(), (~alarms & labels).sum()])
    events = _events(predictions, marks, int(chunks.max(initial=-1)) + 1).sum(0)
    return {
        "f1": float(_f1(counts.astype(np.float64))),
        "event_f1": float(_f1(events)),
        "auc_pr": precision_recall(scores, labels),
    }


def _pool(
    predictions: Sequence[Prediction], marks: Sequence[Marks]
) -> tuple[Floats, Bools, NDArray[np.int64]]:
    """Scores, labels and chunks of all values that have a score."""
    scores, labels, chunks, begin = [], [], [], 0
    for answer, own in zip(predictions, marks, strict=True):
        assert isinstance(answer, Alarms)
        size = len(answer.scores)
        scores.append(answer.scores)
        labels.append(np.zeros(size, dtype=np.bool_) if own.labels is None else own.labels)
        chunks.append(begin + np.arange(size) // CHUNK)
        begin += -(-size // CHUNK)
    pooled = np.concatenate(scores)
    known = ~np.isnan(pooled)
    return pooled[known], np.concatenate(labels)[known], np.concatenate(chunks)[known]


def _counts(kinds: Sequence[NDArray[Any]], chunks: NDArray[np.int64], size: int) -> Floats:
    """How many values of each kind are in each chunk, [chunks, kinds]."""
    found = [np.bincount(chunks, kind, size).astype(np.float64) for kind in kinds]
    return np.stack(found, axis=1)


def _events(predictions: Sequence[Prediction], marks: Sequence[Marks], size: int) -> Floats:
    """Events found, false runs of alarms and events missed, [chunks, 3], where each begins."""
    table = np.zeros((size, 3))
    begin = 0
    for answer, own in zip(predictions, marks, strict=True):
        assert isinstance(answer, Alarms)
        flags = answer.flags
        labels = np.zeros(len(flags), dtype=np.bool_) if own.labels is None else own.labels
        for low, high in runs(labels):
            if not np.isnan(answer.scores[low:high]).all():
                table[min(begin + low // CHUNK, size - 1), 0 if flags[low:high].any() else 2] += 1
        for low, high in runs(flags):
            if not labels[low:high].any():
                table[min(begin + low // CHUNK, size - 1), 1] += 1
        begin += -(-len(flags) // CHUNK)
    return table


def _f1(counts: Floats) -> Floats:
    """2 TP / (2 TP + FP + FN) of counts [..., 3]; 0 where there is nothing."""
    hits = 2 * counts[..., 0]
    found: Floats = hits / np.maximum(hits + counts[..., 1] + counts[..., 2], 1)
    return found


__all__ = ["Alarms", "Marks", "alarms_of", "is_labeled", "report_of", "scores_of"]
