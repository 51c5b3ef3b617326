"""Which of the languages of a parallel corpus is read, and which is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from seqnlp.errors import InputError, suggest
from seqnlp.types import Field

SIDES = ("source", "target")
"""The fields of a task that reads a parallel corpus."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Characters of Thai, Lao, Burmese, Khmer, Japanese and Chinese."""

Languages = tuple[str | None, str | None]
"""Codes of source and target, where they were named: `("de", None)`."""


def is_parallel(fields: Sequence[Field]) -> bool:
    """Whether a task reads pairs of texts."""
    return {field.name for field in fields} >= set(SIDES)


def name_by_language(fields: Sequence[Field], languages: Languages) -> tuple[Field, ...]:
    """The fields, source and target recognized by the codes of their languages first.

    Raises:
        InputError: a language for a task that reads no pairs, or one for both sides.
    """
    asked = dict(zip(SIDES, languages, strict=True))
    for side, code in asked.items():
        if code is not None and not is_parallel(fields):
            names = " and ".join(field.name for field in fields)
            raise InputError(f"{side} {code!r}: the task reads {names}, and no pairs of languages")
    if None not in languages and fold(str(languages[0])) == fold(str(languages[1])):
        raise InputError(f"source and target are both {languages[0]!r}; name two languages")
    return tuple(
        replace(field, aliases=(code, *field.aliases)) if (code := asked.get(field.name)) else field
        for field in fields
    )


def choose_languages(asked: Languages, known: Sequence[str], where: str) -> tuple[str, str]:
    """The two of the `known` codes that are asked for, written as they are there.

    Where there are just two and one is asked for, the other is inferred; `src` and `tgt` say by
    themselves which is which.

    Raises:
        InputError: nothing is in a language, or it takes more words to say which two; the message
            lists those there are.
    """
    listing = ", ".join(sorted(known))
    if len(known) < 2:
        raise InputError(f"{where}: {listing or 'nothing'} alone; expected texts in two languages")
    if asked == (None, None):
        if set(map(fold, known)) == {"src", "tgt"}:
            first, second = sorted(known, key=fold)
            return first, second
        one, other = sorted(known)[:2]
        raise InputError(
            f"{where}: the languages are {listing}; say which is read and which is written, "
            f"as in --source {one} --target {other}"
        )
    found = [
        None if code is None else _find(code, known, f"{where}: no {side} language {code!r}")
        for side, code in zip(SIDES, asked, strict=True)
    ]
    if None in found:
        if len(known) > 2:
            missing = SIDES[found.index(None)]
            raise InputError(f"{where}: the languages are {listing}; name the {missing} as well")
        found[found.index(None)] = next(code for code in known if code not in found)
    if found[0] == found[1]:
        raise InputError(f"{where}: source and target are both {found[0]!r}; known: {listing}")
    return str(found[0]), str(found[1])


def speaks(code: str, asked: str) -> bool:
    """Whether a code is the one asked for, or a variety of it (RFC 4647, basic filtering).

    >>> speaks("de_AT", "de"), speaks("DE", "de"), speaks("de", "de-AT"), speaks("den", "de")
    (True, True, False, False)
    """
    return fold(code) == fold(asked) or fold(code).startswith(f"{fold(asked)}-")


def fold(code: str) -> str:
    """A code by which two spellings of it are equal.

    >>> fold("pt_BR")
    'pt-br'
    """
    return code.strip().replace("_", "-").lower()


def ratio_of(source: str | None, target: str | None) -> float:
    """How many times the words of the shorter side the longer one has.

    0 where a side is blank, -1 where one is missing.

    >>> ratio_of("one two", "1 2 3"), ratio_of("one", " "), ratio_of("one", None)
    (1.5, 0.0, -1.0)
    """
    if source is None or target is None:
        return -1.0
    shorter, longer = sorted((count_words(source), count_words(target)))
    return longer / shorter if shorter else 0.0


def count_words(text: str) -> int:
    """Words between white space; of scripts that write none, each character counts.

    >>> count_words("two words"), count_words("映画 is film")
    (2, 4)
    """
    if text.isascii():
        return len(text.split())
    unspaced = len(UNSPACED.findall(text))
    return len((UNSPACED.sub(" ", text) if unspaced else text).split()) + unspaced


def _find(code: str, known: Sequence[str], complaint: str) -> str:
    exact = [each for each in known if each == code] or [
        each for each in known if fold(each) == fold(code)
    ]
    found = exact or [each for each in known if speaks(each, code)]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{complaint} alone; there are {', '.join(sorted(found))}")
    raise InputError(f"{complaint}; {suggest(code, known)}")
