"""Sequences as the steps that a network takes: it reads, is told to go, and answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.tasks import Batch, Rows
from seqnlp_memory.codes import Code, Floats

MARKS = 2
"""Features of an input beside its word: the mark to go, and with it how often."""
COUNT_SCALE = 10
"""A count is given as its tenth, so that it is about as large as the other features."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A sequence as it is written: words, and at their end a count such as x3, if any.

    words: L of them. count: 1 where none is written.
    """

    words: tuple[str, ...]
    count: int = 1
    counted: bool = False

    @classmethod
    def parse(cls, text: str, where: str) -> Self:
        """Read a text.

        Raises:
            InputError: it has no words, or a count of 0.
        """
        words = text.split()
        counted = bool(words) and re.fullmatch(r"x\d{1,6}", words[-1]) is not None
        count = int(words.pop()[1:]) if counted else 1
        if not words:
            raise InputError(f"{where}: the sequence has no words")
        if count < 1:
            raise InputError(f"{where}: the count is x{count}; expected at least x1")
        return cls(words=tuple(words), count=count, counted=counted)


@dataclass(frozen=True, kw_only=True)
class SequenceBatch(Batch):
    """Steps of B sequences, in turn: the words, the mark to go, blanks while the answer is written.

    x: float [B, T, size + 2]. lengths: int64 [B]. asked: bool [B, T], True where an answer is
    written. scored: bool [B, T], True where one is known, which is a part of those. targets: float
    [M, size + 1], row by row, at the steps that are scored: the words, and then the end.
    """

    x: Tensor
    lengths: Tensor
    asked: Tensor
    scored: Tensor
    targets: Tensor

    def to(self, device: torch.device | str) -> SequenceBatch:
        """The same batch there."""
        return SequenceBatch(
            x=self.x.to(device),
            lengths=self.lengths.to(device),
            asked=self.asked.to(device),
            scored=self.scored.to(device),
            targets=self.targets.to(device),
        )


class SequenceRows(Rows):
    """Sequences, with their answers or without.

    Args:
        code: of the words.
        requests: R sequences.
        inputs: their words, float32 [L, size] each.
        answers: float32 [A, size] each, A = 0 where none is known.
        steps: int64 [R], for how many steps each is asked: at least A + 1 where one is known.
    """

    def __init__(
        self,
        code: Code,
        requests: Sequence[Request],
        inputs: Sequence[Floats],
        answers: Sequence[Floats],
        steps: NDArray[np.int64],
    ) -> None:
        self.code, self.requests, self.steps = code, requests, steps
        self._inputs, self._answers = inputs, answers
        sizes = np.array([len(words) for words in inputs], dtype=np.int64)
        self.lengths = sizes + 1 + steps

    def batch(self, indices: NDArray[np.int64]) -> SequenceBatch:
        """See `Rows.batch`."""
        time, size = int(self.lengths[indices].max()), self.code.size
        x = np.zeros((len(indices), time, size + MARKS), dtype=np.float32)
        asked, scored = np.zeros((2, len(indices), time), dtype=np.bool_)
        targets = []
        for row, index in enumerate(indices):
            words, answer, request = self._inputs[index], self._answers[index], self.requests[index]
            begin = len(words) + 1
            x[row, : begin - 1, :size] = words
            x[row, begin - 1, size] = 1
            if request.counted:
                x[row, begin - 1, size + 1] = request.count / COUNT_SCALE
            asked[row, begin : begin + self.steps[index]] = True
            if len(answer):
                scored[row, begin : begin + len(answer) + 1] = True
                target = np.zeros((len(answer) + 1, size + 1), dtype=np.float32)
                target[:-1, :size] = answer
                target[-1, size] = 1
                targets.append(target)
        known = np.concatenate(targets) if targets else np.zeros((0, size + 1), dtype=np.float32)
        return SequenceBatch(
            x=torch.from_numpy(x),
            lengths=torch.from_numpy(self.lengths[indices]),
            asked=torch.from_numpy(asked),
            scored=torch.from_numpy(scored),
            targets=torch.from_numpy(known),
        )
