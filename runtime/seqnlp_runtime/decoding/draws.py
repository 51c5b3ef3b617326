"""Random draws of tokens: each output has a stream of its own, whoever is beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp_runtime.decoding.arrays import Doubles, Floats, Ints, top

Words: TypeAlias = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Tokens drawn from log-probabilities.

    temperature, top_k, top_p: see `Decoding`. streams: [B, K], a number for each output.
    """

    temperature: float
    top_k: int
    top_p: float
    streams: Words

    def draw(self, logs: Floats, time: int, sources: Ints) -> Ints:
        """Int64 [N], a token for each row; never one of -inf.

        Temperature is applied first, then `top_k`, then `top_p`, as Holtzman et al. (2020,
        arXiv:1904.09751) cut what is left: the token that passes the share is still in.

        Args:
            logs: float32 [N, V], log-probabilities up to a constant in each row.
            time: the number of the step.
            sources: int64 [B'], whose rows these are.
        """
        numbers = uniform(self.streams[sources].ravel(), time)
        columns: Ints | None = None
        if self.top_k:
            logs, columns = top(logs, min(self.top_k, logs.shape[1]))
        shares = _softmax(logs.astype(np.float64) / self.temperature)
        if self.top_p < 1:
            order = np.argsort(-shares, axis=1, kind="stable")
            shares = np.take_along_axis(shares, order, 1)
            shares = np.where(np.cumsum(shares, 1) - shares < self.top_p, shares, 0.0)
            columns = order if columns is None else np.take_along_axis(columns, order, 1)
        sums = np.cumsum(shares, 1)
        points = numbers[:, None] * sums[:, -1:]
        # The first sum above the point: its token has a share.
        picked = np.minimum((sums <= points).sum(1, dtype=np.int64), sums.shape[1] - 1)
        drawn: Ints = picked if columns is None else columns[np.arange(len(picked)), picked]
        return drawn


def streams(seed: int, numbers: Ints, count: int) -> Words:
    """A stream for each of `count` outputs of each source, [B, count].

    Args:
        seed: of all.
        numbers: int64 [B], the sources' own numbers, the same in whatever batch they come.
        count: outputs of each.
    """
    own: Words = numbers.astype(np.uint64) + _mix(np.full(1, seed, np.uint64))
    return _mix(np.add.outer(_mix(own), np.arange(count, dtype=np.uint64)))


def uniform(streams: Words, time: int) -> Doubles:
    """The number at place `time` of each stream, in [0, 1).

    The generator is SplitMix64 (Steele et al. 2014), whose state only counts, so that any place of
    a stream is computed at once.
    """
    place = np.array([time + 1], dtype=np.uint64)
    bits: Words = _mix(streams + place * _GOLDEN) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def _softmax(logs: Doubles) -> Doubles:
    shares = np.exp(logs - logs.max(1, keepdims=True))
    found: Doubles = shares / shares.sum(1, keepdims=True)
    return found


def _mix(words: Words) -> Words:
    """The finalizer of SplitMix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
