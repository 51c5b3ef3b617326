"""Texts as symbols, characters or words, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from seqnlp.errors import InputError, suggest

Kind = Literal["characters", "words"]


class Symbols:
    """The symbols of a task: number 0 is the blank, the others follow in their order.

    Args:
        names: characters or words, sorted, none twice.
    """

    def __init__(self, names: Sequence[str], kind: Kind) -> None:
        self.names, self.kind = tuple(names), kind
        self._numbers = {name: number for number, name in enumerate(self.names, start=1)}
        if len(self._numbers) != len(self.names):
            raise ValueError("a symbol is there twice")

    @classmethod
    def fit(cls, texts: Iterable[str], kind: Kind) -> Symbols:
        """The symbols that occur in texts, spaces among the characters."""
        found: set[str] = set()
        for text in texts:
            found.update(_split(text, kind))
        return cls(sorted(found), kind)

    def __len__(self) -> int:
        """V, the blank included."""
        return len(self.names) + 1

    def encode(self, text: str, where: str = "") -> list[int]:
        """Numbers of a text.

        Raises:
            InputError: a symbol that did not occur in train.
        """
        numbers = []
        for name in _split(text, self.kind):
            if name not in self._numbers:
                what = "character" if self.kind == "characters" else "word"
                raise InputError(
                    f"{where}: the {what} {name!r} does not occur in train; "
                    f"{suggest(name, self.names)}"
                )
            numbers.append(self._numbers[name])
        return numbers

    def known(self, text: str) -> bool:
        """Whether all symbols of a text are."""
        return all(name in self._numbers for name in _split(text, self.kind))

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers, none of them the blank's."""
        joint = "" if self.kind == "characters" else " "
        return " ".join(joint.join(self.names[number - 1] for number in numbers).split())


def _split(text: str, kind: Kind) -> Iterable[str]:
    words = text.split()
    return words if kind == "words" else " ".join(words)
