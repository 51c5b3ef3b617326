"""The tokenizers of spaCy and NLTK. Each library is imported when one is made, nothing is loaded
from a network, and no model is needed but for `nltk:word`.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Sequence

from seqnlp.errors import InputError, MissingPackageError, UnknownNameError
from seqnlp.text.joining import join_words
from seqnlp.text.normalize import replace_surrogates
from seqnlp.text.tokenizers import JSON, Tokenizer

# spaCy's and NLTK's rules are quadratic in the length of some words.
_LONGEST_WORD = 2000
_TOO_LONG = re.compile(rf"\S{{{_LONGEST_WORD}}}(?=\S)")


class SpacyTokenizer(Tokenizer):
    """spaCy's rules for a language, by its code; whitespace tokens are left out.

    A run of more than 2,000 characters without whitespace is cut before it is split.
    Detokenizing is for reading: spaces around punctuation follow English use.

    Args:
        name: a language code of spaCy (`en`, `de`, `xx` for many); its blank pipeline is made,
            of which only the tokenizer runs.

    Raises:
        UnknownNameError: spaCy has no such language.
        MissingPackageError: the language needs a package that is not installed.
    """

    family = "spacy"
    libraries = ("spacy",)

    def __init__(self, name: str = "en") -> None:
        import spacy
        import spacy.lang

        self.name = name
        try:
            self._split = spacy.blank(name).tokenizer
        except ImportError as error:
            codes = [m.name for m in pkgutil.iter_modules(spacy.lang.__path__) if m.ispkg]
            if name not in codes:
                raise UnknownNameError("spaCy language", name, codes) from error
            reason = " ".join(str(error).split())
            raise MissingPackageError(f"spacy:{name} cannot be used: {reason}") from error
        self._split_hyphens = len(self._split("a-b")) > 1

    def tokenize(self, text: str) -> list[str]:
        found = self._split(_cut_words(replace_surrogates(text)))
        return [token.text for token in found if not token.is_space]

    def detokenize(self, tokens: Sequence[str]) -> str:
        return join_words(tokens, language=self.name, hyphens=self._split_hyphens)

    def state(self) -> dict[str, JSON]:
        return {"name": self.name}


class NltkTokenizer(Tokenizer):
    """A tokenizer of NLTK, by name: treebank, tweet, toktok or word.

    `treebank` and `word` follow the Penn Treebank and write double quotes as `` and ''; they
    detokenize by NLTK's rules, the others by English use of spaces. A run of more than 2,000
    characters without whitespace is cut before it is split.

    Args:
        name: `word` also splits sentences first, and needs NLTK's data "punkt_tab".

    Raises:
        UnknownNameError: none of these.
        InputError: the data that `word` needs is not there.
    """

    family = "nltk"
    libraries = ("nltk",)

    def __init__(self, name: str = "treebank") -> None:
        makers = {"treebank": _treebank, "tweet": _tweet, "toktok": _toktok, "word": _word}
        if name not in makers:
            raise UnknownNameError("NLTK tokenizer", name, makers)
        self.name = name
        self._split, self._join = makers[name]()

    def tokenize(self, text: str) -> list[str]:
        return self._split(_cut_words(text))

    def detokenize(self, tokens: Sequence[str]) -> str:
        return self._join(tokens)

    def state(self) -> dict[str, JSON]:
        return {"name": self.name}


def _cut_words(text: str) -> str:
    return text if len(text) <= _LONGEST_WORD else _TOO_LONG.sub(r"\g<0> ", text)


_Split = Callable[[str], list[str]]
_Join = Callable[[Sequence[str]], str]


def _join(tokens: Sequence[str]) -> str:
    return join_words(tokens, hyphens=False)


def _treebank() -> tuple[_Split, _Join]:
    from nltk.tokenize import TreebankWordTokenizer
    from nltk.tokenize.treebank import TreebankWordDetokenizer

    return TreebankWordTokenizer().tokenize, TreebankWordDetokenizer().detokenize


def _tweet() -> tuple[_Split, _Join]:
    from nltk.tokenize import TweetTokenizer

    return TweetTokenizer().tokenize, _join


def _toktok() -> tuple[_Split, _Join]:
    from nltk.tokenize.toktok import ToktokTokenizer

    return ToktokTokenizer().tokenize, _join


def _word() -> tuple[_Split, _Join]:
    import nltk.data
    from nltk.tokenize import word_tokenize
    from nltk.tokenize.treebank import TreebankWordDetokenizer

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError as error:
        raise InputError(
            "nltk:word needs NLTK's data 'punkt_tab', which is not installed and is never "
            "downloaded silently; run: python -m nltk.downloader punkt_tab"
        ) from error
    return word_tokenize, TreebankWordDetokenizer().detokenize
