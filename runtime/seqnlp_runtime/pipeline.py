"""From text to ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

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
    def read(cls, described: Mapping[str, Any]) -> Self:
        """What seqnlp.json says of a pipeline.

        Raises:
            FolderError: it cannot be made.
        """
        for name in described["normalizers"]:
            if name not in NORMALIZERS:
                known = ", ".join(NORMALIZERS)
                raise FolderError(f"no normalizer is named {name!r}; known: {known}")
        tokenizer, sizes = described["tokenizer"], described["ngrams"]
        return cls(
            normalizers=tuple(NORMALIZERS[name] for name in described["normalizers"]),
            tokenizer=make_tokenizer(tokenizer["family"], tokenizer["state"]),
            specials=tuple(described["specials"]),
            vocabulary=described["vocabulary"],
            hasher=None if sizes is None else NgramHasher(**sizes),
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
