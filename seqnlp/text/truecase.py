"""Letter case for texts that were written without: the form that each word usually has (Lita,
Ittycheriah, Roukos and Kambhatla 2003, "tRuEcasIng", its unigram model).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

from seqnlp import registry
from seqnlp.text.normalize import capitalize, normalize
from seqnlp.text.sentences import ends_sentence

_LETTERS = r"[\w\u0300-\u036f]+"
_WORD = re.compile(rf"({_LETTERS}(?:(?:[.&]|['’](?![sS]\b)){_LETTERS})*)(?:['’][sS]\b)?")
"""The ending of an owner is left alone: it has the case of no word."""
_MARKS = re.compile(r"[\n.!?…。！？]")
_NEAR = 24  # characters of a word and of what follows it that can tell whether a sentence ends
_PROBE = "Two NASA"

_Forms: TypeAlias = dict[str, Counter[str]]


@dataclass(frozen=True, kw_only=True)
class Truecaser:
    """What is usual in targets of train.

    normalizers: of targets, but those that change letter case alone. usual: the usual form of each
    word that is not usually in lower case, by the word in lower case. trusted: words whose usual
    form here is right more often than the one that their source has. capital: whether sentences
    usually begin with a capital.
    """

    normalizers: tuple[str, ...]
    usual: Mapping[str, str]
    trusted: frozenset[str]
    capital: bool

    @classmethod
    def fit(cls, pairs: Iterable[tuple[str, str]], normalizers: Iterable[str]) -> Self:
        """Count the forms of words in (source, target) pairs; in memory are those of targets.

        Args:
            pairs: of train.
            normalizers: all of targets'.
        """
        kept = tuple(name for name in normalizers if not _changes_case(name))
        inner: _Forms = defaultdict(Counter)
        first: _Forms = defaultdict(Counter)
        seen: Counter[tuple[str, str]] = Counter()  # the forms of a word in target and source
        capitals = 0
        for source, target in pairs:
            words = [(word, begins) for _, word, begins in _words(normalize(target, kept))]
            known = _forms_in(normalize(source, kept), {word.lower() for word, _ in words})
            for word, begins in words:
                key = word.lower()
                (first if begins else inner)[key][word] += 1
                if begins:
                    capitals += word[0].isupper() - word[0].islower()
                elif key in known:
                    seen[word, known[key]] += 1
        forms = _usual(inner, first)
        better: Counter[str] = Counter()
        for (word, other), count in seen.items():
            key = word.lower()
            # A word that was seen once is evidence for itself.
            better[key] += count * ((forms[key] == word and inner[key][word] > 1) - (other == word))
        return cls(
            normalizers=kept,
            usual={key: form for key, form in forms.items() if key != form},
            trusted=frozenset(key for key, count in better.items() if count > 0),
            capital=capitals > 0,
        )

    @classmethod
    def restore(cls, state: Mapping[str, Any], normalizers: Iterable[str]) -> Self:
        """From what `state` gave.

        Raises:
            KeyError, TypeError: it is none.
        """
        usual, trusted, capital = (state[key] for key in ("usual", "trusted", "capital"))
        for key, words in (("usual", usual), ("trusted", trusted)):
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise TypeError(f"truecase.{key} must be a list of words")
        if not isinstance(capital, bool):
            raise TypeError(f"truecase.capital must be true or false, not {capital!r}")
        return cls(
            normalizers=tuple(name for name in normalizers if not _changes_case(name)),
            usual={form.lower(): form for form in usual},
            trusted=frozenset(trusted),
            capital=capital,
        )

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "usual": sorted(self.usual.values()),
            "trusted": sorted(self.trusted),
            "capital": self.capital,
        }

    def write(self, texts: Sequence[str], source: str) -> list[str]:
        """The texts with their letter case; words that have a capital keep theirs.

        Args:
            texts: answers to one source.
            source: as it was given.
        """
        found = [list(_words(text)) for text in texts]
        wanted = {word for words in found for _, word, _ in words} - self.trusted
        forms = {**self.usual, **_forms_in(normalize(source, self.normalizers), wanted)}
        return [self._spell(text, words, forms) for text, words in zip(texts, found, strict=True)]

    def _spell(
        self, text: str, words: Iterable[tuple[int, str, bool]], forms: Mapping[str, str]
    ) -> str:
        pieces: list[str] = []
        end = 0
        for start, word, begins in words:
            form = forms.get(word, word)
            pieces += text[end:start], capitalize(form) if begins and self.capital else form
            end = start + len(word)
        return "".join(pieces) + text[end:]


def lowers(normalizers: Iterable[str]) -> bool:
    """Whether they leave nothing in upper case.

    >>> lowers(["nfc", "lowercase"]), lowers(["nfc", "uncapitalize"])
    (True, False)
    """
    return normalize(_PROBE, normalizers) == _PROBE.lower()


def _changes_case(name: str) -> bool:
    written: str = registry.normalizers.get(name)(_PROBE)
    return written != _PROBE and written.lower() == _PROBE.lower()


def _words(text: str) -> Iterator[tuple[int, str, bool]]:
    """Where each word starts, the word, and whether it begins a sentence or line."""
    before, end = "", 0
    for match in _WORD.finditer(text):
        word = match[1]
        yield match.start(), word, not before or _ended(before, text[end : match.start()])
        before, end = word, match.end()


def _ended(word: str, gap: str) -> bool:
    """Whether a sentence or a line ends with a word and what stands between it and the next."""
    if not _MARKS.search(gap):
        return False
    # Whole words are not looked at: time stays linear in a text of any words.
    return "\n" in gap or any(
        ends_sentence(chunk) for chunk in (word[-_NEAR:] + gap[:_NEAR]).split()
    )


def _forms_in(text: str, wanted: set[str]) -> dict[str, str]:
    """The most usual form of each wanted word, given in lower case, that a text has."""
    inner: _Forms = defaultdict(Counter)
    first: _Forms = defaultdict(Counter)
    for _, word, begins in _words(text):
        if (key := word.lower()) in wanted:
            (first if begins else inner)[key][word] += 1
    return _usual(inner, first)


def _usual(inner: _Forms, first: _Forms) -> dict[str, str]:
    """The most frequent form within sentences, or else at their beginning; of equals, the first."""
    forms = {**first, **inner}
    return {key: max(counts, key=counts.__getitem__) for key, counts in forms.items()}
