"""Random draws of tokens: each output has a stream of its own, whoever is beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.nn.engines.greatest import top

Words = NDArray[np.uint64]
FEW = 32  # columns that often have nearly all of the probability
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Tokens drawn from log-probabilities.

    temperature, top_k, top_p: see `Decoding`. streams: [B, K], a number for each output.
    """

    temperature: float
    top_k: int
    top_p: float
    streams: Words

    def draw(self, scores: Tensor, time: int, sources: Tensor) -> Tensor:
        """Int64 [N], a token for each row; never one of -inf.

        Temperature is applied first, then `top_k`, then `top_p`, as Holtzman et al. (2020,
        arXiv:1904.09751) cut what is left: the token that passes the share is still in.

        Args:
            scores: float [N, V], log-probabilities up to a constant in each row.
            time: the number of the step.
            sources: int64 [B'], whose rows these are.
        """
        numbers = uniform(self.streams[sources.cpu().numpy()].reshape(-1), time)
        columns: Tensor | None = None
        if self.top_k:
            scores, columns = top(scores, min(self.top_k, scores.shape[1]))
        # In doubles, so that no token's share is lost in the sum of thousands.
        shares = torch.softmax(scores.double() / self.temperature, 1)
        if self.top_p < 1:
            shares, order = self._nucleus(shares)
            columns = order if columns is None else columns.gather(1, order)
        sums = shares.cumsum(1)
        points = torch.from_numpy(numbers).to(sums.device).unsqueeze(1) * sums[:, -1:]
        # The first sum above the point: its token has a share.
        picked = torch.searchsorted(sums, points, right=True).clamp(max=sums.shape[1] - 1)
        return (picked if columns is None else columns.gather(1, picked)).squeeze(1)

    def _nucleus(self, shares: Tensor) -> tuple[Tensor, Tensor]:
        """The fewest columns of each row that sum to `top_p`: (shares, columns), greatest first.

        What is not in it has 0. Few columns are sorted where those are enough.
        """
        count = min(FEW, shares.shape[1])
        while True:
            found, columns = top(shares, count)
            sums = found.cumsum(1)
            if count == shares.shape[1] or bool((sums[:, -1] >= self.top_p).all()):
                return torch.where(sums - found < self.top_p, found, 0.0), columns
            count = min(8 * count, shares.shape[1])


def streams(seed: int, numbers: NDArray[np.int64], count: int) -> Words:
    """A stream for each of `count` outputs of each source, [B, count].

    Args:
        seed: of all.
        numbers: int64 [B], the sources' own numbers, the same in whatever batch they come.
        count: outputs of each.
    """
    own: Words = numbers.astype(np.uint64) + _mix(np.full(1, seed, np.uint64))
    outputs: Words = np.arange(count, dtype=np.uint64)
    return _mix(np.add.outer(_mix(own), outputs))


def uniform(streams: Words, time: int) -> NDArray[np.float64]:
    """The number at place `time` of each stream, in [0, 1).

    The generator is SplitMix64 (Steele et al. 2014), whose state only counts, so that any place of
    a stream is computed at once.
    """
    place = np.array([time + 1], dtype=np.uint64)
    bits: Words = _mix(streams + place * GOLDEN) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def _mix(words: Words) -> Words:
    """The finalizer of SplitMix64."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
