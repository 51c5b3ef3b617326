"""Log-odds of labels from the words and word pairs of a text, order aside."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

_ODD = np.int64(-0x61C8864680B583EB)  # 2^64 / golden ratio: spreads what is alike (Knuth)
_CACHED = 100_000  # tokens


class Evidence:
    """A linear model of the distinct words and word pairs of a text.

    log-odds(k) = scale * sum over f of weights[f, k] + bias[k], with scale 1, or, normalized,
    1 / sqrt(sum over known f of squares[f]).

    Args:
        keys: int64 [F], sorted hashes of the features.
        weights: float32 [F, K].
        squares: float32 [F]; None where the text is not normalized.
        bias: float32 [K].
    """

    def __init__(
        self, *, keys: Ints, weights: Floats, squares: Floats | None, bias: Floats
    ) -> None:
        self._keys, self._weights, self._squares, self._bias = keys, weights, squares, bias
        self._hashes: dict[str, bytes] = {}

    def __call__(self, tokens: Sequence[str]) -> Floats:
        """Float32 [K] of a text of those tokens; features that are not known say nothing."""
        places = self._places(self._features(tokens))
        odds = self._weights[places].sum(0, dtype=np.float64)
        if self._squares is not None:
            total = self._squares[places].sum(dtype=np.float64)
            odds /= np.sqrt(max(float(total), 1e-12))
        found: Floats = (odds + self._bias).astype(np.float32)
        return found

    def _features(self, tokens: Sequence[str]) -> Ints:
        """The hashes of all words and pairs, int64 [M], each once."""
        words = np.frombuffer(b"".join(map(self._hash, tokens)), dtype="<i8").astype(np.int64)
        pairs = (words[:-1] * _ODD) ^ (words[1:] + _ODD)
        pairs ^= pairs >> 29
        return np.unique(np.concatenate([words, pairs]))

    def _hash(self, token: str) -> bytes:
        found = self._hashes.get(token)
        if found is None:
            if len(self._hashes) >= _CACHED:
                self._hashes.clear()
            encoded = token.encode("utf-8", "surrogatepass")
            found = self._hashes[token] = blake2b(encoded, digest_size=8).digest()
        return found

    def _places(self, features: Ints) -> Ints:
        """Where the known ones of the features stand."""
        if not len(self._keys):
            return np.zeros(0, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._keys, features), len(self._keys) - 1)
        known: Ints = places[self._keys[places] == features]
        return known
