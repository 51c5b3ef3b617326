"""Normalizers: text to text, applied in order before tokenizing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from seqnlp import registry

AT_THE_BEGINNING = frozenset({"uncapitalize"})
"""Normalizers that change the first word of a text alone."""
_DIGIT = re.compile(r"\d")
_FIRST_WORD = re.compile(r"([\W_]*)(\w)(\w*)")


def lowercase(text: str) -> str:
    """Lower-case every letter.

    >>> lowercase("A Stirring Film")
    'a stirring film'
    """
    return text.lower()


def nfc(text: str) -> str:
    r"""Compose letters and their marks (Unicode NFC).

    >>> nfc("cafe\u0301") == "caf\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


def nfkc(text: str) -> str:
    """Compose, and replace compatibility characters by their plain forms (Unicode NFKC).

    >>> nfkc("ﬁne ½ Ａ")
    'fine 1⁄2 A'
    """
    return unicodedata.normalize("NFKC", text)


def uncapitalize(text: str) -> str:
    """Lower-case the first letter of a text, so that a word is the same there and within.

    `capitalize` is the way back. What that would not give back stays: words with more capitals,
    such as NASA and McDonald, and letters without a capital of their own.

    >>> uncapitalize('"Two men."'), uncapitalize("NASA flies.")
    ('"two men."', 'NASA flies.')
    """
    word = _FIRST_WORD.match(text)
    if word is None or word[3] != word[3].lower():
        return text
    lowered = word[2].lower()
    return word[1] + lowered + text[word.end(2) :] if lowered.title() == word[2] else text


def capitalize(text: str) -> str:
    """Upper-case the first letter of a text, unless its word has capitals (iPhone).

    >>> capitalize('"two men."'), capitalize("ǆ"), capitalize("3 men")
    ('"Two men."', 'ǅ', '3 men')
    """
    word = _FIRST_WORD.match(text)
    if word is None or word[3] != word[3].lower():
        return text
    raised = word[2].title()
    return word[1] + raised + text[word.end(2) :] if raised.lower() == word[2] else text


def strip_accents(text: str) -> str:
    """Remove nonspacing marks: accents, and the vowel points of scripts that write them so.

    >>> strip_accents("naïve déjà vu")
    'naive deja vu'
    """
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    kept = "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", kept)


def collapse_whitespace(text: str) -> str:
    r"""Make every run of whitespace one space, and none at the ends.

    >>> collapse_whitespace("  two\n\t words ")
    'two words'
    """
    return " ".join(text.split())


def mask_digits(text: str) -> str:
    """Write every decimal digit as 0, so that numbers of one shape are one token.

    >>> mask_digits("10:45, 1999")
    '00:00, 0000'
    """
    return _DIGIT.sub("0", text)


def normalize(text: str, names: Iterable[str]) -> str:
    """Apply the normalizers of those names in order.

    >>> normalize("Café  1999", ["lowercase", "strip_accents", "mask_digits"])
    'cafe  0000'

    Raises:
        UnknownNameError: no normalizer has that name.
    """
    for name in names:
        text = registry.normalizers.get(name)(text)
    return text


def replace_surrogates(text: str) -> str:
    r"""Write each lone surrogate, which UTF-8 cannot hold, as U+FFFD.

    JSON escapes can carry half a pair into a text; libraries that take UTF-8 refuse it.

    >>> replace_surrogates("a\ud83d!") == "a\ufffd!"
    True
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
