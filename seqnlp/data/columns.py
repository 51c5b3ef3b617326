"""Which column of a file is which field of the task."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from seqnlp.data.languages import SIDES, Languages, is_parallel
from seqnlp.errors import InputError, suggest
from seqnlp.types import Field

PEEK = 1000
"""Rows that are looked at to understand a file without a header."""

MOST_LABELS = 50
"""The most distinct values, among those rows, of a column that is taken for the label."""

Place = int | tuple[int, ...]
"""The position of a field's column, or those of the columns of a field of several texts."""


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
    header: Sequence[str],
    fields: Sequence[Field],
    columns: Mapping[str, str],
    where: str,
    languages: Languages = (None, None),
) -> dict[str, Place]:
    """Field name to position in the header.

    A field's column is the one that `columns` names, else the first of the field's aliases that
    the header has, in any case. Optional fields without a column are left out. A field of several
    texts has all columns that `columns` names, between commas, else all that are an alias with or
    without a number behind it. Where the language of one side is named, the only column beside its
    own is the other side.

    Raises:
        InputError: a named column or a required field is missing, or the header has a chosen
            name twice; the message lists the columns there are.
    """
    plain = [name.strip().casefold() for name in header]
    found: dict[str, Place] = {}
    missing = []
    for field in fields:
        if field.name in columns:
            positions = [
                _position(header, name, field.name, where)
                for name in _listed(columns[field.name], field, header)
            ]
        elif field.several:
            positions = _numbered(plain, field)
        else:
            names = [alias.casefold() for alias in (*field.aliases, field.name)]
            positions = [plain.index(name) for name in names if name in plain][:1]
        if not positions:
            if field.required:
                missing.append(field.name)
            continue
        for position in positions:
            if list(header).count(header[position]) > 1:
                raise InputError(f"{where}: two columns are named {header[position]!r}")
        found[field.name] = tuple(positions) if field.several else positions[0]
    if len(header) == 2 and len(found) == 1 and languages.count(None) == 1 and not columns:
        (place,) = found.values()
        if isinstance(place, int) and missing == [SIDES[languages.index(None)]]:
            return {**found, missing[0]: 1 - place}
    if missing:
        flags = " ".join(f"{name}=COLUMN" for name in missing)
        if not any(field.name == "label" for field in fields):
            flags += " (by number where there is no header)"
        if is_parallel(fields):
            codes = " ".join(f"--{name} CODE" for name in missing)
            flags += f", or by its language: {codes}"
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
) -> dict[str, Place] | None:
    """Positions from columns given as numbers (from 1), which say that the file has no header.

    None where they are names.

    Raises:
        InputError: there is no such column, or a required field has no number.
    """
    given = {
        field.name: _listed(columns[field.name], field, header)
        for field in fields
        if field.name in columns
    }
    numbers = [number for each in given.values() for number in each]
    if not numbers or not all(n.isdecimal() for n in numbers) or any(n in header for n in numbers):
        return None
    for name, each in given.items():
        for number in each:
            if not 1 <= int(number) <= len(header):
                raise InputError(
                    f"{where}: no column {number} for {name}; "
                    f"there are {len(header)}, counted from 1"
                )
    for field in fields:
        if field.required and field.name not in columns:
            raise InputError(
                f"{where}: columns given by number say that there is no header; "
                f"name {field.name} too: --columns {field.name}=NUMBER"
            )
    several = {field.name for field in fields if field.several}
    places = {name: tuple(int(number) - 1 for number in each) for name, each in given.items()}
    return {name: place if name in several else place[0] for name, place in places.items()}


def guess_columns(
    rows: Sequence[Sequence[str]], fields: Sequence[Field]
) -> dict[str, Place] | None:
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


def numbered_name(name: str, aliases: Sequence[str]) -> tuple[int, int] | None:
    """Which of the aliases, and with what number, a name is; None where it is none of them.

    >>> numbered_name("References_2", ["gold", "references"]), numbered_name("gold", ["gold"])
    ((1, 2), (0, 1))
    """
    found = re.fullmatch(r"(.*?)(?:[ _-]?(\d{1,3}))?", name.strip().casefold(), re.DOTALL)
    folded = [alias.casefold() for alias in aliases]
    if found is None or found[1] not in folded:
        return None
    return folded.index(found[1]), int(found[2] or 1)


def _numbered(header: Sequence[str], field: Field) -> list[int]:
    """The positions of the columns of one alias, by their numbers."""
    names = [
        (numbered_name(name, (*field.aliases, field.name)), i) for i, name in enumerate(header)
    ]
    found = [(*key, position) for key, position in names if key is not None]
    return [position for alias, _, position in sorted(found) if alias == min(found)[0]]


def _listed(wanted: str, field: Field, header: Sequence[str]) -> list[str]:
    """The columns that the user named, of which a field of several texts may have several."""
    if not field.several or any(_same(name, wanted) for name in header):
        return [wanted]
    return [name.strip() for name in wanted.split(",")]


def _position(header: Sequence[str], wanted: str, field: str, where: str) -> int:
    # An exact name wins over one in another case.
    options = [wanted] if wanted in header else [h for h in header if _same(h, wanted)]
    if not options:
        raise InputError(
            f"{where}: no column {wanted!r} for {field}; {suggest(wanted, shorten(header))}"
        )
    return list(header).index(options[0])


def _is_labels(column: Sequence[str]) -> bool:
    distinct = set(column)
    few = len(distinct) <= MOST_LABELS and 2 * len(distinct) <= len(column)
    return few and column.count(column[0]) > 1


def _same(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()
