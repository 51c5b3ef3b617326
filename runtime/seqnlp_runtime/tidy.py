"""What a text that was written token by token may have wrong: marks without their partner."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal, TypeAlias

from seqnlp_runtime.joining import QUOTE_ENDS

_BRACKETS = {"(": ")", "[": "]", "{": "}"}
_CLOSING = frozenset(_BRACKETS.values())
_APOSTROPHES = frozenset("'’")
_BEGINS = {
    **{begin: (end,) for begin, end in _BRACKETS.items()},
    **{mark: ends for mark, ends in QUOTE_ENDS.items() if len(mark) == 1 and mark != "`"},
    "'": ("'", "’"),
}
"""What may end each mark that begins something; of `'` and `’`, what comes first in a text."""
_SHORTENED = re.compile(r"(?:\d\ds?|em|til|n|cause|bout|tis|twas|cos|round)\b", re.IGNORECASE)
_OPEN_ENDED = re.compile(r"(?:[sxz]|in|['’]n)$", re.IGNORECASE)  # the boys', goin', rock 'n'
_SPACES = re.compile(r" {2,}")

_Kind: TypeAlias = Literal["letter", "begin", "end", "either"]


def balance(text: str) -> str:
    """Leave out quotes and brackets that have no partner; where they cross, the inner ones.

    Apostrophes stay: in a word, of an owner, of a word that was shortened. What is left has
    nothing more to leave out.

    >>> balance('the "big (five")')
    'the "big five"'
    >>> balance("the boys' '90s) 'plan'")
    "the boys' '90s 'plan'"
    """
    before = None
    while text != before:
        before, text = text, _without_lonely(text)
    return text


def _without_lonely(text: str) -> str:
    """What is left may have apostrophes that now look otherwise."""
    lonely: set[int] = set()
    open_: list[tuple[int, str]] = []
    ends: Counter[str] = Counter()  # what may end one of those
    for place, mark in enumerate(text):
        kind = _kind(text, place, quoted=ends["’"] > 0)
        if kind == "letter":
            continue
        if kind != "begin" and ends[mark]:
            while True:
                begin, other = open_.pop()
                ends.subtract(_BEGINS[other])
                if mark in _BEGINS[other]:
                    break
                lonely.add(begin)
        elif mark in _BEGINS and kind != "end":
            open_.append((place, mark))
            ends.update(_BEGINS[mark])
        else:
            lonely.add(place)
    lonely.update(place for place, _ in open_)
    if not lonely:
        return text
    kept = "".join(mark for place, mark in enumerate(text) if place not in lonely)
    return _SPACES.sub(" ", kept).strip()


def _kind(text: str, place: int, *, quoted: bool) -> _Kind:
    """What a character is, where single quotes are open or not."""
    mark = text[place]
    if mark in _CLOSING:
        return "end"
    if mark not in _APOSTROPHES:
        return "either" if mark in _BEGINS else "letter"
    before, behind = text[place - 1 : place], text[place + 1 : place + 2]
    if before.isalnum() and behind.isalnum():
        return "letter"
    if behind.isalnum():
        return "letter" if mark == "’" or _SHORTENED.match(text, place + 1) else "begin"
    shortened = _OPEN_ENDED.search(text[max(0, place - 2) : place])
    return "letter" if shortened and not quoted else "end"
