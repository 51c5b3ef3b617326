"""From text to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from seqnlp_runtime.described import count, entry, strings
from seqnlp_runtime.errors import FolderError
from seqnlp_runtime.ngrams import NgramHasher
from seqnlp_runtime.normalize import NORMALIZERS
from seqnlp_runtime.tokenizers import Tokenizer, make_tokenizer

PAD, UNK = 0, 1
"""The ids of padding and of every unknown token."""


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Normalizers, a tokenizer, a vocabulary, hashed n-grams.

    specials: the tokens of the first ids, of which no text has one. vocabulary: those that follow.
    """

    normalizers: tuple[Callable[[str], str], ...]
    tokenizer: Tokenizer
    specials: tuple[str, ...]
    vocabulary: Sequence[str]
    hasher: NgramHasher | None

    @classmethod
    def read(cls, described: Any) -> Self:
        """What seqnlp.json says of a pipeline.

        Raises:
            FolderError: it cannot be made.
        """
        if not isinstance(described, dict):
            raise FolderError("damaged: pipelines: expected an object for each")
        normalizers, tokenizer = strings(described, "normalizers"), described.get("tokenizer")
        for name in normalizers:
            if name not in NORMALIZERS:
                known = ", ".join(NORMALIZERS)
                raise FolderError(f"no normalizer is named {name!r}; known: {known}")
        specials = tuple(strings(described, "specials"))
        if specials[:2] != ("<pad>", "<unk>"):
            begin = ", ".join(specials[:2])
            raise FolderError(f"damaged: specials: expected <pad>, <unk> first, found {begin}")
        return cls(
            normalizers=tuple(NORMALIZERS[name] for name in normalizers),
            tokenizer=make_tokenizer(
                entry(tokenizer, "family", str), entry(tokenizer, "state", dict)
            ),
            specials=specials,
            vocabulary=strings(described, "vocabulary"),
            hasher=None if described.get("ngrams") is None else _hasher(described["ngrams"]),
        )

    @cached_property
    def index(self) -> dict[str, int]:
        """Text token to id; not to be changed."""
        return {token: id for id, token in enumerate(self.vocabulary, start=len(self.specials))}

    def normalize(self, text: str) -> str:
        """Apply the normalizers."""
        for function in self.normalizers:
            text = function(text)
        return text

    def tokens(self, text: str) -> list[str]:
        """Normalize, then tokenize."""
        return self.tokenizer.tokenize(self.normalize(text))

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens."""
        get = self.index.get
        return [get(token, UNK) for token in tokens]

    def token(self, id: int) -> str:
        """The token of an id, special ones included."""
        first = len(self.specials)
        return self.specials[id] if id < first else self.vocabulary[id - first]


def _hasher(sizes: Any) -> NgramHasher:
    least, most = count(sizes, "min_size"), count(sizes, "max_size")
    if least > most:
        raise FolderError(f"damaged: min_size: expected at most max_size = {most}, found {least}")
    return NgramHasher(buckets=count(sizes, "buckets"), min_size=least, max_size=most)
