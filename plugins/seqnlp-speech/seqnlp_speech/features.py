"""Log-mel frames: what the ear would tell apart of a sound, a hundred times a second."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from seqnlp.errors import SettingsError
from seqnlp_speech.options import FeatureOptions

FLOOR = 1e-6
"""Energy below which everything is silence: about what rounding to 16 bits leaves of noise."""
BLOCK = 4096
"""Frames that are computed at once: what bounds memory on long recordings."""


class LogMel:
    """Logarithms of the energy in bands of the mel scale, of overlapping windows.

    Frame t covers the samples t * hop to t * hop + window, so that no frame waits for sound behind
    it; what is shorter than a window is one frame. E(t, m) = log max(sum_k M(m, k) |X(t, k)|^2,
    floor), X the short-time Fourier transform under Hann's window, M from `mel_filters`.

    Source: Davis and Mermelstein 1980, "Comparison of parametric representations for monosyllabic
    word recognition in continuously spoken sentences", without the cosine transform.

    Raises:
        SettingsError: bands that reach beyond half the rate, or so narrow that one is empty;
            windows that leave sound out between them.
    """

    def __init__(self, options: FeatureOptions) -> None:
        self.rate, self.bands = options.rate, options.bands
        self.window = max(1, round(options.rate * options.window_ms / 1000))
        self.hop = max(1, round(options.rate * options.hop_ms / 1000))
        if self.hop > self.window:
            raise SettingsError(
                f"head.features.hop_ms: {options.hop_ms:g} ms leaves sound out between windows of "
                f"{options.window_ms:g} ms; use at most that"
            )
        self.size = 1 << (self.window - 1).bit_length()
        high = options.rate / 2 if options.high is None else options.high
        if not options.low < high <= options.rate / 2:
            raise SettingsError(
                f"head.features: bands from {options.low:g} to {high:g} Hz; expected a higher end, "
                f"of at most half the rate, {options.rate / 2:g}"
            )
        self.filters = mel_filters(self.bands, self.size, self.rate, options.low, high)
        empty = (self.filters.sum(1) == 0).nonzero().flatten().tolist()
        if empty:
            raise SettingsError(
                f"head.features.bands: {self.bands} bands from {options.low:g} to {high:g} Hz are "
                f"too narrow: no frequency falls into band {empty[0] + 1}; use fewer, or a longer "
                "window_ms"
            )
        self._hann = torch.hann_window(self.window, periodic=True)

    def frames(self, samples: int) -> int:
        """How many frames so many samples make."""
        return 1 + max(0, samples - self.window) // self.hop

    def complete(self, samples: int) -> int:
        """How many frames are certain after so many samples, whatever follows."""
        return 0 if samples < self.window else self.frames(samples)

    def __call__(self, samples: Tensor) -> Tensor:
        """Frames float32 [T, bands] of samples float32 [N], N at least 1, at the rate."""
        return torch.cat(list(self.blocks(samples)))

    def blocks(self, samples: Tensor) -> Iterator[Tensor]:
        """The frames in blocks of at most `BLOCK`."""
        if len(samples) < self.window:
            samples = torch.nn.functional.pad(samples, (0, self.window - len(samples)))
        windows = samples.unfold(0, self.window, self.hop)
        for begin in range(0, len(windows), BLOCK):
            spectrum = torch.fft.rfft(windows[begin : begin + BLOCK] * self._hann, self.size)
            power = spectrum.real.square() + spectrum.imag.square()
            yield (power @ self.filters.t()).clamp_(min=FLOOR).log_()


@lru_cache(maxsize=16)
def mel_filters(bands: int, size: int, rate: int, low: float, high: float) -> Tensor:
    """Triangles float32 [bands, size / 2 + 1] over the frequencies of a Fourier transform.

    Their corners are equally spaced on the scale mel(f) = 2595 log10(1 + f / 700); each rises from
    0 at the corner before to 1 at its own, and falls to 0 at the next.

    Source: O'Shaughnessy 1987, "Speech communication", for the scale.
    """
    frequencies = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    mels = torch.linspace(_mel(low), _mel(high), bands + 2, dtype=torch.float64)
    corners = 700 * (10 ** (mels / 2595) - 1)
    rise = (frequencies - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - frequencies) / (corners[2:] - corners[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_(min=0).float()


def deltas(frames: Tensor, *, reach: int = 2) -> Tensor:
    """How frames [T, D] change: the slope of a line through the 2 * reach + 1 around each.

    d(t) = sum_n n (c(t + n) - c(t - n)) / (2 sum_n n^2), n from 1 to `reach`; before the first
    frame and behind the last, they repeat.

    Source: Furui 1986, "Speaker-independent isolated word recognition using dynamic features of
    speech spectrum".
    """
    time = torch.arange(len(frames))
    total = torch.zeros_like(frames)
    for n in range(1, reach + 1):
        ahead, behind = (time + n).clamp(max=len(frames) - 1), (time - n).clamp(min=0)
        total += n * (frames[ahead] - frames[behind])
    return total / (2 * sum(n * n for n in range(1, reach + 1)))


def stack_frames(x: Tensor, *, stack: int, stride: int) -> Tensor:
    """Every `stride`-th frame of [B, T, D] beside the `stack - 1` behind it, [B, T', stack * D].

    T' is `stacked_length` of T; behind the last frame there are zeros.

    Source: Sak et al. 2015, arXiv:1507.06947, section 3.2.
    """
    if stack == stride == 1:
        return x
    steps = stacked_length(x.shape[1], stride)
    if not steps:
        return x.new_zeros(len(x), 0, stack * x.shape[2])
    missing = max(0, (steps - 1) * stride + stack - x.shape[1])
    padded = torch.nn.functional.pad(x, (0, 0, 0, missing))
    # [B, T', D, stack], of which there may be more than are wanted where stack < stride.
    windows = padded.unfold(1, stack, stride)[:, :steps]
    return windows.transpose(2, 3).flatten(2)


def stacked_length(frames: int, stride: int) -> int:
    """Steps that so many frames make: ceil(frames / stride)."""
    return -(-frames // stride)


def _mel(frequency: float) -> float:
    return 2595 * math.log10(1 + frequency / 700)
