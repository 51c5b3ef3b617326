"""Normalizers: text to text, applied in order before tokenizing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from seqnlp import registry

_DIGIT = re.compile(r"\d")


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
