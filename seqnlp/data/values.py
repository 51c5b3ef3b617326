"""The values of rows: what a field takes of what a file has there."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from typing import Any

from seqnlp.data.languages import SIDES
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
        return value
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise InputError(f"{where}: {name!r} is {kind_of(value)}; expected a string")


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
    fields: Sequence[str],
    classes: Sequence[Sequence[str] | None],
    codes: Sequence[str] | None,
    where: str,
) -> Sequence[Any]:
    """The values of a row of typed columns, one a field, or of one column of translations.

    Args:
        classes: of each column, the names of its numbers.
        codes: the two languages, where the column is one of translations.
    """
    if codes is not None:
        return pair_of(row[0], codes, where)
    return [
        value_of(named(value, names), field, where)
        for field, value, names in zip(fields, row, classes, strict=True)
    ]


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
