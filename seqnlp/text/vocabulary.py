"""Tokens to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from seqnlp.errors import BundleError, InputError
from seqnlp.files import write_text
from seqnlp.text.storage import dump_json, read_json

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<bos>", "<eos>"


@dataclass(frozen=True)
class Vocabulary:
    """Ids of the special tokens, then of the tokens of texts.

    The two never mix: a text that holds the characters `<pad>` gets that token's own id, or that
    of the unknown token, and never the id of padding.

    Args:
        tokens: the tokens of texts; the first has the id len(specials).
        specials: `<pad>` and `<unk>`, and others such as `<bos>` and `<eos>`.

    Raises:
        InputError: a token stands twice, or the first specials are not `<pad>` and `<unk>`.
    """

    tokens: tuple[str, ...]
    specials: tuple[str, ...] = (PAD, UNK)

    def __post_init__(self) -> None:
        if self.specials[:2] != (PAD, UNK):
            raise InputError(f"specials begin with {PAD} and {UNK}, found {self.specials!r}")
        for kind, names in (("special", self.specials), ("token", self.tokens)):
            if len(set(names)) != len(names):
                twice = next(name for i, name in enumerate(names) if name in names[:i])
                raise InputError(f"the {kind} {twice!r} stands twice in the vocabulary")

    @classmethod
    def from_counts(
        cls,
        counts: Mapping[str, int],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        specials: tuple[str, ...] = (PAD, UNK),
    ) -> Self:
        """Take the most frequent tokens, ties in the order of their code points.

        Args:
            counts: how often each token was seen.
            min_count: tokens seen less often are left out.
            max_size: the most ids, special ones included.
            specials: see the class.

        Raises:
            InputError: `max_size` leaves no room for a token.
        """
        if max_size is not None and max_size <= len(specials):
            raise InputError(
                f"max_size = {max_size} leaves no room beside {len(specials)} special tokens"
            )
        kept = sorted((-count, token) for token, count in counts.items() if count >= min_count)
        room = None if max_size is None else max_size - len(specials)
        return cls(tuple(token for _, token in kept[:room]), specials)

    @cached_property
    def index(self) -> dict[str, int]:
        """Text token to id; not to be changed."""
        return {token: i for i, token in enumerate(self.tokens, start=len(self.specials))}

    @property
    def pad(self) -> int:
        """The id of padding."""
        return 0

    @property
    def unk(self) -> int:
        """The id of every unknown token."""
        return 1

    def special(self, name: str) -> int:
        """The id of a special token.

        Raises:
            InputError: the vocabulary has no such special token.
        """
        if name not in self.specials:
            known = ", ".join(self.specials)
            raise InputError(f"the vocabulary has no special token {name!r}; it has {known}")
        return self.specials.index(name)

    def id(self, token: str) -> int:
        """The id of a text token, `unk` where it is unknown."""
        return self.index.get(token, 1)

    def ids(self, tokens: Iterable[str]) -> list[int]:
        """The ids of text tokens."""
        index = self.index
        return [index.get(token, 1) for token in tokens]

    def token(self, id: int) -> str:
        """The token of an id, special ones included.

        Raises:
            InputError: there is no such id.
        """
        if not 0 <= id < len(self):
            raise InputError(f"no token has the id {id}; ids are 0 to {len(self) - 1}")
        first = len(self.specials)
        return self.specials[id] if id < first else self.tokens[id - first]

    def __len__(self) -> int:
        return len(self.specials) + len(self.tokens)

    def __contains__(self, token: str) -> bool:
        return token in self.index

    def save(self, path: Path) -> None:
        """Write a UTF-8 JSON file, one line a token."""
        write_text(path, dump_json({"specials": self.specials, "tokens": self.tokens}, indent=0))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            BundleError: the file is missing or damaged.
        """
        data = read_json(path)
        try:
            return cls(_strings(data, "tokens"), _strings(data, "specials"))
        except InputError as error:
            raise BundleError(f"{path}: {error}") from error


def _strings(data: Mapping[str, object], key: str) -> tuple[str, ...]:
    values = data.get(key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"expected a list of strings under {key!r}")
    return tuple(values)
