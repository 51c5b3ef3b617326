"""Texts tokenized once: token types as numbers, in files that are memory-mapped."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.data.corpus import Corpus, Split
from seqnlp.data.store import cache_entry, digest_of
from seqnlp.files import new_file
from seqnlp.text import TokenPipeline, tokenize_all
from seqnlp.text.sentences import split_sentences

MAGIC = b"seqnlp tokens 1\n"
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenizedText:
    """N documents as numbers of token types.

    types: the U distinct tokens in first-seen order. tokens: int32 [M], all documents one after
    another, each token by its place in `types`. offsets: int64 [N + 1], where each document
    begins in `tokens`, and the end.
    """

    types: tuple[str, ...]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def from_tokens(cls, documents: Iterable[Sequence[str]]) -> TokenizedText:
        """Number the tokens of documents in memory."""
        numbers: dict[str, int] = {}
        tokens, ends = array("i"), array("q", [0])
        for document in documents:
            tokens.extend(numbers.setdefault(token, len(numbers)) for token in document)
            ends.append(len(tokens))
        return cls(
            types=tuple(numbers),
            tokens=np.array(tokens, dtype=np.int32),
            offsets=np.array(ends, dtype=np.int64),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        """The type numbers of one document, int32 [T], a view."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        index %= len(self)
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, int64 [N]."""
        return np.diff(self.offsets)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each type occurs in these documents, int64 [U]."""
        counts = np.zeros(len(self.types), dtype=np.int64)
        for begin in range(0, len(self.tokens), BLOCK):
            block = self.tokens[begin : begin + BLOCK]
            counts += np.bincount(block, minlength=len(counts))
        return counts


def tokenize_split(
    split: Split, field: str, pipeline: TokenPipeline, *, workers: int | None = None
) -> TokenizedText:
    """The tokens of a field: from the cache, or made with several processes and cached.

    Those of a split that is not lasting are kept nowhere.

    Args:
        workers: processes; by default as many as the work is worth.
    """
    if not split.lasting:
        return _in_memory(split.column(field), pipeline, workers)
    path = _entry(split, field, pipeline)
    return _load(path) or _make(path, split.column(field), pipeline, workers)


def tokenize_sentences(
    split: Split, field: str, pipeline: TokenPipeline, *, workers: int | None = None
) -> TokenizedText:
    """The tokens of each sentence of a field, those of a text one after another; cached as well.

    Args:
        workers: see `tokenize_split`.
    """
    sentences = chain.from_iterable(map(split_sentences, split.column(field)))
    if not split.lasting:
        return _in_memory(sentences, pipeline, workers)
    path = _entry(split, field, pipeline, "sentences")
    return _load(path) or _make(path, sentences, pipeline, workers)


def tokenize_corpus(
    corpus: Corpus, field: str, pipeline: TokenPipeline, *, workers: int | None = None
) -> dict[str, TokenizedText]:
    """Every split tokenized, with one table of types for all: train's types first, unchanged.

    `counts` remain those of each split, so what is only in test has a count of 0 in train.
    """
    texts = {
        name: tokenize_split(split, field, pipeline, workers=workers)
        for name, split in corpus.splits.items()
    }
    key = None
    if all(split.lasting for split in corpus.splits.values()):
        key = [[name, _entry(split, field, pipeline).name] for name, split in corpus.splits.items()]
    numbers: dict[str, int] = {}
    places = {
        name: np.fromiter(
            (numbers.setdefault(token, len(numbers)) for token in text.types),
            np.int32,
            len(text.types),
        )
        for name, text in texts.items()
    }
    types = tuple(numbers)
    return {
        name: TokenizedText(
            types=types,
            tokens=_renumber(text, places[name], None if key is None else [*key, name]),
            offsets=text.offsets,
        )
        for name, text in texts.items()
    }


def _entry(split: Split, field: str, pipeline: TokenPipeline, *more: str) -> Path:
    digest = digest_of([split.fingerprint, field, pipeline.fingerprint(), *more])
    return cache_entry("tokens", f"{digest}.tokens")


def _in_memory(texts: Iterable[str], pipeline: TokenPipeline, workers: int | None) -> TokenizedText:
    return TokenizedText.from_tokens(tokenize_all(pipeline, texts, workers=workers))


def _make(
    path: Path, texts: Iterable[str], pipeline: TokenPipeline, workers: int | None
) -> TokenizedText:
    numbers: dict[str, int] = {}
    ends, pending = array("q", [0]), array("i")
    with new_file(path) as file:
        file.write(MAGIC)
        for document in tokenize_all(pipeline, texts, workers=workers):
            pending.extend(numbers.setdefault(token, len(numbers)) for token in document)
            ends.append(ends[-1] + len(document))
            if len(pending) >= BLOCK:
                pending.tofile(file)
                pending = array("i")
        pending.tofile(file)
        _finish(file, tuple(numbers), ends)
    made = _load(path)
    assert made is not None, f"{path} was damaged as it was written"
    return made


def _finish(file: IO[bytes], types: tuple[str, ...], ends: array[int]) -> None:
    """Offsets, types and the sizes of everything: a file cut short has no sizes that fit."""
    tokens = ends[-1]
    if tokens % 2:  # offsets are aligned to eight bytes
        file.write(bytes(4))
    ends.tofile(file)
    table = json.dumps(types).encode()
    file.write(table)
    np.array([tokens, len(ends), len(table)], dtype=np.int64).tofile(file)


def _load(path: Path) -> TokenizedText | None:
    """What is in a cache file, or None where it is missing or damaged."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
            size = file.seek(-24, 2) + 24
            tokens, ends, table = np.frombuffer(file.read(24), dtype=np.int64).tolist()
            begin = len(MAGIC) + 4 * (tokens + tokens % 2)
            if tokens < 0 or ends < 1 or table < 0 or size != begin + 8 * ends + table + 24:
                return None
            file.seek(begin + 8 * ends)
            types = tuple(json.loads(file.read(table)))
    except (OSError, ValueError):
        return None
    offsets: NDArray[np.int64] = np.memmap(path, np.int64, "r", begin, (ends,))
    if offsets[-1] != tokens:
        return None
    return TokenizedText(types=types, tokens=_map(path, len(MAGIC), tokens), offsets=offsets)


def _map(path: Path, begin: int, size: int) -> NDArray[np.int32]:
    """int32 [size] from a file; nothing can be mapped of no bytes."""
    if not size:
        return np.zeros(0, dtype=np.int32)
    return np.memmap(path, np.int32, "r", begin, (size,))


def _renumber(text: TokenizedText, places: NDArray[np.int32], key: Any) -> NDArray[np.int32]:
    """The tokens of a text with other numbers: `places[old]`; in a file too, unless key is None."""
    if np.array_equal(places, np.arange(len(places))):
        return text.tokens
    if key is None:
        return places[text.tokens]
    path = cache_entry("tokens", f"{digest_of(key)}.int32")
    size = len(text.tokens)
    if not path.is_file() or path.stat().st_size != 4 * size:
        with new_file(path) as file:
            for begin in range(0, size, BLOCK):
                places[text.tokens[begin : begin + BLOCK]].tofile(file)
    return _map(path, 0, size)
