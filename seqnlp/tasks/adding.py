"""The adding problem: which numbers were marked, and what is their sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqnlp.errors import InputError
from seqnlp.tasks.long_range_problem import Floats, Problem
from seqnlp.types import Prediction

MARK = "*"
LARGEST = 1e18
"""Numbers beyond have squares, which the loss is of, that float32 cannot hold."""
CLOSE = 0.04
"""How near a sum must be to count as solved (Hochreiter and Schmidhuber 1997, section 5.4)."""


class Adding(Problem):
    """The sum of the marked numbers among many: `0.31 0.82* 0.07 0.5*` asks for 1.32.

    Kept as float32 [T, 2], value and mark; the answer is one number, the loss its squared error.
    """

    name = "adding"
    input_size, output_size, every_step = 2, 1, False
    shown: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "solved": {},
        "mse": {"name": "MSE", "unit": "plain", "digits": 5, "better": "lower"},
    }

    def parse(self, text: str, where: str) -> NDArray[np.float32]:
        words = text.split()
        if not words:
            raise InputError(f"{where}: the sequence has no numbers")
        try:
            pairs = [(float(word[:-1]), 1.0) if word[-1] == MARK else (float(word), 0.0)
                     for word in words]  # fmt: skip
        except ValueError:
            pairs = []
        steps = np.array(pairs, dtype=np.float64)
        if not pairs or not (np.abs(steps) <= LARGEST).all():
            number, word = next((n, w) for n, w in enumerate(words, 1) if not _is_number(w))
            raise InputError(
                f"{where}: number {number} is {word!r}; expected such as 0.31, or 0.31{MARK} where "
                "it is marked"
            )
        return steps.astype(np.float32)

    def parse_target(self, text: str, steps: NDArray[Any], where: str) -> float:
        if len(text.split()) != 1 or not _is_number(text.strip()) or text.strip()[-1] == MARK:
            raise InputError(f"{where}: the sum is {text!r}; expected a number")
        return float(text)

    def features(self, rows: Sequence[NDArray[Any]], time: int) -> Tensor:
        x = np.zeros((len(rows), time, 2), dtype=np.float32)
        for place, row in zip(x, rows, strict=True):
            place[: len(row)] = row
        return torch.from_numpy(x)

    def goals(self, rows: Sequence[NDArray[Any]], targets: Sequence[Any], time: int) -> Tensor:
        return torch.tensor(targets, dtype=torch.float32)

    def loss(self, outputs: Tensor, goals: Tensor) -> tuple[Tensor, int]:
        return functional.mse_loss(outputs.squeeze(-1), goals, reduction="sum"), len(goals)

    def average(self, outputs: Sequence[Tensor]) -> Tensor:
        return torch.stack(list(outputs)).mean(0)

    def predict(self, outputs: Tensor, rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        return [_sum(value) for value in outputs.squeeze(-1).tolist()]

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Floats:
        found = [dict(each.details or {})["sum"] for each in predictions]
        errors = np.array(found, dtype=np.float64) - np.array(references, dtype=np.float64)
        return np.stack([errors**2, np.abs(errors) < CLOSE], axis=1)

    def figures(self, sums: Floats, examples: int) -> dict[str, Floats]:
        error = sums[..., 0] / max(examples, 1)
        return {"solved": sums[..., 1] / max(examples, 1), "mse": error, "loss": error}

    def guess(self, references: Sequence[Any], rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        return [_sum(float(np.mean(references)))] * len(references)

    def state(self) -> dict[str, Any]:
        return {"problem": self.name}


def _sum(value: float) -> Prediction:
    return Prediction(output=f"{value:.3f}", details={"sum": value})


def _is_number(word: str) -> bool:
    try:
        return abs(float(word.removesuffix(MARK))) <= LARGEST
    except ValueError:
        return False
