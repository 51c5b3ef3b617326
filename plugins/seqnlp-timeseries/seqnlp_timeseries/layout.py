"""Which column of a CSV file is the time, which names the series, and which are values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seqnlp.errors import InputError, suggest
from seqnlp_timeseries.fields import FIELDS
from seqnlp_timeseries.timeline import is_time

MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}
"""What stands for a missing value, in any case."""

PEEK = 200
"""Rows that are looked at to tell numbers and times from other words."""

_ALIASES = {field.name: (*field.aliases, field.name) for field in FIELDS}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Positions of the columns. notes: what was guessed."""

    values: tuple[int, ...]
    time: int | None
    series: int | None
    anomaly: int | None
    notes: tuple[str, ...]


def is_number(text: str) -> bool:
    """Whether it is a number; a comma may stand for the point.

    >>> is_number("1e3"), is_number("2,5"), is_number("1,000.5")
    (True, True, False)
    """
    try:
        float(text.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def is_missing(text: str) -> bool:
    """Whether it says that there is no value."""
    return text.strip().casefold() in MISSING


def is_header(row: Sequence[str]) -> bool:
    """Whether a first row has names, and neither a number nor a time."""
    return not any(is_number(cell) or is_time(cell) for cell in row)


def find_layout(
    header: Sequence[str], rows: Sequence[Sequence[str]], columns: Mapping[str, str], where: str
) -> Layout:
    """Find the columns: those that the user named, else by usual names, else by what is in them.

    Args:
        header: names of the columns.
        rows: all of them.
        columns: field to column, of several ones between commas.
        where: begins messages.

    Raises:
        InputError: a named column is not there, or none has numbers.
    """
    found = {field: _named(header, field, columns, where) for field in _ALIASES}
    notes: list[str] = []
    free = [i for i in range(len(header)) if not any(i in places for places in found.values())]
    first = rows[:PEEK]
    cells = {i: [row[i].strip() for row in first if not is_missing(row[i])] for i in free}
    numeric = [i for i in free if all(map(is_number, cells[i]))]
    if not found["time"]:
        times = [i for i in free if i not in numeric and cells[i] and all(map(is_time, cells[i]))]
        if times:
            found["time"] = times[:1]
            notes.append(f"time is read from {header[times[0]]!r}")
    words = [i for i in free if i not in numeric and i not in found["time"]]
    names = [i for i in words if _tells_apart(rows, i, _only(found["time"]))]
    if not found["series"] and len(names) == 1:
        found["series"] = names
        notes.append(f"series are named by {header[names[0]]!r}")
    if not found["value"]:
        found["value"] = numeric
        if not numeric:
            raise InputError(
                f"{where}: no column of numbers among {', '.join(header)}; name it with "
                "--columns value=COLUMN"
            )
        listed = ", ".join(repr(header[i]) for i in numeric[:8])
        more = f" and {len(numeric) - 8} more" if len(numeric) > 8 else ""
        each = ", each a series" if len(numeric) > 1 else ""
        notes.append(f"values are read from {listed}{more}{each}")
    used = {place for places in found.values() for place in places}
    unused = [header[i] for i in range(len(header)) if i not in used]
    if unused:
        notes.append(f"columns not read: {', '.join(unused)}")
    return Layout(
        values=tuple(found["value"]),
        time=_only(found["time"]),
        series=_only(found["series"]),
        anomaly=_only(found["anomaly"]),
        notes=tuple(notes),
    )


def _only(places: Sequence[int]) -> int | None:
    return places[0] if places else None


def _named(header: Sequence[str], field: str, columns: Mapping[str, str], where: str) -> list[int]:
    plain = [name.strip().casefold() for name in header]
    if field not in columns:
        return [plain.index(alias) for alias in _ALIASES[field] if alias in plain][:1]
    wanted = columns[field].strip()
    names = [wanted] if wanted.casefold() in plain or field != "value" else wanted.split(",")
    for name in names:
        if name.strip().casefold() not in plain:
            raise InputError(
                f"{where}: no column {name.strip()!r} for {field}; {suggest(name, header)}"
            )
    return [plain.index(name.strip().casefold()) for name in names]


def _tells_apart(rows: Sequence[Sequence[str]], place: int, time: int | None) -> bool:
    """Whether a column names series: it is never blank, and there are times that only differ by it.

    Without times its names must repeat.
    """
    names = [row[place].strip() for row in rows]
    if any(map(is_missing, names)):
        return False
    if time is None:
        return 2 * len(set(names)) <= len(names)
    times = [row[time].strip() for row in rows]
    both = set(zip(names, times, strict=True))
    return len(set(times)) < len(rows) == len(both)
