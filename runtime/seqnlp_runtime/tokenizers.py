"""The tokenizers of seqnlp, by their families, made from the state that an exported folder has.

What they need beyond the standard library is imported when the first text is split: a caller who
brings tokens needs none of it.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from seqnlp_runtime.errors import FolderError, MissingPackageError
from seqnlp_runtime.joining import join_words
from seqnlp_runtime.normalize import replace_surrogates

_UNKNOWN = "<unk>"
_SPACE = "\u2581"  # stands for a space within pieces
_LONGEST_WORD = 2000  # of spaCy's and NLTK's rules, which are quadratic in the length of some
_TOO_LONG = re.compile(rf"\S{{{_LONGEST_WORD}}}(?=\S)")


class Tokenizer(ABC):
    """Splits a text into tokens and puts tokens together again."""

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """Split a text; no token is empty."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Put tokens together as a text."""
        return " ".join(tokens)

    def label(self, token: str) -> str:
        """A token as a person reads it."""
        return token


class WhitespaceTokenizer(Tokenizer):
    """Splits at whitespace."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


class CharTokenizer(Tokenizer):
    """Makes every code point a token."""

    def tokenize(self, text: str) -> list[str]:
        return list(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens)


class RegexTokenizer(Tokenizer):
    """Takes what a regular expression finds."""

    def __init__(self, *, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def tokenize(self, text: str) -> list[str]:
        if self._pattern.groups:  # findall would return the groups
            return [match[0] for match in self._pattern.finditer(text) if match[0]]
        return [token for token in self._pattern.findall(text) if token]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return join_words(tokens, self.tokenize)


class SubwordTokenizer(Tokenizer):
    """What is trained on a corpus: `model` is what the package `tokenizers` reads."""

    def __init__(self, *, model: Mapping[str, Any], size: int, min_count: int) -> None:
        self._model = model

    @cached_property
    def _engine(self) -> Any:
        from tokenizers import Tokenizer as Engine

        try:
            return Engine.from_str(json.dumps(self._model))
        except Exception as error:
            if type(error) is not Exception:  # the package raises nothing more exact
                raise
            raise FolderError(f"a tokenizer that is damaged: {error}") from error

    def _decode(self, tokens: Sequence[str]) -> str:
        text: str = self._engine.decoder.decode(list(tokens)) if tokens else ""
        return text


class BPETokenizer(SubwordTokenizer):
    """Byte-pair encoding over UTF-8 bytes."""

    @cached_property
    def _front(self) -> str:
        return " " if self._engine.pre_tokenizer.add_prefix_space else ""

    def tokenize(self, text: str) -> list[str]:
        if not text:
            return []
        found: list[str] = self._engine.encode(self._front + replace_surrogates(text)).tokens
        return found

    def detokenize(self, tokens: Sequence[str]) -> str:
        return self._decode(tokens).removeprefix(self._front)

    def label(self, token: str) -> str:
        text = self._decode([token])
        return token if "\ufffd" in text else text.replace(" ", _SPACE)


class UnigramTokenizer(SubwordTokenizer):
    """Pieces of a unigram language model."""

    def tokenize(self, text: str) -> list[str]:
        if not text:
            return []
        found: list[str] = self._engine.encode(" " + replace_surrogates(text)).tokens
        return found

    def detokenize(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).replace(_SPACE, " ").removeprefix(" ")


class WordPieceTokenizer(SubwordTokenizer):
    """Greedy longest pieces of words."""

    def tokenize(self, text: str) -> list[str]:
        text = replace_surrogates(text)
        found = self._engine.encode(text)
        return [
            text[start:end] if token == _UNKNOWN else token
            for token, (start, end) in zip(found.tokens, found.offsets, strict=True)
        ]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return self._decode(tokens)


class SpacyTokenizer(Tokenizer):
    """spaCy's rules for a language."""

    def __init__(self, *, name: str) -> None:
        self._name = name

    @cached_property
    def _split(self) -> Any:
        try:
            import spacy

            return spacy.blank(self._name).tokenizer
        except ImportError as error:
            raise _missing("spacy", self._name) from error

    def tokenize(self, text: str) -> list[str]:
        found = self._split(_cut_words(replace_surrogates(text)))
        return [token.text for token in found if not token.is_space]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return join_words(tokens, language=self._name, hyphens=len(self._split("a-b")) > 1)


class NltkTokenizer(Tokenizer):
    """A tokenizer of NLTK: treebank, tweet, toktok or word."""

    def __init__(self, *, name: str) -> None:
        self._name = name

    @cached_property
    def _split(self) -> Callable[[str], list[str]]:
        try:
            import nltk.tokenize
            from nltk.tokenize.toktok import ToktokTokenizer
        except ImportError as error:
            raise _missing("nltk", self._name) from error
        if self._name == "word":
            try:
                nltk.data.find("tokenizers/punkt_tab/english/")
            except LookupError as error:
                raise MissingPackageError(
                    "nltk:word needs NLTK's data 'punkt_tab', which is not installed; run: "
                    "python -m nltk.downloader punkt_tab"
                ) from error
        makers: dict[str, Callable[[], Callable[[str], list[str]]]] = {
            "treebank": lambda: nltk.tokenize.TreebankWordTokenizer().tokenize,
            "tweet": lambda: nltk.tokenize.TweetTokenizer().tokenize,
            "toktok": lambda: ToktokTokenizer().tokenize,
            "word": lambda: nltk.tokenize.word_tokenize,
        }
        return makers[self._name]()

    def tokenize(self, text: str) -> list[str]:
        return self._split(_cut_words(text))

    def detokenize(self, tokens: Sequence[str]) -> str:
        if self._name in ("tweet", "toktok"):
            return join_words(tokens, hyphens=False)
        try:
            from nltk.tokenize.treebank import TreebankWordDetokenizer
        except ImportError as error:
            raise _missing("nltk", self._name) from error
        text: str = TreebankWordDetokenizer().detokenize(tokens)
        return text


FAMILIES: dict[str, Callable[..., Tokenizer]] = {
    "whitespace": WhitespaceTokenizer,
    "char": CharTokenizer,
    "regex": RegexTokenizer,
    "bpe": BPETokenizer,
    "unigram": UnigramTokenizer,
    "wordpiece": WordPieceTokenizer,
    "spacy": SpacyTokenizer,
    "nltk": NltkTokenizer,
}


def make_tokenizer(family: str, state: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a family with this state.

    Raises:
        FolderError: no such family, or no state of it.
    """
    if family not in FAMILIES:
        raise FolderError(f"no tokenizer is named {family!r}; known: {', '.join(FAMILIES)}")
    try:
        return FAMILIES[family](**state)
    except (TypeError, re.error) as error:
        raise FolderError(f"no state of a {family} tokenizer: {error}") from error


def _missing(package: str, name: str) -> MissingPackageError:
    return MissingPackageError(
        f"the tokenizer {package}:{name} needs the package {package}; pip install {package}, or "
        "give tokens: model.predict_tokens([[...]])"
    )


def _cut_words(text: str) -> str:
    return text if len(text) <= _LONGEST_WORD else _TOO_LONG.sub(r"\g<0> ", text)
