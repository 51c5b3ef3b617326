"""Which column of a file is which field of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqnlp.data.languages import is_parallel
from seqnlp.errors import InputError, suggest
from seqnlp.types import Field

PEEK = 1000
"""Rows that are looked at to understand a file without a header."""

MOST_LABELS = 50
"""The most distinct values, among those rows, of a column that is taken for the label."""


def check_columns(columns: Mapping[str, str], fields: Sequence[Field]) -> None:
    """Refuse columns for fields that the task does not read.

    Raises:
        InputError: naming the field and the nearest one.
    """
    known = [field.name for field in fields]
    for name in columns:
        if name not in known:
            raise InputError(f"columns: the task reads no field {name!r}; {suggest(name, known)}")


def match_columns(
    header: Sequence[str], fields: Sequence[Field], columns: Mapping[str, str], where: str
) -> dict[str, int]:
    """Field name to position in the header.

    A field's column is the one that `columns` names, else the first of the field's aliases that
    the header has, in any case. Optional fields without a column are left out.

    Raises:
        InputError: a named column or a required field is missing, or the header has a chosen
            name twice; the message lists the columns there are.
    """
    plain = [name.strip().casefold() for name in header]
    found: dict[str, int] = {}
    missing = []
    for field in fields:
        if field.name in columns:
            wanted = columns[field.name]
            # An exact name wins over one in another case.
            options = [wanted] if wanted in header else [h for h in header if _same(h, wanted)]
            if not options:
                raise InputError(
                    f"{where}: no column {wanted!r} for {field.name}; "
                    f"{suggest(wanted, shorten(header))}"
                )
            position = list(header).index(options[0])
        else:
            names = [alias.casefold() for alias in (*field.aliases, field.name)]
            position = next((plain.index(name) for name in names if name in plain), -1)
        if position < 0:
            if field.required:
                missing.append(field.name)
            continue
        if list(header).count(header[position]) > 1:
            raise InputError(f"{where}: two columns are named {header[position]!r}")
        found[field.name] = position
    if missing:
        flags = " ".join(f"{name}=COLUMN" for name in missing)
        if is_parallel(fields):
            codes = " ".join(f"--{name} CODE" for name in missing)
            flags += f" (by number where there is no header), or by its language: {codes}"
        raise InputError(
            f"{where}: no column for {' and '.join(missing)} among "
            f"{', '.join(shorten(header))}; name it with --columns {flags}"
        )
    return found


def column_names(fields: Sequence[Field]) -> list[str]:
    """Every name that a field is recognized by."""
    return [name for field in fields for name in (*field.aliases, field.name)]


def has_name(header: Sequence[str], names: Sequence[str]) -> bool:
    """Whether any of the names is in the header, in any case."""
    folded = {name.casefold() for name in names}
    return any(name.strip().casefold() in folded for name in header)


def numbered_columns(
    header: Sequence[str], fields: Sequence[Field], columns: Mapping[str, str], where: str
) -> dict[str, int] | None:
    """Positions from columns given as numbers (from 1), which say that the file has no header.

    None where they are names.

    Raises:
        InputError: there is no such column, or a required field has no number.
    """
    numbers = list(columns.values())
    if not numbers or not all(n.isdecimal() for n in numbers) or any(n in header for n in numbers):
        return None
    for name, number in columns.items():
        if not 1 <= int(number) <= len(header):
            raise InputError(
                f"{where}: no column {number} for {name}; there are {len(header)}, counted from 1"
            )
    for field in fields:
        if field.required and field.name not in columns:
            raise InputError(
                f"{where}: columns given by number say that there is no header; "
                f"name {field.name} too: --columns {field.name}=NUMBER"
            )
    return {name: int(number) - 1 for name, number in columns.items()}


def guess_columns(rows: Sequence[Sequence[str]], fields: Sequence[Field]) -> dict[str, int] | None:
    """Positions in a file without a header, or None where they cannot be told.

    The rule: the task reads one text and one label, the file has two columns, and exactly one of
    them looks like labels, in that its first value occurs again and that it has at most
    `MOST_LABELS` distinct values and repeats each at least twice on average.

    Args:
        rows: the first rows, the one that might be a header included.
    """
    required = [field.name for field in fields if field.required]
    if len(required) != 2 or "label" not in required or any(len(row) != 2 for row in rows):
        return None
    labels = [i for i, column in enumerate(zip(*rows, strict=True)) if _is_labels(column)]
    if len(labels) != 1:
        return None
    text = next(name for name in required if name != "label")
    return {text: 1 - labels[0], "label": labels[0]}


def shorten(names: Sequence[str], most: int = 20) -> list[str]:
    """Column names fit for a message: a file without a header has whole texts there."""
    shown = [name if len(name) <= 40 else f"{name[:39]}…" for name in names[:most]]
    return [*shown, *(["..."] if len(names) > most else [])]


def _is_labels(column: Sequence[str]) -> bool:
    distinct = set(column)
    few = len(distinct) <= MOST_LABELS and 2 * len(distinct) <= len(column)
    return few and column.count(column[0]) > 1


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
