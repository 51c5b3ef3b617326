"""The copy memory problem: symbols to be written again after a pause."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from seqnlp.errors import InputError, suggest
from seqnlp.tasks.classifier import mean_log_probabilities
from seqnlp.tasks.long_range_problem import Floats, Problem
from seqnlp.types import Prediction

BLANK, WRITE = "-", "?"
"""A step of the pause; the sign to write."""
NOT_SCORED = -100
"""torch's mark of a target that no loss looks at."""
MOST_PAUSE = 1_000_000
MOST_SYMBOLS = 1000


class CopyMemory(Problem):
    """Symbols to be written again after a pause: `b a d -x99 ?` asks for `b a d`.

    Behind the sign to write, a step is read for each symbol. Kept as int64 [T]: the number of a
    symbol, K for a blank, K + 1 for the sign. Each step is classified among the symbols and the
    blank, which is right everywhere but at these last steps.

    Args:
        alphabet: K symbols.
    """

    name = "copy_memory"
    every_step = True
    shown: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "accuracy": {},
        "solved": {},
        "loss": {"name": "nats a step", "unit": "plain", "digits": 5, "better": "lower"},
    }

    def __init__(self, alphabet: Sequence[str]) -> None:
        if not 1 <= len(alphabet) <= MOST_SYMBOLS or len(set(alphabet)) != len(alphabet):
            raise ValueError(f"an alphabet must have 1 to {MOST_SYMBOLS} symbols, each once")
        self.alphabet = tuple(alphabet)
        self.blank = len(self.alphabet)
        self.input_size, self.output_size = self.blank + 2, self.blank + 1
        self._number = {symbol: number for number, symbol in enumerate(self.alphabet)}

    def parse(self, text: str, where: str) -> NDArray[np.int64]:
        words = text.split()
        if not words or words[-1] != WRITE:
            raise InputError(
                f"{where}: the sequence does not end with {WRITE!r}, the sign to write"
            )
        steps: list[int] = []
        count = 0
        for word in words[:-1]:
            if (pause := _pause(word)) is not None:
                if pause > MOST_PAUSE:
                    raise InputError(
                        f"{where}: a pause of {pause:,}; expected at most {MOST_PAUSE:,}"
                    )
                steps += [self.blank] * pause
            else:
                steps.append(self._find(word, where))
                count += 1
        if not count:
            raise InputError(f"{where}: the sequence has no symbols")
        return np.array([*steps, self.blank + 1, *[self.blank] * count], dtype=np.int64)

    def _find(self, word: str, where: str) -> int:
        number = self._number.get(word)
        if number is None:
            raise InputError(
                f"{where}: {word!r} is no symbol of the training sequences; "
                f"{suggest(word, self.alphabet)}"
            )
        return number

    def parse_target(self, text: str, steps: NDArray[Any], where: str) -> tuple[str, ...]:
        words = tuple(text.split())
        if len(words) != self._count(steps):
            raise InputError(
                f"{where}: {len(words)} symbols are to be written; expected as many as are read, "
                f"{self._count(steps)}"
            )
        for word in words:
            self._find(word, where)
        return words

    def _count(self, steps: NDArray[Any]) -> int:
        return int((steps < self.blank).sum())

    def features(self, rows: Sequence[NDArray[Any]], time: int) -> Tensor:
        x = torch.zeros(len(rows), time, self.input_size)
        for place, row in zip(x, rows, strict=True):
            place[torch.arange(len(row)), torch.from_numpy(row)] = 1
        return x

    def goals(self, rows: Sequence[NDArray[Any]], targets: Sequence[Any], time: int) -> Tensor:
        goals = np.full((len(rows), time), NOT_SCORED, dtype=np.int64)
        for place, row, target in zip(goals, rows, targets, strict=True):
            place[: len(row)] = self.blank
            place[len(row) - len(target) : len(row)] = [self._number[word] for word in target]
        return torch.from_numpy(goals)

    def loss(self, outputs: Tensor, goals: Tensor) -> tuple[Tensor, int]:
        total = functional.cross_entropy(
            outputs.flatten(0, 1), goals.flatten(), ignore_index=NOT_SCORED, reduction="sum"
        )
        return total, int((goals != NOT_SCORED).sum())

    def average(self, outputs: Sequence[Tensor]) -> Tensor:
        return mean_log_probabilities(outputs)

    def predict(self, outputs: Tensor, rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        logs = outputs.double().cpu().numpy()
        return [self._prediction(log[: len(row)], self._count(row))
                for log, row in zip(logs, rows, strict=True)]  # fmt: skip

    def _prediction(self, logs: Floats, count: int) -> Prediction:
        names = [*self.alphabet, BLANK]
        written = logs[len(logs) - count :]
        return Prediction(
            output=" ".join(names[number] for number in written.argmax(1)),
            details={
                "steps": len(logs),
                # Of blanks in all steps before, which is what belongs there.
                "pause_log_probability": float(logs[: len(logs) - count, self.blank].sum()),
                "log_probabilities": [dict(zip(names, map(float, step), strict=True))
                                      for step in written],
            },
        )  # fmt: skip

    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Floats:
        made = np.zeros((len(references), 5))
        for row, prediction, reference in zip(made, predictions, references, strict=True):
            details: dict[str, Any] = dict(prediction.details or {})
            logs = details["log_probabilities"]
            nats = details["pause_log_probability"] + sum(
                step[symbol] for step, symbol in zip(logs, reference, strict=True)
            )
            written = prediction.output.split()
            right = sum(one == other for one, other in zip(written, reference, strict=True))
            row[:] = -nats, details["steps"], right, len(reference), right == len(reference)
        return made

    def figures(self, sums: Floats, examples: int) -> dict[str, Floats]:
        return {
            "accuracy": sums[..., 2] / np.maximum(sums[..., 3], 1),
            "solved": sums[..., 4] / max(examples, 1),
            "loss": sums[..., 0] / np.maximum(sums[..., 1], 1),
        }

    def guess(self, references: Sequence[Any], rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        # Blanks for certain, then any symbol: S ln K / T nats a step (section 5.1 of the source).
        even = dict.fromkeys(self.alphabet, -math.log(self.blank))
        return [
            Prediction(
                output=" ".join(self.alphabet[:1] * len(reference)),
                details={"steps": len(row), "pause_log_probability": 0.0,
                         "log_probabilities": [even] * len(reference)},
            )
            for reference, row in zip(references, rows, strict=True)
        ]  # fmt: skip

    def state(self) -> dict[str, Any]:
        return {"problem": self.name, "alphabet": list(self.alphabet)}


def find_symbols(inputs: Sequence[str]) -> list[str]:
    """The distinct symbols of sequences, sorted."""
    words = {word for text in inputs for word in text.split()}
    return sorted(word for word in words if word != WRITE and _pause(word) is None)


def _pause(word: str) -> int | None:
    """The steps of a pause such as "-" or "-x99"; None where a word is none."""
    if word == BLANK:
        return 1
    count = word.removeprefix(f"{BLANK}x")
    return int(count) if count != word and count.isdecimal() and len(count) < 12 else None
