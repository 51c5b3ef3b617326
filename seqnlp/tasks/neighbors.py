"""The training examples nearest to a text, by TF-IDF of its words."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from typing import Any, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.data.split import Split, is_blank

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]
Near: TypeAlias = list[tuple[str, float]]
"""Answers of training examples with the similarities of their texts, nearest first."""

_WORD = re.compile(r"\w+|[^\w\s]")
_BLOCK = 4_000_000
"""Similarities that are held at once."""


class NeighborIndex(nn.Module):
    """Training texts as an inverted index, and their answers; all of it buffers of the model.

    A text is a vector of (1 + log count) * (1 + log((1 + N) / (1 + texts with the word))) over its
    known words, of length 1; similarity is the cosine. That is scikit-learn's TfidfVectorizer with
    `sublinear_tf`, on words and marks in lower case.

    keys: int64 [W], hashes of the words, ascending. rarity: float32 [W]. starts: int64 [W + 1],
    texts: int32 [M] and weights: float32 [M], of the M pairs of word and text, word by word.
    answers: uint8, UTF-8 of all answers; ends: int64 [N + 1], where each begins and ends.

    Args:
        words: W. pairs: M. documents: N. size: bytes of the answers.
    """

    keys: Tensor
    rarity: Tensor
    starts: Tensor
    texts: Tensor
    weights: Tensor
    answers: Tensor
    ends: Tensor

    def __init__(self, *, words: int, pairs: int, documents: int, size: int) -> None:
        super().__init__()
        for name, length, kind in (
            ("keys", words, torch.int64),
            ("rarity", words, torch.float32),
            ("starts", words + 1, torch.int64),
            ("texts", pairs, torch.int32),
            ("weights", pairs, torch.float32),
            ("answers", size, torch.uint8),
            ("ends", documents + 1, torch.int64),
        ):
            self.register_buffer(name, torch.zeros(length, dtype=kind))

    @classmethod
    def fit(cls, examples: Iterable[tuple[str, str]]) -> Self:
        """The index of (text, answer) pairs."""
        numbers: dict[str, int] = {}
        words, counts, sizes = array("q"), array("f"), array("q")
        answers, ends = bytearray(), array("q", [0])
        for text, answer in examples:
            bag = _bag(text)
            words.extend(numbers.setdefault(word, len(numbers)) for word in bag)
            counts.extend(bag.values())
            sizes.append(len(bag))
            answers += answer.encode("utf-8", "surrogatepass")
            ends.append(len(answers))
        keys = _hashes(numbers)
        order = np.argsort(keys)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        columns, rows = rank[np.asarray(words)], np.repeat(np.arange(len(sizes)), sizes)
        frequency = np.bincount(columns, minlength=len(keys))
        rarity = (1 + np.log((1 + len(sizes)) / (1 + frequency))).astype(np.float32)
        weights = _unit(rows, columns, np.asarray(counts), rarity, len(sizes))
        by_word = np.argsort(columns, kind="stable")
        index = cls(words=len(keys), pairs=len(words), documents=len(sizes), size=len(answers))
        for buffer, values in (
            (index.keys, keys[order]),
            (index.rarity, rarity),
            (index.starts, np.concatenate([[0], np.cumsum(frequency)])),
            (index.texts, rows[by_word].astype(np.int32)),
            (index.weights, weights[by_word]),
            (index.answers, np.frombuffer(answers, np.uint8).copy()),
            (index.ends, np.asarray(ends)),
        ):
            buffer.copy_(torch.from_numpy(values))
        return index

    @classmethod
    def of(cls, train: Split, text: str, answer: str) -> Self:
        """The index of a split by two of its fields, without rows that lack one of them."""
        rows = zip(train.column(text), train.column(answer), strict=True)
        return cls.fit(row for row in rows if not is_blank(row))

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """An index of these sizes, its buffers still to be loaded."""
        sizes = {key: int(state[key]) for key in ("words", "pairs", "documents", "size")}
        if min(sizes.values()) < 0:
            raise ValueError(f"neighbors: sizes cannot be negative: {sizes}")
        return cls(**sizes)

    def state(self) -> dict[str, int]:
        """What `restore` needs."""
        return {
            "words": len(self.keys),
            "pairs": len(self.texts),
            "documents": len(self.ends) - 1,
            "size": len(self.answers),
        }

    def find(self, texts: Iterable[str], count: int) -> Iterator[Near]:
        """The `count` nearest training examples of each text; fewer where they share no word.

        Of equally near ones the first in train comes first.
        """
        from scipy.sparse import csr_matrix

        documents, words = len(self.ends) - 1, len(self.keys)
        answers, ends = self.answers.cpu().numpy(), self.ends.tolist()
        known = csr_matrix(
            tuple(each.cpu().numpy() for each in (self.weights, self.texts, self.starts)),
            shape=(words, documents),
        )
        left = iter(texts)
        while block := list(islice(left, max(1, _BLOCK // max(documents, 1)))):
            rows, columns, values = self._vectors(block)
            asked = csr_matrix((values, (rows, columns)), shape=(len(block), words))
            for similarity in (asked @ known).toarray():
                yield [
                    (bytes(answers[ends[n] : ends[n + 1]]).decode("utf-8", "surrogatepass"), value)
                    for n, value in _greatest(similarity, count)
                ]

    def similarities(self, texts: Iterable[str]) -> list[float]:
        """The cosine of each text to the training text nearest to it."""
        return [near[0][1] if near else 0.0 for near in self.find(texts, 1)]

    def _vectors(self, texts: Iterable[str]) -> tuple[Ints, Ints, Floats]:
        """Rows, columns and values of their vectors, of words that are known."""
        bags = [_bag(text) for text in texts]
        rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
        distinct: dict[str, int] = {}
        numbers = [distinct.setdefault(word, len(distinct)) for bag in bags for word in bag]
        counts = np.array([n for bag in bags for n in bag.values()], dtype=np.float32)
        keys, asked = self.keys.cpu().numpy(), _hashes(distinct)
        places = np.searchsorted(keys, asked)
        known = places < len(keys)
        known[known] = keys[places[known]] == asked[known]
        own = np.array(numbers, dtype=np.int64)
        kept = known[own]
        rows, columns = rows[kept], places[own][kept]
        values = _unit(rows, columns, counts[kept], self.rarity.cpu().numpy(), len(bags))
        return rows, columns, values


def _bag(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _hashes(words: Iterable[str]) -> Ints:
    digests = (blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8) for word in words)
    return np.frombuffer(b"".join(each.digest() for each in digests), dtype="<i8").astype(np.int64)


def _unit(rows: Ints, columns: Ints, counts: Floats, rarity: Floats, size: int) -> Floats:
    """The weights of words in texts, each text a vector of length 1."""
    weights = (1 + np.log(counts)) * rarity[columns]
    lengths = np.sqrt(np.bincount(rows, weights=weights**2, minlength=size))
    scaled: Floats = (weights / lengths[rows]).astype(np.float32)
    return scaled


def _greatest(similarity: Floats, count: int) -> list[tuple[int, float]]:
    """The places and values of the greatest that are over 0; of equals the first."""
    least = 0.0
    if 0 < count < len(similarity):
        least = np.partition(similarity, -count)[-count]
    places = np.flatnonzero((similarity >= least) & (similarity > 0))
    best = places[np.argsort(-similarity[places], kind="stable")[:count]]
    return [(int(n), min(float(similarity[n]), 1.0)) for n in best]
