"""Figures of recalled sequences, of all and by length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks import bounds, resampled
from seqnlp.types import Prediction
from seqnlp_memory.codes import Code

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """answer: the words that are right. length: of the sequence; count: 1, or how often."""

    answer: tuple[str, ...]
    length: int
    count: int

    @property
    def group(self) -> str:
        """What its figures are put together by: "20", or "20 x8"."""
        return str(self.length) if self.count == 1 else f"{self.length} x{self.count}"


def statistics(
    code: Code, predictions: Sequence[Prediction], references: Sequence[Reference]
) -> Floats:
    """Float [N, 4]: whether an answer is right with its end, whether all its words are, how many
    bits (or symbols) are wrong, and of how many.
    """
    made = np.zeros((len(references), 4))
    for row, prediction, reference in zip(made, predictions, references, strict=True):
        assert prediction.details is not None
        words, end = prediction.details["words"], prediction.details["end"]
        assert isinstance(words, list)
        size = len(reference.answer)
        wrong = sum(map(code.count_wrong, words[:size], reference.answer))
        # Words that were never asked for are wrong.
        wrong += code.units * max(0, size - len(words))
        row[:] = not wrong and end == size, not wrong, wrong, size * code.units
    return made


def shares(sums: Floats, examples: int) -> dict[str, Floats]:
    """The figures of sums [..., 4] of `statistics` over examples."""
    return {
        "accuracy": sums[..., 0] / max(examples, 1),
        "recalled": sums[..., 1] / max(examples, 1),
        "error": sums[..., 2] / np.maximum(sums[..., 3], 1),
    }


def score_of(
    code: Code, predictions: Sequence[Prediction], references: Sequence[Reference]
) -> dict[str, float]:
    """accuracy: share of the sequences that are right to the last bit and end where they should;
    recalled: without regard to the end. error: share of the bits (or symbols) that are wrong.
    """
    found = statistics(code, predictions, references)
    return {name: float(value) for name, value in shares(found.sum(0), len(found)).items()}


def measure(
    code: Code, predictions: Sequence[Prediction], references: Sequence[Reference]
) -> dict[str, Any]:
    """The figures of `score_of` with 95 % intervals, and by length (`lengths`), as JSON values."""
    found = statistics(code, predictions, references)
    report: dict[str, Any] = {"examples": len(found)}
    values = shares(found.sum(0), len(found))
    spread = shares(resampled(found), len(found)) if len(found) else None
    for name, value in values.items():
        around = bounds(spread[name]) if spread else {"low": 0.0, "high": 0.0}
        report[name] = {"value": float(value), **around}
    report["error"] |= {"better": "lower", "name": f"{code.kind[:-1]} error"}
    groups: dict[str, list[int]] = {}
    order = sorted(range(len(found)), key=lambda n: (references[n].length, references[n].count))
    for number in order:
        groups.setdefault(references[number].group, []).append(number)
    report["lengths"] = {
        name: {
            "examples": len(rows),
            **{key: float(v) for key, v in shares(found[rows].sum(0), len(rows)).items()},
        }
        for name, rows in groups.items()
    }
    return report
