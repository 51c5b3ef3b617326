"""Hashed character n-grams: what a model knows of a word that it never saw.

Source: Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information",
arXiv:1607.04606. Hash: FNV-1a, 32 bits (Fowler, Noll and Vo), over UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from seqnlp.errors import InputError

LONGEST = 128
"""Characters of `<token>` that are read; what follows adds no n-grams."""

_CACHED = 100_000  # tokens
_MOST_AT_ONCE = 50_000
_FNV_BASIS, _FNV_PRIME = np.uint32(2166136261), np.uint32(16777619)

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class NgramHasher:
    """The n-grams of `<token>`, hashed to rows of a table.

    All substrings of min_size to max_size characters count, those with the `<` and `>` that mark
    the ends included, and `<token>` itself where it is that short. Of a token longer than 126
    characters the beginning is read. The same on every platform and in every process.

    Args:
        buckets: rows of the table; ids are 0 to buckets - 1.
        min_size, max_size: characters of the shortest and longest n-gram.

    Raises:
        InputError: a value that cannot be.
    """

    buckets: int
    min_size: int = 3
    max_size: int = 6
    _cache: dict[str, Ints] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.buckets < 2**32:
            raise InputError(f"buckets = {self.buckets}: expected 1 to 2**32 - 1")
        if not 1 <= self.min_size <= self.max_size:
            raise InputError(
                f"n-gram sizes {self.min_size} to {self.max_size}: expected 1 <= min <= max"
            )

    def ids(self, token: str) -> Ints:
        """The n-grams of a token by size, then by place: int64 [n]; not to be changed."""
        found = self._cache.get(token)
        if found is None:
            found, _ = self._hash([token])
            self._remember({token: found})
        return found

    def bags(self, tokens: Sequence[str]) -> tuple[Ints, Ints]:
        """The n-grams of many tokens: ids int64 [N] and where each token's begin, int64 [U]."""
        if len(tokens) > _MOST_AT_ONCE:
            steps = range(0, len(tokens), _MOST_AT_ONCE)
            parts = [self._hash(tokens[step : step + _MOST_AT_ONCE]) for step in steps]
            begins = np.cumsum([0, *(len(ids) for ids, _ in parts)])
            return np.concatenate([ids for ids, _ in parts]), np.concatenate(
                [offsets + begin for (_, offsets), begin in zip(parts, begins[:-1], strict=True)]
            )
        known = self._cache
        unseen = [token for token in dict.fromkeys(tokens) if token not in known]
        if unseen:
            # What is kept may be cleared to make room for these.
            known = {token: known[token] for token in tokens if token in known}
            ids, offsets = self._hash(unseen)
            # Copies, so that one token kept does not keep the n-grams of all.
            split = (part.copy() for part in np.split(ids, offsets[1:]))
            fresh = dict(zip(unseen, split, strict=True))
            self._remember(fresh)
            known.update(fresh)
        found = [known[token] for token in tokens]
        sizes = np.array([0, *map(len, found)], dtype=np.int64)
        joined = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        return joined, np.cumsum(sizes)[:-1]

    def _remember(self, fresh: dict[str, Ints]) -> None:
        # Texts are anybody's: a few tokens as long as a text must not fill the memory.
        fresh = {token: ids for token, ids in fresh.items() if len(token) <= LONGEST}
        if len(self._cache) + len(fresh) > _CACHED:
            # Not cleared: another thread may be at it.
            object.__setattr__(self, "_cache", {})
        self._cache.update(fresh)

    def _hash(self, tokens: Sequence[str]) -> tuple[Ints, Ints]:
        """Every n-gram of every token at once: one step appends a character to all of them."""
        marked = [f"<{token[:LONGEST]}>"[:LONGEST] for token in tokens]
        lengths = np.array([len(token) for token in marked], dtype=np.int64)
        joined = "".join(marked).encode("utf-32-le", "surrogatepass")
        characters = np.frombuffer(joined, dtype="<u4").astype(np.uint32)
        owner = np.repeat(np.arange(len(tokens)), lengths)
        last = np.cumsum(lengths)[owner]  # [characters], the end of the token that holds each
        starts = np.arange(len(characters))
        hashes = np.full(len(characters), _FNV_BASIS)
        found: list[npt.NDArray[np.uint32]] = []
        owners: list[Ints] = []
        for size in range(1, self.max_size + 1):
            inside = starts + size <= last[starts]
            starts, hashes = starts[inside], hashes[inside]
            hashes = _append(hashes, characters[starts + size - 1])
            if size >= self.min_size:
                found.append(hashes % np.uint32(self.buckets))
                owners.append(owner[starts])
        everyone = np.concatenate(owners)
        order = np.argsort(everyone, kind="stable")
        sizes = np.bincount(everyone, minlength=len(tokens))
        offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(tokens) else sizes
        return np.concatenate(found)[order].astype(np.int64), offsets.astype(np.int64)


def _append(
    hashes: npt.NDArray[np.uint32], characters: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """FNV-1a over the one to four UTF-8 bytes of each character."""
    extra = (characters > 0x7F).astype(np.uint32) + (characters > 0x7FF) + (characters > 0xFFFF)
    lead = np.array([0, 0xC0, 0xE0, 0xF0], dtype=np.uint32)[extra]
    hashes = (hashes ^ (lead | (characters >> (6 * extra)))) * _FNV_PRIME
    for byte in (2, 1, 0):
        if (more := extra > byte).any():
            follows = 0x80 | ((characters[more] >> np.uint32(6 * byte)) & 0x3F)
            hashes[more] = (hashes[more] ^ follows) * _FNV_PRIME
    return hashes
