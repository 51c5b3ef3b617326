"""Error rates of recognized texts: characters and words, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks import Interval, bounds, resampled

Floats = NDArray[np.float64]

NAMES = {"cer": "CER", "wer": "WER"}


def edit_distance(first: Sequence[Any], second: Sequence[Any]) -> int:
    """The fewest insertions, deletions and substitutions that make one of the other.

    Row by row: what a row would be without insertions, then the least over all that end in each
    place. Source: Levenshtein 1966; Wagner and Fischer 1974.
    """
    numbers: dict[Any, int] = {}
    one, other = (
        np.array([numbers.setdefault(item, len(numbers)) for item in items], dtype=np.int64)
        for items in (first, second)
    )
    places = np.arange(len(other) + 1)
    row = places.copy()
    for item in one:
        without = np.concatenate(
            [[row[0] + 1], np.minimum(row[1:] + 1, row[:-1] + (other != item))]
        )
        row = np.minimum.accumulate(without - places) + places
    return int(row[-1])


def statistics(outputs: Sequence[str], references: Sequence[str]) -> Floats:
    """Float [N, 5]: errors and reference length in characters, the same in words, whether right."""
    rows = np.empty((len(outputs), 5))
    for row, output, reference in zip(rows, outputs, references, strict=True):
        words, said = reference.split(), output.split()
        row[:] = (
            edit_distance(reference, output), len(reference),
            edit_distance(words, said), len(words), output == reference,
        )  # fmt: skip
    return rows


def rates_of(sums: Floats) -> dict[str, Floats]:
    """The figures cer and wer [...]: all errors by all references, sums of `statistics` [..., 5].

    They may be more than 1. Where nothing was said, each error counts as a whole one.
    """
    return {
        "cer": sums[..., 0] / np.maximum(sums[..., 1], 1),
        "wer": sums[..., 2] / np.maximum(sums[..., 3], 1),
    }


def error_report(outputs: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """CER and WER with 95 % bootstrap intervals, and the share of utterances without an error."""
    found = statistics(outputs, references)
    report: dict[str, Any] = {"examples": len(found)}
    if not len(found):
        return report
    values, drawn = rates_of(found.sum(0)), rates_of(resampled(found))
    for name, value in values.items():
        interval = Interval(value=float(value), **bounds(drawn[name]))
        report[name] = {**asdict(interval), "name": NAMES[name], "better": "lower"}
    report["right"] = float(found[:, 4].mean())
    return report


def compare_rates(
    first: Sequence[str], second: Sequence[str], references: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Paired bootstrap of two models' answers to the same utterances; see `Task.compare`.

    wins: the share of resamples in which the second errs less. Source: Koehn 2004; Bisani and Ney
    2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".
    """
    both = np.concatenate([statistics(own, references) for own in (first, second)], axis=1)
    drawn, whole = resampled(both), both.sum(0)
    one, other = rates_of(whole[:5]), rates_of(whole[5:])
    drawn_one, drawn_other = rates_of(drawn[:, :5]), rates_of(drawn[:, 5:])
    made = {}
    for name in NAMES:
        change = float(other[name] - one[name])
        changes = drawn_other[name] - drawn_one[name]
        sizes = np.abs(changes)
        made[name] = {
            "first": float(one[name]),
            "second": float(other[name]),
            "difference": {"value": change, **bounds(changes)},
            "wins": float((changes < 0).mean()),
            "name": NAMES[name],
            "better": "lower",
            "p_value": float(((sizes - sizes.mean()) >= abs(change)).sum() + 1) / (len(sizes) + 1),
        }
    return made
