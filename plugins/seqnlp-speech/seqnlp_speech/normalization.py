"""Frames of mean 0 and deviation 1 in every band, whoever speaks into whatever microphone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LEAST_DEVIATION = 0.1
"""Of a band, in nats: silence is not blown up."""
PRIOR_FRAMES = 100
"""What train says of the mean counts as so many frames in a running one."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a running mean knows of a sound. sum: float64 [D], of all frames so far. count: them."""

    sum: Tensor
    count: int = 0


class Normalizer(nn.Module, ABC):
    """Normalizes frames [T, D] of one utterance.

    `mean` and `deviation`, float32 [D], are those of train and stored with the weights.
    """

    streams = True
    """Whether `advance` gives, piece by piece, what the whole would."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def fit(self, utterances: Iterable[Tensor]) -> None:
        """Take mean and deviation from frames [T, D] of many utterances, one at a time."""
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        squares, count = total.clone(), 0
        for frames in utterances:
            exact = frames.double()
            total, squares = total + exact.sum(0), squares + exact.square().sum(0)
            count += len(frames)
        mean = total / max(count, 1)
        deviation = (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.clamp(min=LEAST_DEVIATION))

    def forward(self, frames: Tensor) -> Tensor:
        """A whole utterance."""
        return self.advance(frames, self.begin())[0]

    def begin(self) -> Heard:
        """Before the first frame."""
        return Heard(sum=torch.zeros_like(self.mean, dtype=torch.float64))

    @abstractmethod
    def advance(self, frames: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        """The next frames, normalized, and what is known after them."""


class NoNormalizer(Normalizer):
    """Leaves frames as they are."""

    def advance(self, frames: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        return frames, heard


class TrainNormalizer(Normalizer):
    """By mean and deviation of all frames of train."""

    def advance(self, frames: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        return (frames - self.mean) / self.deviation, heard


class UtteranceNormalizer(Normalizer):
    """By mean and deviation of the utterance, which must be there whole."""

    streams = False

    def advance(self, frames: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        deviation, mean = torch.std_mean(frames, dim=0, correction=0)
        return (frames - mean) / deviation.clamp(min=LEAST_DEVIATION), heard


class RunningNormalizer(Normalizer):
    """By the mean of what was heard so far and the deviation of train.

    The mean at frame t is (P m + sum of frames 0 to t) / (P + t + 1), m that of train and P its
    weight in frames: no frame waits for another.
    """

    def advance(self, frames: Tensor, heard: Heard) -> tuple[Tensor, Heard]:
        sums = heard.sum + frames.double().cumsum(0)
        counts = heard.count + torch.arange(1, len(frames) + 1, device=frames.device)
        means = (PRIOR_FRAMES * self.mean + sums) / (PRIOR_FRAMES + counts.unsqueeze(1))
        after = heard if not len(frames) else Heard(
            sum=sums[-1], count=heard.count + len(frames)
        )  # fmt: skip
        return ((frames - means) / self.deviation).float(), after


NORMALIZERS: dict[str, type[Normalizer]] = {
    "none": NoNormalizer,
    "train": TrainNormalizer,
    "utterance": UtteranceNormalizer,
    "running": RunningNormalizer,
}
