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
_NOTHING = np.iinfo(np.int64).max


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
        # Behind the last feature stands one that says nothing, for all that comes after.
        self._keys = np.append(keys, _NOTHING)
        self._weights = np.concatenate([weights, np.zeros_like(weights, shape=(1, len(bias)))])
        self._squares = None if squares is None else np.append(squares, np.float32(0))
        self._bias = bias
        self._hashes: dict[str, bytes] = {}

    def __call__(self, tokens: Sequence[str]) -> Floats:
        """Float32 [K] of a text of those tokens; features that are not known say nothing."""
        features = self._features(tokens)
        places = self._keys.searchsorted(features)
        # Of the few that are left each counts once: quicker than numpy's way for so few.
        known = list(set(places[self._keys[places] == features].tolist()))
        odds = self._weights[known].sum(0, dtype=np.float64)
        if self._squares is not None:
            total = self._squares[known].sum(dtype=np.float64)
            odds /= np.sqrt(max(float(total), 1e-12))
        odds += self._bias
        found: Floats = odds.astype(np.float32)
        return found

    def _features(self, tokens: Sequence[str]) -> Ints:
        """The hashes of all words and pairs, int64 [2 * T - 1]."""
        count = len(tokens)
        features = np.empty(max(2 * count - 1, 0), dtype=np.int64)
        if count:
            words, pairs = features[:count], features[count:]
            words[:] = np.frombuffer(b"".join(map(self._hash, tokens)), dtype="<i8")
            np.multiply(words[:-1], _ODD, out=pairs)
            pairs ^= words[1:] + _ODD
            pairs ^= pairs >> 29
        return features

    def _hash(self, token: str) -> bytes:
        found = self._hashes.get(token)
        if found is None:
            if len(self._hashes) >= _CACHED:
                self._hashes.clear()
            encoded = token.encode("utf-8", "surrogatepass")
            found = self._hashes[token] = blake2b(encoded, digest_size=8).digest()
        return found
