"""The values of rows: what a field takes of what a file has there."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

from seqnlp.data.columns import Place
from seqnlp.data.languages import SIDES
from seqnlp.data.split import SUMMARIZED
from seqnlp.data.store import Row
from seqnlp.errors import InputError

TRANSLATION = "translation"
"""The column in which datasets have a pair, as an object of languages."""


def value_of(value: Any, name: str, where: str) -> str | list[str]:
    """The value of a field as it is stored: a string, or a list of strings.

    Labels become strings and lose the space around them. A missing text is an empty one.

    Raises:
        InputError: a missing or empty label, or a value of a kind that is not text.
    """
    if isinstance(value, float) and math.isnan(value):
        value = None
    if name == "label":
        if value is None or (isinstance(value, str) and not value.strip()):
            raise InputError(f"{where}: the label is {'missing' if value is None else 'empty'}")
        value = value.strip() if isinstance(value, str) else value
    elif value is None:
        return ""
    elif (
        name not in SIDES
        and isinstance(value, list)
        and all(isinstance(item, str) for item in value)
    ):
        if name in SUMMARIZED:
            # Sentences, each a line; or words.
            return ("\n" if any(map(_has_space, value)) else " ").join(value)
        return value
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise InputError(f"{where}: {name!r} is {kind_of(value)}; expected a string")


def texts_of(values: Iterable[Any], name: str, where: str) -> list[str]:
    """The texts of a field of several, of one column or of several.

    A value is a text, a list of texts, or such a list written as JSON. What is missing or blank
    is left out.

    Raises:
        InputError: something else.
    """
    found = []
    for value in values:
        if isinstance(value, float) and math.isnan(value):
            continue
        listed = value if isinstance(value, list) else _parsed(value)
        for text in listed:
            if not isinstance(text, str | None):
                inside = "holds" if isinstance(value, list) else "is"
                raise InputError(
                    f"{where}: {name!r} {inside} {kind_of(text)}; expected a list of texts"
                )
            if text and text.strip():
                found.append(text)
    return found


def value_at(row: Sequence[Any], place: Place, name: str, where: str) -> str | list[str]:
    """The value of a field that has its column, or its columns, at `place` of a row."""
    if isinstance(place, int):
        return value_of(row[place], name, where)
    return texts_of([row[position] for position in place], name, where)


def narrow(places: Mapping[str, Place]) -> tuple[list[int], dict[str, Place]]:
    """The columns that fields are in, and the places of the fields among these alone.

    >>> narrow({"summary": 4, "references": (2, 7)})
    ([4, 2, 7], {'summary': 0, 'references': (1, 2)})
    """
    wanted: dict[int, int] = {}
    found: dict[str, Place] = {}
    for field, place in places.items():
        several = (place,) if isinstance(place, int) else place
        new = tuple(wanted.setdefault(position, len(wanted)) for position in several)
        found[field] = new[0] if isinstance(place, int) else new
    return list(wanted), found


def _parsed(value: Any) -> list[Any]:
    if isinstance(value, str) and value.lstrip()[:1] == "[":
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
        if isinstance(listed, list) and all(isinstance(item, str) for item in listed):
            return listed
    return [value]


def _has_space(text: str) -> bool:
    return any(map(str.isspace, text.strip()))


def kind_of(value: Any) -> str:
    """What to call a value in a message.

    >>> kind_of([]), kind_of(None), kind_of(1.5)
    ('a list', 'null', 'a number')
    """
    if value is None:
        return "null"
    kinds = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return kinds.get(type(value), f"a {type(value).__name__}")


def named(value: Any, classes: Sequence[str] | None) -> Any:
    """The name of a class number; -1 is how the `datasets` library writes a missing label."""
    if classes is None or not isinstance(value, int):
        return value
    return classes[value] if 0 <= value < len(classes) else None


def values_of(
    row: Sequence[Any],
    places: Mapping[str, Place],
    classes: Sequence[Sequence[str] | None],
    codes: Sequence[str] | None,
    where: str,
) -> Sequence[Any]:
    """The values of a row of typed columns, or of one column of translations.

    Args:
        places: of the fields in the row.
        classes: of each column, the names of its numbers.
        codes: the two languages, where the column is one of translations.
    """
    if codes is not None:
        return pair_of(row[0], codes, where)
    values = [named(value, names) for value, names in zip(row, classes, strict=True)]
    return [value_at(values, place, field, where) for field, place in places.items()]


def pair_of(value: Any, codes: Sequence[str], where: str) -> list[str | None]:
    """The texts in two languages of a `translation`; None for one that is not there.

    Raises:
        InputError: something else than an object of texts.
    """
    if not isinstance(value, dict):
        raise InputError(
            f"{where}: {TRANSLATION!r} is {kind_of(value)}; expected an object of languages"
        )
    pair = [value.get(code) for code in codes]
    for code, text in zip(codes, pair, strict=True):
        if not isinstance(text, str | None):
            raise InputError(f"{where}: {code!r} is {kind_of(text)}; expected a string")
    return pair


def require_pairs(
    rows: Iterable[Row], codes: Sequence[str], where: str
) -> Generator[Row, None, None]:
    """The rows, at least one of which is to have both texts.

    Raises:
        InputError: at the end, none had.
    """
    paired = False
    for row in rows:
        paired = paired or None not in row[1]
        yield row
    if not paired:
        raise InputError(f"{where}: no row has a text in both {codes[0]!r} and {codes[1]!r}")
