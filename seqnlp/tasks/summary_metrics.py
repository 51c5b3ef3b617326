"""Figures of summaries: ROUGE in points with intervals, and what they repeat, copy and make up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from seqnlp.data.split import Split
from seqnlp.tasks import originality
from seqnlp.tasks.metrics import Floats, p_value
from seqnlp.tasks.resampling import RESAMPLES, SEED, resampled
from seqnlp.tasks.rouge import KINDS, Rouge

QUICK = ("rouge1", "rouge2", "rougeL")
LIKENESS = (0.0, 0.2, 0.5, 0.8)
"""The least similarity of each bucket."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What a summary is scored against.

    summary: the reference. others: by other writers, scored apart. document: what is summarized.
    similarity: cosine of TF-IDF to the nearest document of train, where it is known.
    """

    summary: str
    others: tuple[str, ...] = ()
    document: str = ""
    similarity: float | None = None


def references_of(split: Split) -> list[Reference]:
    """The references of a split with fields document, summary and, perhaps, references."""
    others: Iterable[Sequence[str]] = [()] * len(split)
    if "references" in split.fields:
        others = split.column("references")
    rows = zip(split.column("summary"), split.column("document"), others, strict=True)
    return [
        Reference(summary=summary, document=document, others=tuple(own))
        for summary, document, own in rows
    ]


def score(outputs: Sequence[str], references: Sequence[Reference]) -> dict[str, float]:
    """ROUGE-1, 2 and L of a corpus in points: means of F1 over the examples, with stemming; quick.

    >>> score(["the cat sat"], [Reference(summary="The cats sat.")])
    {'rouge1': 100.0, 'rouge2': 100.0, 'rougeL': 100.0}
    """
    summaries = _summaries(outputs, references)
    means = Rouge(summaries).measure(outputs, summaries, QUICK).mean(0)
    return dict(zip(QUICK, means.tolist(), strict=True))


def report(outputs: Sequence[str], references: Sequence[Reference]) -> dict[str, Any]:
    """Every figure as JSON values.

    examples: how many. rouge1, rouge2, rougeL, rougeLsum: `value`, and `low` and `high` of its
    95 % bootstrap interval over the examples, in points. others: where there are references by
    others, how many `examples` have them, how many `each` has on average, and the same figures
    against those alone, as their `mean` and as the `best` of each example. similarity: figures by
    likeness to train, where it is known. What `originality.report` gives: length_ratio,
    repetition, novelty, copied.

    Source: Lin 2004; the interval is that of rouge-score's BootstrapAggregator, by other draws.
    """
    summaries = _summaries(outputs, references)
    rouge = Rouge(summaries)
    points = rouge.measure(outputs, summaries)
    made: dict[str, Any] = {
        "examples": len(references),
        **_figures(points, _signature(rouge, 1)),
        **originality.report(outputs, [each.document for each in references], summaries),
    }
    mean, best = _against_others(rouge, outputs, references)
    count = np.array([len(each.others) for each in references])
    chosen = count > 0
    if chosen.any():
        signature = _signature(rouge, int(count.max()))
        made["others"] = {
            "examples": int(chosen.sum()),
            "each": float(count[chosen].mean()),
            "mean": _figures(mean[chosen], signature),
            "best": _figures(best[chosen], signature),
        }
    made |= _by_similarity(references, {"": points, "mean": mean, "best": best})
    return made


def compare(
    first: Sequence[str], second: Sequence[str], references: Sequence[Reference]
) -> dict[str, dict[str, Any]]:
    """Paired bootstrap resampling of two systems' summaries of the same documents, by ROUGE.

    first, second: the figures in points. difference: second - first with its 95 % interval.
    wins: the share of resamples in which the second system is better than the first.
    p_value: how probable a difference this large would be if there were none, of either sign.

    Source: Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation".
    """
    summaries = _summaries(first, references)
    _summaries(second, references)
    rouge = Rouge(summaries)
    a, b = (rouge.measure(outputs, summaries) for outputs in (first, second))
    changes = _means(b - a)
    made = {}
    for column, (kind, name) in enumerate(KINDS.items()):
        change = float((b - a)[:, column].mean())
        made[kind] = {
            "name": name,
            "unit": "points",
            "first": float(a[:, column].mean()),
            "second": float(b[:, column].mean()),
            "difference": {"value": change, **_interval(changes[:, column])},
            "wins": float((changes[:, column] > 0).mean()),
            "p_value": p_value(changes[:, column], change),
            "signature": _signature(rouge, 1),
        }
    return made


def _summaries(outputs: Sequence[str], references: Sequence[Reference]) -> list[str]:
    if not len(outputs) == len(references) > 0:
        raise ValueError(
            f"{len(outputs)} summaries and {len(references)} references: expected as many, and at "
            "least one"
        )
    return [each.summary for each in references]


def _against_others(
    rouge: Rouge, outputs: Sequence[str], references: Sequence[Reference]
) -> tuple[Floats, Floats]:
    """Mean and best of the figures against the references by others, float [N, F] each.

    Zero where an example has none.
    """
    pairs = [(row, other) for row, each in enumerate(references) for other in each.others]
    rows = np.array([row for row, _ in pairs], dtype=np.int64)
    found = rouge.measure([outputs[row] for row in rows], [other for _, other in pairs])
    total, best = np.zeros((2, len(references), len(KINDS)))
    np.add.at(total, rows, found)
    np.maximum.at(best, rows, found)
    count = np.bincount(rows, minlength=len(references))
    return total / np.maximum(count, 1)[:, None], best


def _by_similarity(
    references: Sequence[Reference], points: Mapping[str, Floats]
) -> dict[str, list[dict[str, Any]]]:
    """Buckets of examples by likeness to train, those that have any; none where it is not known.

    points: float [N, F] against the reference (""), and the mean and best of others.
    """
    if any(each.similarity is None for each in references):
        return {}
    likeness = np.array([each.similarity for each in references])
    has_others = np.array([bool(each.others) for each in references])
    buckets = []
    for begin, end in pairwise((*LIKENESS, None)):
        inside = (likeness >= begin) & (likeness < (np.inf if end is None else end))
        if begin == 0:
            inside |= likeness < 0
        if not inside.any():
            continue
        bucket: dict[str, Any] = {
            "from": begin,
            "to": end,
            "examples": int(inside.sum()),
            **_row(points[""][inside]),
        }
        if (told := inside & has_others).any():
            bucket["others"] = {key: _row(points[key][told]) for key in ("mean", "best")}
        buckets.append(bucket)
    return {"similarity": buckets}


def _figures(points: Floats, signature: str) -> dict[str, dict[str, Any]]:
    """Means of points [N, F] over the examples, with their intervals."""
    sampled = _means(points)
    return {
        kind: {
            "value": value,
            **_interval(sampled[:, column]),
            "unit": "points",
            "name": KINDS[kind],
            "signature": signature,
        }
        for column, (kind, value) in enumerate(_row(points).items())
    }


def _row(points: Floats) -> dict[str, float]:
    return dict(zip(KINDS, points.mean(0).tolist(), strict=True))


def _means(points: Floats) -> Floats:
    """Resampled means float [R, F] of points [N, F]."""
    means: Floats = resampled(points) / len(points)
    return means


def _interval(values: Floats) -> dict[str, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def _signature(rouge: Rouge, references: int) -> str:
    return f"nrefs:{references}|bs:{RESAMPLES}|seed:{SEED}|f1|{rouge.signature}"
