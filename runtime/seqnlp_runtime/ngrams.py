"""Hashed character n-grams of words that a vocabulary does not have.

Source: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information",
arXiv:1607.04606. Hash: FNV-1a, 32 bits (Fowler, Noll and Vo), over UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST = 128
"""Characters of `<token>` that are read."""

_CACHED = 100_000  # tokens
_FNV_BASIS, _FNV_PRIME, _MASK = 2166136261, 16777619, 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class NgramHasher:
    """The n-grams of `<token>`, hashed to rows of a table, as seqnlp does it.

    Args:
        buckets: rows of the table.
        min_size, max_size: characters of the shortest and longest n-gram.
    """

    buckets: int
    min_size: int
    max_size: int
    _cache: dict[str, list[int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def ids(self, token: str) -> list[int]:
        """The n-grams of a token, in the order of their places; not to be changed."""
        found = self._cache.get(token)
        if found is None:
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            found = self._cache[token] = self._hash(token)
        return found

    def _hash(self, token: str) -> list[int]:
        marked = f"<{token[:LONGEST]}>"[:LONGEST]
        encoded = [letter.encode("utf-8", "surrogatepass") for letter in marked]
        found = []
        for start in range(len(encoded) - self.min_size + 1):
            value = _FNV_BASIS
            for size, letter in enumerate(encoded[start : start + self.max_size], start=1):
                for byte in letter:
                    value = ((value ^ byte) * _FNV_PRIME) & _MASK
                if size >= self.min_size:
                    found.append(value % self.buckets)
        return found
