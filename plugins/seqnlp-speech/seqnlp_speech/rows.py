"""Utterances with their texts, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import device as Device
from torch.nn.utils.rnn import pad_sequence

from seqnlp.tasks import Batch, Rows
from seqnlp_speech.decoding import least_steps
from seqnlp_speech.features import stacked_length
from seqnlp_speech.frames import Frames

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SpeechBatch(Batch):
    """B utterances, padded to the longest.

    features: float [B, T, D], zero on padding. frames: int64 [B], of each. targets: int64 [B, S],
    symbols, or None. target_lengths: int64 [B], of each, or None.
    """

    features: Tensor
    frames: Tensor
    targets: Tensor | None = None
    target_lengths: Tensor | None = None

    def to(self, device: Device | str) -> SpeechBatch:
        return SpeechBatch(
            features=self.features.to(device),
            frames=self.frames.to(device),
            targets=None if self.targets is None else self.targets.to(device),
            target_lengths=None if self.target_lengths is None else self.target_lengths.to(device),
        )


class SpeechRows(Rows):
    """Utterances: frames, which are prepared when a batch is made, and texts where they are known.

    lengths: int64 [N], steps of the encoder.

    Args:
        frames: of all utterances. prepare: normalizes those of one. stride: frames a step.
        targets: symbols of each; None in prediction.
    """

    def __init__(
        self,
        frames: Frames,
        prepare: Callable[[Tensor], Tensor],
        *,
        stride: int,
        targets: Sequence[Sequence[int]] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.frames, self.prepare, self.stride = frames, prepare, stride
        self.targets, self.notes = targets, tuple(notes)
        self.numbers = np.arange(len(frames))
        self.lengths = np.array([stacked_length(int(n), stride) for n in frames.lengths], np.int64)

    def select(self, chosen: NDArray[np.bool_], notes: Sequence[str] = ()) -> SpeechRows:
        """Those rows alone, bool [N]."""
        made = SpeechRows(
            self.frames, self.prepare, stride=self.stride, targets=self.targets, notes=notes
        )
        made.numbers, made.lengths = self.numbers[chosen], self.lengths[chosen]
        return made

    def target(self, index: int) -> Sequence[int]:
        """The symbols of a row, where they are known."""
        assert self.targets is not None
        return self.targets[int(self.numbers[index])]

    def learnable(self) -> NDArray[np.bool_]:
        """Bool [N], True where the text is known and has an alignment with the steps there are."""
        needed = np.array([least_steps(self.target(i)) for i in range(len(self.numbers))], np.int64)
        fits: NDArray[np.bool_] = (needed > 0) & (needed <= self.lengths)
        return fits

    def batch(self, indices: Ints) -> SpeechBatch:
        numbers = self.numbers[indices].tolist()
        prepared = [self.prepare(self.frames[number]) for number in numbers]
        targets = lengths = None
        if self.targets is not None:
            texts = [torch.tensor(self.targets[number], dtype=torch.int64) for number in numbers]
            targets = pad_sequence(texts, batch_first=True)
            lengths = torch.tensor([len(text) for text in texts])
        return SpeechBatch(
            features=pad_sequence(prepared, batch_first=True),
            frames=torch.tensor([len(each) for each in prepared]),
            targets=targets,
            target_lengths=lengths,
        )
