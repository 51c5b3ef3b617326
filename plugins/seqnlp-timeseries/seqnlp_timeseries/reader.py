"""Series from CSV files: long (a row a value) or wide (a column a series)."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seqnlp.errors import InputError
from seqnlp_timeseries.layout import PEEK, Layout, find_layout, is_header, is_missing
from seqnlp_timeseries.timeline import ROWS, Step, Timeline, infer_step, parse_time, text_of

Floats = NDArray[np.float64]
SPARSE = 20
"""Steps a row of a file must not exceed: a year that is mistyped would fill the memory."""
_YES, _NO = {"1", "1.0", "true", "yes", "t", "y"}, {"0", "0.0", "false", "no", "f", "n", ""}


@dataclass(frozen=True, kw_only=True)
class Series:
    """Values at equal steps.

    values: float64 [N], NaN where missing. labels: bool [N], True on anomalies; None where the
    file says nothing of them. origin: where the first value was read, "sales.csv:2".
    """

    name: str
    values: Floats
    timeline: Timeline
    labels: NDArray[np.bool_] | None = None
    origin: str = "memory"


@dataclass(kw_only=True)
class _Column:
    """The values of a series as they are read, in the order of the file."""

    times: list[np.datetime64] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


def read_series(
    path: Path, columns: Mapping[str, str] | None = None, *, name: str | None = None
) -> tuple[list[Series], tuple[str, ...]]:
    """The series of a CSV file (commas, semicolons or tabs), and notes on what was guessed.

    Rows of a series are sorted by time and put on equal steps; steps without a row are missing
    values. Without a time column the rows are taken as equal steps.

    Args:
        path: of the file, UTF-8.
        columns: field (value, time, series, anomaly) to column, where it has no usual name.
        name: what messages call the file.

    Raises:
        InputError: the file cannot be read, or a cell is no value; by file and line.
    """
    where = name or str(path)
    delimiter, rows = _rows(path, where)
    notes: list[str] = []
    header = rows[0][1]
    body = rows[1:]
    if not is_header(header):
        header, body = [f"column {i + 1}" for i in range(len(header))], rows
        notes.append("no header: columns are told by what is in them")
    for line, row in body:
        if len(row) != len(header):
            raise InputError(f"{where}:{line}: {len(row)} cells; expected {len(header)}")
    if not body:
        raise InputError(f"{where}: no rows below the header")
    layout = find_layout(header, [row for _, row in body], columns or {}, where)
    notes += layout.notes
    clock = layout.time is not None and not _counts(body, layout.time)
    comma = delimiter != "," and any("," in row[i] for _, row in body for i in layout.values)
    found = _collect(body, header, layout, where, clock=clock, comma=comma)
    step = _step_of(found, clock, notes)
    made = [
        _regular(key, own, step, where, clock=clock, labeled=layout.anomaly is not None)
        for key, own in found.items()
    ]
    if step.unit == "row" and layout.time is None:
        notes.append("no time column: rows are taken as equal steps")
    notes += _gaps(made, found, where)
    return made, tuple(notes)


def _rows(path: Path, where: str) -> tuple[str, list[tuple[int, list[str]]]]:
    """The delimiter, and the rows that are not blank with their lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{where}:{line}: not valid UTF-8") from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise InputError(f"{where}: empty; expected a CSV file with a header")
    delimiter = max(";\t,", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{where}:{reader.line_num}: no CSV: {error}") from error
    return delimiter, rows


def _counts(body: Sequence[tuple[int, list[str]]], place: int) -> bool:
    """Whether the times are whole numbers that are no years: then they only sort the rows."""
    cells = [row[place].strip() for _, row in body[:PEEK]]
    return all(cell.isdecimal() for cell in cells) and not all(len(c) in (4, 8) for c in cells)


def _collect(
    body: Sequence[tuple[int, list[str]]], header: Sequence[str], layout: Layout, where: str,
    *, clock: bool, comma: bool,
) -> dict[str, _Column]:  # fmt: skip
    found: dict[str, _Column] = {}
    for line, row in body:
        place = f"{where}:{line}"
        if layout.time is None:
            time: np.datetime64 = np.datetime64(line, "s")
        else:
            time = _time(row[layout.time], header[layout.time], place, clock)
        labeled = layout.anomaly is not None and _label(row[layout.anomaly], place)
        key = "" if layout.series is None else row[layout.series].strip()
        for value in layout.values:
            parts = [key, header[value].strip() if len(layout.values) > 1 else ""]
            name = "/".join(part for part in parts if part) or "series"
            own = found.setdefault(name, _Column())
            own.times.append(time)
            own.values.append(_value(row[value], header[value], place, comma))
            own.labels.append(labeled)
            own.lines.append(line)
    return found


def _time(cell: str, column: str, place: str, clock: bool) -> np.datetime64:
    try:
        return parse_time(cell) if clock else np.datetime64(int(cell), "s")
    except ValueError:
        expected = "an ISO time such as 2024-01-31 or 2024-01-31 08:00" if clock else "a number"
        raise InputError(f"{place}: {column}: {cell!r} is no time; expected {expected}") from None


def _label(cell: str, place: str) -> bool:
    text = cell.strip().casefold()
    if text not in _YES | _NO:
        raise InputError(f"{place}: anomaly: {cell!r}; expected 1 or 0, true or false")
    return text in _YES


def _value(cell: str, column: str, place: str, comma: bool) -> float:
    if is_missing(cell):
        return math.nan
    try:
        value = float(cell.replace(",", ".", 1) if comma else cell)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(
            f"{place}: {column}: {cell!r} is no number; expected one such as 12.5, or nothing "
            "where the value is missing"
        )
    return value


def _step_of(found: Mapping[str, _Column], clock: bool, notes: list[str]) -> Step:
    if not clock:
        return ROWS
    step = infer_step([np.unique(np.array(own.times)) for own in found.values()])
    if step is None:
        notes.append("the times are not equally spaced: rows are taken as equal steps")
        return ROWS
    return step


def _regular(
    name: str, own: _Column, step: Step, where: str, *, clock: bool, labeled: bool
) -> Series:
    """The values of a series on equal steps.

    Raises:
        InputError: two rows have one time, or a gap is too long to be meant.
    """
    times, lines = np.array(own.times), np.array(own.lines)
    order = np.argsort(times, kind="stable")
    times, lines = times[order], lines[order]
    values, labels = np.array(own.values)[order], np.array(own.labels)[order]
    again = np.flatnonzero(times[1:] == times[:-1])
    if len(again):
        place = int(again[0])
        what = f"series {name!r} has two rows" if name != "series" else "two rows are"
        when = text_of(times[place]) if clock else str(times[place].astype(np.int64))
        raise InputError(
            f"{where}:{lines[place + 1]}: {what} at {when}, the other in line {lines[place]}; "
            "if they are of two series, name the column that tells them apart: --columns "
            "series=COLUMN"
        )
    timeline = Timeline(start=None if step.unit == "row" else times[0], step=step)
    places = np.arange(len(times)) if step.unit == "row" else timeline.numbers(times)
    size = int(places[-1]) + 1
    if size > SPARSE * len(times) + 100:
        wide = int(np.diff(places).argmax())
        raise InputError(
            f"{where}:{lines[wide + 1]}: {text_of(times[wide + 1])} is "
            f"{places[wide + 1] - places[wide]:,} steps of {step} after {text_of(times[wide])}; "
            "is one of them mistyped?"
        )
    whole, marks = np.full(size, np.nan), np.zeros(size, dtype=np.bool_)
    whole[places], marks[places] = values, labels
    return Series(
        name=name,
        values=whole,
        timeline=timeline,
        labels=marks if labeled else None,
        origin=f"{where}:{lines[0]}",
    )


def _gaps(made: Sequence[Series], found: Mapping[str, _Column], where: str) -> list[str]:
    """Notes on missing values: how many, and the first that the file names."""
    missing = sum(int(np.isnan(series.values).sum()) for series in made)
    if not missing:
        return []
    total = sum(len(series.values) for series in made)
    cells = [cell for own in found.values() for cell in zip(own.lines, own.values, strict=True)]
    lines = [line for line, value in cells if math.isnan(value)]
    first = f", the first empty cell in {where}:{min(lines)}" if lines else ""
    absent = missing - len(lines)
    rows = f", {absent:,} of them steps without a row" if absent else ""
    return [f"{missing:,} of {total:,} values are missing{rows}{first}"]
