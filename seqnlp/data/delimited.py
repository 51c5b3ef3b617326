"""Rows separated by tabs (never quoted) or by commas (quoted as in RFC 4180)."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from seqnlp.data.columns import (
    PEEK,
    column_names,
    guess_columns,
    has_name,
    match_columns,
    numbered_columns,
)
from seqnlp.data.formats import empty, read_lines
from seqnlp.data.request import CorpusRequest
from seqnlp.data.store import Row, Source
from seqnlp.data.values import value_at
from seqnlp.errors import InputError

Record = tuple[int, list[str]]
"""The line that a row begins at, and its cells."""

LONGEST_CELL = 1 << 26
"""Characters. It bounds what an open quote can swallow; the csv module's own limit is 131,072."""

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


def read_tsv(path: Path, request: CorpusRequest) -> Source:
    """Cells between tabs. Quotes are text, and no cell holds a tab or a line end."""
    return _read(path, _tab_records(path), "\t", request)


def read_csv(path: Path, request: CorpusRequest) -> Source:
    """Cells between commas, quoted where they hold a comma, a quote or a line end."""
    return _read(path, _comma_records(path), ",", request)


def _read(
    path: Path,
    records: Iterator[Record],
    delimiter: str,
    request: CorpusRequest,
) -> Source:
    fields, columns = request.fields, request.columns
    names = [*column_names(fields), *columns.values()]
    several = sum(field.required for field in fields) > 1
    try:
        first = next(records, None)
    except InputError:
        # Quoted cells between semicolons are no CSV either.
        _check_delimiter(f"{path}:1", [[next(read_lines(path), "")]], delimiter, names, several)
        raise
    if first is None:
        raise empty(path)
    line, header = first
    where = f"{path}:{line}"
    head: list[Record] = []
    found = numbered_columns(header, fields, columns, where)
    if found is not None:
        head = [first]
    elif not columns and not has_name(header, column_names(fields)):
        head = [first, *islice(records, PEEK - 1)]
        found = guess_columns([cells for _, cells in head], fields)
    if found is None:
        try:
            found = match_columns(header, fields, columns, where, request.languages)
        except InputError:
            rows = [cells for _, cells in head or [first]]
            _check_delimiter(where, rows, delimiter, names, several)
            raise
        head = head[1:]
    places = tuple(found.items())

    def stream() -> Generator[Row, None, None]:
        line = 0
        for line, cells in chain(head, records):
            if len(cells) != len(header):
                raise InputError(
                    f"{path}:{line}: {_count(len(cells))} between {DELIMITERS[delimiter]}; "
                    f"expected {len(header)}, as in the first line"
                )
            where = f"{path}:{line}"
            yield f":{line}", [value_at(cells, place, name, where) for name, place in places]
        if not line:
            raise InputError(f"{path}: a header but no rows")

    return Source(fields=tuple(found), rows=stream())


def _tab_records(path: Path) -> Generator[Record, None, None]:
    for number, line in enumerate(read_lines(path), start=1):
        if line.strip("\r"):
            yield number, line.removesuffix("\r").split("\t")


def _comma_records(path: Path) -> Generator[Record, None, None]:
    # The limit belongs to the process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(_csv_message(path, line, reader.line_num, str(error))) from error
        if cells is None:
            return
        if cells:
            yield line, cells


def _csv_message(path: Path, begin: int, end: int, message: str) -> str:
    if message == "unexpected end of data":
        return f"{path}:{begin}: a quote is opened in this row and never closed"
    if message.startswith("field larger than"):
        return (
            f"{path}:{begin}: a cell of more than {csv.field_size_limit():,} characters; "
            "is a quote left open?"
        )
    if message.startswith("new-line character"):
        return f"{path}:{end}: a carriage return outside quotes"
    if "expected after" in message:
        return f"{path}:{end}: text after a closing quote; a quote within a cell is doubled"
    return f"{path}:{end}: not CSV: {message}"


def _check_delimiter(
    where: str,
    rows: Sequence[Sequence[str]],
    delimiter: str,
    names: Sequence[str],
    several: bool,
) -> None:
    """Raise where the header, or every one of the first rows, is cut by another delimiter.

    Args:
        rows: the first rows as they were read, the header first.
        names: what a column may be called.
        several: whether the task reads more than one column.
    """
    whole = [delimiter.join(cells) for cells in rows[:20]]
    uncut = several and len(whole) > 1 and all(len(cells) == 1 for cells in rows[:20])
    for other, kind in DELIMITERS.items():
        header = [cell.strip(' "') for cell in whole[0].split(other)]
        if other == delimiter or len(header) == 1:
            continue
        if has_name(header, names) or (uncut and all(other in line for line in whole)):
            advice = {",": "name the file .csv", "\t": "name the file .tsv"}
            raise InputError(
                f"{where}: the columns are separated by {kind}, not {DELIMITERS[delimiter]}; "
                f"{advice.get(other, 'convert them')}"
            )


def _count(cells: int) -> str:
    return "1 column" if cells == 1 else f"{cells} columns"
