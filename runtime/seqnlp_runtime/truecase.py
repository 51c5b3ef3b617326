"""Letter case for texts that were written without: the form that each word usually has."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from seqnlp_runtime.normalize import NORMALIZERS, capitalize

_LETTERS = r"[\w\u0300-\u036f]+"
_WORD = re.compile(rf"({_LETTERS}(?:(?:[.&]|['’](?![sS]\b)){_LETTERS})*)(?:['’][sS]\b)?")
"""The ending of an owner is left alone: it has the case of no word."""
_MARKS = re.compile(r"[\n.!?…。！？]")
_NEAR = 24  # characters of a word and of what follows it that can tell whether a sentence ends

_CLOSING = "\"'”’»›)\\]}"
_MARK = re.compile(rf"[.!?…。！？]+[{_CLOSING}]*\Z")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_SHORT_WORDS = (
    "mr mrs ms mx dr prof rev fr hon gen col lt maj capt cpt cmdr adm sgt cpl pvt gov sen rep pres "
    "messrs mmes esq mgr supt det hr frau nr no nos art fig figs vol vols ch sec eq "
    "pp ed eds vs cf ca approx al e.g i.e eg ie viz z.b d.h u.a bzw bspw tel ext attn re "
    "st ste mt ft ave blvd rd hwy sq bldg apt etc inc co corp ltd llc bros jr sr dept univ assn "
    "est min max hrs hr mins ph.d b.a m.a a.m p.m am pm usw str abs mio mrd jan feb mar apr jun "
    "jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
_SHORT = frozenset(_SHORT_WORDS.split())
"""Abbreviations, behind whose point a sentence may go on."""

_Forms: TypeAlias = dict[str, Counter[str]]


class Truecaser:
    """Writes words as their source has them, and as targets of training usually did.

    Args:
        state: what seqnlp.json says of it.

    Raises:
        KeyError, TypeError: it is none.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._normalizers = [NORMALIZERS[name] for name in state["normalizers"]]
        self._usual = {form.lower(): form for form in state["usual"]}
        self._trusted = frozenset(state["trusted"])
        self._capital = bool(state["capital"])

    def write(self, texts: Sequence[str], source: str) -> list[str]:
        """The texts with their letter case; words that have a capital keep theirs.

        Args:
            texts: answers to one source.
            source: as it was given.
        """
        found = [list(_words(text)) for text in texts]
        wanted = {word for words in found for _, word, _ in words} - self._trusted
        forms = {**self._usual, **_forms_in(_normalize(source, self._normalizers), wanted)}
        return [self._spell(text, words, forms) for text, words in zip(texts, found, strict=True)]

    def _spell(
        self, text: str, words: Iterable[tuple[int, str, bool]], forms: Mapping[str, str]
    ) -> str:
        pieces: list[str] = []
        end = 0
        for start, word, begins in words:
            form = forms.get(word, word)
            pieces += text[end:start], capitalize(form) if begins and self._capital else form
            end = start + len(word)
        return "".join(pieces) + text[end:]


def ends_sentence(token: str) -> bool:
    """Whether a token may be the last of a sentence: an end mark by itself or behind a word that is
    no abbreviation, or the end of a line.

    >>> [token for token in ("?!", "home.", "etc.", "U.S.", "3.5", ",") if ends_sentence(token)]
    ['?!', 'home.']
    """
    mark = _MARK.search(token)
    if mark is None:
        return "\n" in token
    word = re.sub(r"^[\W_]+", "", token[: mark.start()]).casefold()
    known = word in _SHORT or _INITIALS.fullmatch(word) is not None
    return mark[0] != "." or not known


def _normalize(text: str, functions: Iterable[Callable[[str], str]]) -> str:
    for function in functions:
        text = function(text)
    return text


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
    forms = {**first, **inner}
    return {key: max(counts, key=counts.__getitem__) for key, counts in forms.items()}
