"""Tokenizers that need no library: whitespace, a regular expression, characters.

`parse_tokenizer` makes any registered tokenizer from what a recipe says of it.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

from seqnlp import registry
from seqnlp.config import build
from seqnlp.errors import InputError, SettingsError
from seqnlp.text.joining import join_words

if TYPE_CHECKING:
    from seqnlp.text.segmenters import Segmenter

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

# Word characters that `\w` leaves out: the combining marks of the scripts that write with them.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u200d"

WORDS = (
    r"[nN]['’][tT]\b"  # n't by itself, as tokenized corpora have it
    r"|\w+?(?=[nN]['’][tT]\b)"  # the do of don't
    r"|['’](?:[sS]|[dD]|[mM]|[lL][lL]|[rR][eE]|[vV][eE])\b"  # 's 'd 'm 'll 're 've
    r"|\d+(?:[.,:/]\d+)*(?!\w)"  # 1,000.50  10:45  9/11
    rf"|\w[\w{_MARKS}]*"
    r"|[^\w\s]"
)
"""The default pattern: words, numbers, English contractions, single punctuation marks."""


class Tokenizer(ABC):
    """Splits a text into tokens and puts tokens together again; immutable.

    A registered tokenizer's options are the keywords of its constructor. One that is written
    `family:argument` in a recipe takes the argument as `name: str`.
    """

    family: ClassVar[str]
    """The name it is registered under; a saved pipeline finds it again by this."""
    needs_training: ClassVar[bool] = False
    lossless: ClassVar[bool] = False
    """Whether `detokenize(tokenize(text)) == text` for every text that the class admits."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Distributions whose version may change the tokens, and so makes cached tokens stale."""

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """Split a text; no token is empty."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Put tokens together as a text."""
        return " ".join(tokens)

    def label(self, token: str) -> str:
        """A token as a person reads it."""
        return token

    def train(self, texts: Iterable[str]) -> Self:
        """Return a tokenizer trained on the texts; itself, where there is nothing to train."""
        return self

    def inventory(self) -> tuple[str, ...] | None:
        """All tokens that it can make of known characters; None where there is no end of them.

        A piece that was only a step towards longer ones occurs in no text of training, but may in
        others, and in sampled segmentations.
        """
        return None

    def segmenter(self) -> Segmenter | None:
        """What draws other ways to cut a word; None where a text is cut in one way only."""
        return None

    def state(self) -> dict[str, JSON]:
        """What `from_state` needs to make this tokenizer again, as JSON values."""
        return {}

    @classmethod
    def from_state(cls, state: Mapping[str, JSON]) -> Self:
        """Make the tokenizer whose `state` this is.

        Raises:
            InputError, TypeError, ValueError, KeyError: the state is not one of this class.
        """
        return cls(**state)

    def __eq__(self, other: object) -> bool:
        """Tokenizers of one class and state are equal: they split every text the same."""
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return type(self) is type(other) and self.state() == other.state()

    def __hash__(self) -> int:
        return hash(type(self))


class WhitespaceTokenizer(Tokenizer):
    """Splits at whitespace: for text that is tokenized already.

    Detokenizing joins by one space, so runs of whitespace come back as one space.

    >>> WhitespaceTokenizer().tokenize("a stirring , funny film")
    ['a', 'stirring', ',', 'funny', 'film']
    """

    family = "whitespace"

    def tokenize(self, text: str) -> list[str]:
        return text.split()


class RegexTokenizer(Tokenizer):
    """Takes what a regular expression finds; the default splits words, numbers and punctuation.

    With the default pattern nothing but whitespace is lost, and detokenizing drops only those
    spaces that the tokens do without: `tokenize(detokenize(tokens)) == tokens`.

    >>> RegexTokenizer().tokenize("It isn't Ann's, it's $9.50!")
    ['It', 'is', "n't", 'Ann', "'s", ',', 'it', "'s", '$', '9.50', '!']

    Args:
        pattern: in the syntax of `re`; it must not match the empty string.
    """

    family = "regex"

    def __init__(self, *, pattern: str = WORDS) -> None:
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise InputError(f"pattern: not a regular expression: {error}: {pattern!r}") from error
        if self._pattern.match(""):
            raise InputError(f"pattern: {pattern!r} matches the empty string")

    def tokenize(self, text: str) -> list[str]:
        if self._pattern.groups:  # findall would return the groups
            found = [match[0] for match in self._pattern.finditer(text)]
        else:
            found = self._pattern.findall(text)
        return [token for token in found if token]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return join_words(tokens, self.tokenize)

    def state(self) -> dict[str, JSON]:
        return {"pattern": self._pattern.pattern}


class CharTokenizer(Tokenizer):
    """Makes every code point a token; lossless for any text.

    >>> CharTokenizer().tokenize("to be")
    ['t', 'o', ' ', 'b', 'e']
    """

    family = "char"
    lossless = True

    def tokenize(self, text: str) -> list[str]:
        return list(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)


def parse_tokenizer(
    spec: str, options: Mapping[str, object], *, where: str = "text.tokenizer_options"
) -> Tokenizer:
    """Make a tokenizer from what a recipe says: "regex", "spacy:de", "nltk:treebank".

    Args:
        spec: the registered name, and after a colon the argument of a family that takes one.
        options: the other keywords of its constructor.
        where: the key that holds the options, for messages.

    Raises:
        SettingsError: an option or argument that the tokenizer does not take.
        UnknownNameError: no tokenizer has that name.
    """
    family, colon, argument = spec.partition(":")
    factory = registry.tokenizers.get(family)
    if not colon:
        made = build(factory, options, where=where)
    elif "name" not in inspect.signature(factory).parameters:
        raise SettingsError(
            f"text.tokenizer: {family!r} takes no argument, found {spec!r}; write {family!r}"
        )
    elif not argument:
        raise SettingsError(f"text.tokenizer: {spec!r} has nothing after the colon")
    else:
        made = build(factory, options, where=where, name=argument)
    if not isinstance(made, Tokenizer):
        raise SettingsError(
            f"text.tokenizer: {family!r} makes a {type(made).__name__}, not a Tokenizer"
        )
    return made
