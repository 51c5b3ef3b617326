"""What a problem of the task long_range is, and its sequences as rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.tasks.base import Batch, Rows
from seqnlp.types import Prediction

Floats = NDArray[np.float64]


class Problem(ABC):
    """One of the problems.

    input_size: features of a step. output_size: of an answer. every_step: whether there is an
    output at each step, or one of the whole sequence. shown: the figures of a report, by name, with
    what is said of each.
    """

    name: ClassVar[str]
    input_size: int
    output_size: int
    every_step: ClassVar[bool]
    shown: ClassVar[Mapping[str, Mapping[str, Any]]]

    @abstractmethod
    def parse(self, text: str, where: str) -> NDArray[Any]:
        """The steps of a sequence as they are kept in memory, [T] or [T, ...].

        Raises:
            InputError: it cannot be read; `where` begins the message.
        """

    @abstractmethod
    def parse_target(self, text: str, steps: NDArray[Any], where: str) -> Any:
        """What a sequence of these steps asks for, as a reference; raises as `parse`."""

    @abstractmethod
    def features(self, rows: Sequence[NDArray[Any]], time: int) -> Tensor:
        """Float [B, time, input_size] of sequences, zero on padding."""

    @abstractmethod
    def goals(self, rows: Sequence[NDArray[Any]], targets: Sequence[Any], time: int) -> Tensor:
        """What `loss` compares the outputs with."""

    @abstractmethod
    def loss(self, outputs: Tensor, goals: Tensor) -> tuple[Tensor, int]:
        """A sum, and of how many terms; outputs float [B, output_size], or [B, T, output_size]."""

    @abstractmethod
    def average(self, outputs: Sequence[Tensor]) -> Tensor:
        """What several networks say together."""

    @abstractmethod
    def predict(self, outputs: Tensor, rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        """Predictions of what `average` gave."""

    @abstractmethod
    def statistics(self, predictions: Sequence[Prediction], references: Sequence[Any]) -> Floats:
        """Float [N, F], whose sums over examples `figures` are functions of."""

    @abstractmethod
    def figures(self, sums: Floats, examples: int) -> dict[str, Floats]:
        """Figures by name, `loss` among them, from sums [..., F] of `statistics`."""

    @abstractmethod
    def guess(self, references: Sequence[Any], rows: Sequence[NDArray[Any]]) -> list[Prediction]:
        """The best answers of whoever remembers nothing."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `problem_from` needs, as JSON values."""


@dataclass(frozen=True, kw_only=True)
class LongRangeBatch(Batch):
    """x: float [B, T, F]. lengths: int64 [B]. goals: what is asked for, None where nobody knows."""

    x: Tensor
    lengths: Tensor
    goals: Tensor | None

    def to(self, device: torch.device | str) -> LongRangeBatch:
        """The same batch there."""
        goals = None if self.goals is None else self.goals.to(device)
        return LongRangeBatch(x=self.x.to(device), lengths=self.lengths.to(device), goals=goals)


class LongRangeRows(Rows):
    """Sequences, with what they ask for or without (`targets` None)."""

    def __init__(
        self, problem: Problem, steps: Sequence[NDArray[Any]], targets: Sequence[Any] | None
    ) -> None:
        self.problem, self.steps, self.targets = problem, steps, targets
        self.lengths = np.array([len(row) for row in steps], dtype=np.int64)

    def batch(self, indices: NDArray[np.int64]) -> LongRangeBatch:
        """See `Rows.batch`."""
        rows, lengths = [self.steps[index] for index in indices], self.lengths[indices]
        time, goals = int(lengths.max()), None
        if self.targets is not None:
            targets = [self.targets[index] for index in indices]
            goals = self.problem.goals(rows, targets, time)
        x = self.problem.features(rows, time)
        return LongRangeBatch(x=x, lengths=torch.from_numpy(lengths), goals=goals)
