"""Another sampling rate, by a windowed sinc: whole or as the sound arrives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor

ZEROS = 24
"""Zero crossings of the sinc on each side: a narrower transition takes more."""
ROLL_OFF = 0.95
"""Where the low-pass cuts, as a share of the lower of the two Nyquist frequencies."""
BLOCK = 1 << 15
"""Outputs that are computed at once: what bounds memory."""
MOST_PHASES = 1 << 19
"""Weights that are worth keeping; odd ratios of rates have too many."""


@dataclass(frozen=True, kw_only=True)
class Arriving:
    """Where a `Resampler` stands in a sound.

    rest: float32 [R], the inputs that outputs to come look at, from number `start`, which is below
    0 at the beginning, before which there are zeros. given: outputs so far.
    """

    rest: Tensor
    start: int
    given: int = 0

    @property
    def read(self) -> int:
        """Inputs so far."""
        return self.start + len(self.rest)


class Resampler:
    """From one rate to another: y(n) = sum over k of x(k) h(n * source / target - k).

    h(t) = c sinc(c t) cos^2(pi c t / 2 Z) for |c t| < Z, c the cutoff over half the source rate.
    Of N samples ceil(N * target / source) are made.

    Source: Smith and Gossett 1984, "A flexible sampling-rate conversion method"; the window is
    Hann's.
    """

    def __init__(self, source: int, target: int) -> None:
        shared = math.gcd(source, target)
        self.source, self.target = source // shared, target // shared
        self.cutoff = ROLL_OFF * min(1.0, target / source)
        self.width = math.ceil(ZEROS / self.cutoff)
        taps = 2 * self.width + 2
        self.table = None
        if self.target * taps <= MOST_PHASES:
            self.table = self._weights(torch.arange(self.target))

    def __call__(self, samples: Tensor) -> Tensor:
        """The whole sound, float32 [N], at the other rate."""
        if self.source == self.target:
            return samples
        made, state = self.advance(samples, self.begin())
        return torch.cat([made, self.end(state)])

    def begin(self) -> Arriving:
        """Before the first sample."""
        return Arriving(rest=torch.zeros(self.width), start=-self.width)

    def advance(self, samples: Tensor, state: Arriving) -> tuple[Tensor, Arriving]:
        """What the next samples, float32 [N], let be said; and where that leaves the sound."""
        state = replace(state, rest=torch.cat([state.rest, samples]))
        # Output n looks at inputs up to floor(n * source / target) + width + 1.
        known = state.read - self.width - 1
        return self._give(state, -(-known * self.target // self.source))

    def end(self, state: Arriving) -> Tensor:
        """What is left to be said where nothing follows; the state may still be read on from."""
        last = -(-state.read * self.target // self.source)
        silence = torch.zeros(self.width + 2)
        return self._give(replace(state, rest=torch.cat([state.rest, silence])), last)[0]

    def _give(self, state: Arriving, last: int) -> tuple[Tensor, Arriving]:
        """The outputs up to number `last`."""
        if last <= state.given:
            return torch.zeros(0), state
        taps = torch.arange(2 * self.width + 2)
        made = []
        for begin in range(state.given, last, BLOCK):
            numbers = torch.arange(begin, min(begin + BLOCK, last)) * self.source
            first = numbers.div(self.target, rounding_mode="floor") - self.width - state.start
            phases = numbers % self.target
            weights = self._weights(phases) if self.table is None else self.table[phases]
            made.append((state.rest[first.unsqueeze(1) + taps] * weights).sum(1))
        seen = last * self.source // self.target - self.width - state.start
        rest = replace(state, rest=state.rest[seen:], start=state.start + seen, given=last)
        return torch.cat(made), rest

    def _weights(self, phases: Tensor) -> Tensor:
        """Of each phase int64 [P], h at the distances to its inputs, float32 [P, 2 * width + 2]."""
        inputs = torch.arange(-self.width, self.width + 2, dtype=torch.float64)
        t = self.cutoff * (phases.double().unsqueeze(1) / self.target - inputs)
        window = torch.cos(math.pi * t / (2 * ZEROS)).square() * (t.abs() < ZEROS)
        return (self.cutoff * torch.sinc(t) * window).float()


@cache
def resampler(source: int, target: int) -> Resampler:
    """The resampler between two rates, made once."""
    return Resampler(source, target)
