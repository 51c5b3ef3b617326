"""Normalizers of seqnlp, by their names: text to text, applied in order before tokenizing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_DIGIT = re.compile(r"\d")
_FIRST_WORD = re.compile(r"([\W_]*)(\w)(\w*)")


def lowercase(text: str) -> str:
    """Lower-case every letter."""
    return text.lower()


def nfc(text: str) -> str:
    """Unicode NFC."""
    return unicodedata.normalize("NFC", text)


def nfkc(text: str) -> str:
    """Unicode NFKC."""
    return unicodedata.normalize("NFKC", text)


def uncapitalize(text: str) -> str:
    """Lower-case the first letter, unless its word has more capitals.

    >>> uncapitalize('"Two men."'), uncapitalize("NASA flies.")
    ('"two men."', 'NASA flies.')
    """
    word = _FIRST_WORD.match(text)
    if word is None or word[3] != word[3].lower():
        return text
    lowered = word[2].lower()
    return word[1] + lowered + text[word.end(2) :] if lowered.title() == word[2] else text


def capitalize(text: str) -> str:
    """The way back from `uncapitalize`.

    >>> capitalize('"two men."'), capitalize("iPhone")
    ('"Two men."', 'iPhone')
    """
    word = _FIRST_WORD.match(text)
    if word is None or word[3] != word[3].lower():
        return text
    raised = word[2].title()
    return word[1] + raised + text[word.end(2) :] if raised.lower() == word[2] else text


def strip_accents(text: str) -> str:
    """Remove nonspacing marks.

    >>> strip_accents("naïve déjà vu")
    'naive deja vu'
    """
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    kept = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", kept)


def collapse_whitespace(text: str) -> str:
    """One space for every run of whitespace, none at the ends."""
    return " ".join(text.split())


def mask_digits(text: str) -> str:
    """0 for every decimal digit."""
    return _DIGIT.sub("0", text)


def replace_surrogates(text: str) -> str:
    """U+FFFD for each lone surrogate, which UTF-8 cannot hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


NORMALIZERS: dict[str, Callable[[str], str]] = {
    function.__name__: function
    for function in (
        lowercase, uncapitalize, nfc, nfkc, strip_accents, collapse_whitespace, mask_digits,
    )
}  # fmt: skip
