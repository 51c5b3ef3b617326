"""Rows with labels, and what a classifier derives from the labels of its corpus."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import device as Device

from seqnlp.data.corpus import Split
from seqnlp.errors import InputError, SettingsError, suggest
from seqnlp.tasks.base import Batch, Rows
from seqnlp.tasks.rows import Ints, TokenRows
from seqnlp.types import TokenBatch

WEIGHT = "weight"
"""The field of an example that says how much it counts in training."""


@dataclass(frozen=True, kw_only=True)
class LabeledBatch(Batch):
    """tokens: B rows. labels: int64 [B], numbers into the task's labels; None at prediction.
    evidence: float [B, K], log-odds of each row's document; None where the task has none.
    weights: float [B], how much each row counts in the loss; None where all count the same.
    """

    tokens: TokenBatch
    labels: Tensor | None
    evidence: Tensor | None = None
    weights: Tensor | None = None

    def to(self, device: Device | str) -> LabeledBatch:
        if self.tokens.ids.device == torch.device(device):
            return self  # on one short text, the move to where it is takes 3 % of the time
        return LabeledBatch(
            tokens=self.tokens.to(device),
            labels=None if self.labels is None else self.labels.to(device),
            evidence=None if self.evidence is None else self.evidence.to(device),
            weights=None if self.weights is None else self.weights.to(device),
        )


class LabeledRows(Rows):
    """Token rows, each with what is known of its document.

    labels: int64 [N] or None. evidence: float32 [N, K] or None. weights: float64 [N] or None; each
    row of a long document has that of the whole.
    """

    def __init__(
        self,
        tokens: TokenRows,
        labels: Ints | None,
        evidence: NDArray[np.float32] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.tokens, self.labels, self.evidence, self.weights = tokens, labels, evidence, weights
        self.lengths = tokens.lengths

    def batch(self, indices: Ints) -> LabeledBatch:
        documents = self.tokens.documents[indices]
        weights = None
        if self.weights is not None:
            weights = torch.from_numpy(self.weights[documents].astype(np.float32))
        return LabeledBatch(
            tokens=self.tokens.tokens(indices),
            labels=None if self.labels is None else torch.from_numpy(self.labels[documents]),
            evidence=None if self.evidence is None else torch.from_numpy(self.evidence[documents]),
            weights=weights,
        )


def label_numbers(split: Split, labels: tuple[str, ...]) -> Ints:
    """The labels of a split, int64 [N], by their places in `labels`.

    Raises:
        InputError: a label that is not there, by file and line.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    found = np.empty(len(split), dtype=np.int64)
    for row, label in enumerate(split.column("label")):
        if label not in numbers:
            raise InputError(
                f"{split.where(row)}: the label {label!r} does not occur in train; "
                f"{suggest(label, labels)}"
            )
        found[row] = numbers[label]
    return found


def example_weights(split: Split) -> NDArray[np.float64] | None:
    """How much each example of a split counts, float64 [N]: its field `weight`, if it has one.

    No reader of files makes such a field; it is for corpora in memory.
    """
    if WEIGHT not in split.fields:
        return None
    return np.fromiter(map(float, split.column(WEIGHT)), np.float64, len(split))


def class_weights(
    chosen: str | dict[str, float], counts: Mapping[str, int], labels: tuple[str, ...]
) -> tuple[float, ...]:
    """The weight of each label in the loss: by name, "balanced", or 1.

    Raises:
        SettingsError: a weight for a label that does not occur, or that is not positive.
    """
    if chosen == "balanced":
        total = sum(counts.values())
        return tuple(total / (len(labels) * counts[label]) for label in labels)
    if isinstance(chosen, str):
        return (1.0,) * len(labels)
    for label, weight in chosen.items():
        if label not in labels:
            raise SettingsError(f"head.class_weights: no label {label!r}; {suggest(label, labels)}")
        if weight <= 0:
            raise SettingsError(f"head.class_weights.{label}: must be positive, not {weight}")
    return tuple(float(chosen.get(label, 1.0)) for label in labels)


def natural_order(label: str) -> list[tuple[int, int, str]]:
    """A sort key that puts "2" before "10"."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", label)
        if part
    ]
