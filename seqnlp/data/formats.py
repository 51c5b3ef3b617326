"""Files of rows, read as streams: what every format shares, JSON Lines, and Parquet."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, cast

from seqnlp.data.columns import PEEK, Place, match_columns, numbered_name
from seqnlp.data.languages import SIDES, choose_languages
from seqnlp.data.request import CorpusRequest
from seqnlp.data.store import Row, Source
from seqnlp.data.values import (
    TRANSLATION,
    kind_of,
    narrow,
    pair_of,
    require_pairs,
    texts_of,
    value_of,
    values_of,
)
from seqnlp.errors import InputError, suggest
from seqnlp.types import Field

Reader = Callable[[Path, CorpusRequest], Source]

PARQUET_ROWS = 1024

PEEK_SEVERAL = 100
"""Rows of JSON Lines, whose documents may be long, that are looked at for keys of some rows."""


def read_lines(path: Path) -> Generator[str, None, None]:
    """Lines of a UTF-8 text file, gzipped or plain, without their ends.

    Raises:
        InputError: it cannot be read, is damaged, or has a line that is not UTF-8 or has a NUL.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, raw in enumerate(file, start=1):
                line = raw.decode("utf-8")
                if "\0" in line:
                    raise InputError(
                        f"{path}:{number}: a NUL character; expected plain text in UTF-8"
                    )
                yield line.removeprefix("\ufeff" if number == 1 else "").rstrip("\n")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}:{number}: not UTF-8: byte 0x{error.object[error.start]:02x} "
                f"at position {error.start + 1} of the line"
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged after line {number}: {error}") from error


def empty(path: Path) -> InputError:
    return InputError(f"{path}: the file is empty")


def read_json_lines(path: Path, request: CorpusRequest) -> Source:
    """One JSON object a line; the keys of the first are the header.

    Those of a field of several texts need not be in every row, but in one of the first.
    """
    objects = _objects(path)
    first = next(objects, None)
    if first is None:
        raise empty(path)
    if isinstance(first[1].get(TRANSLATION), dict) and request.reads_translations:
        return _read_translations(path, chain([first], objects), request)
    several = [field for field in request.fields if field.several]
    head = [first, *islice(objects, PEEK_SEVERAL - 1 if several else 0)]
    keys = list(dict.fromkeys(key for _, row in head for key in row))
    found = match_columns(
        keys, request.fields, request.columns, f"{path}:{first[0]}", request.languages
    )
    known = set(keys)

    def rows() -> Generator[Row, None, None]:
        for number, row in chain(head, objects):
            where = f"{path}:{number}"
            values: list[str | list[str]] = []
            for name, place in found.items():
                if not isinstance(place, int):
                    given = (row.get(keys[position]) for position in place)
                    values.append(texts_of(given, name, where))
                    continue
                key = keys[place]
                if key not in row:
                    raise InputError(f"{where}: no key {key!r}; {suggest(key, row)}")
                values.append(value_of(row[key], name, where))
            for field in several:
                _refuse_late(row.keys() - known, field, len(head), where)
            yield f":{number}", values

    return Source(fields=tuple(found), rows=rows())


def _refuse_late(keys: Iterable[str], field: Field, rows: int, where: str) -> None:
    """Raise where one of the keys is a column of the field that came too late to be one."""
    for key in keys:
        if numbered_name(key, [*field.aliases, field.name]):
            raise InputError(
                f"{where}: {key!r} for {field.name}, and none in the first {rows} rows; "
                "one of those must have it too, be it with an empty list"
            )


def _read_translations(
    path: Path, objects: Iterator[tuple[int, dict[str, Any]]], request: CorpusRequest
) -> Source:
    """JSON Lines in which each object has a `translation`, an object of languages."""
    head = list(islice(objects, PEEK))
    known = {code for _, row in head for code in row.get(TRANSLATION) or ()}
    codes = choose_languages(request.languages, sorted(known), str(path))

    def rows() -> Generator[Row, None, None]:
        for number, row in chain(head, objects):
            yield f":{number}", pair_of(row.get(TRANSLATION), codes, f"{path}:{number}")

    return Source(fields=SIDES, rows=require_pairs(rows(), codes, str(path)))


def read_parquet(path: Path, request: CorpusRequest) -> Source:
    """A Parquet file; label numbers become names where the `datasets` library stored them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a Parquet file: {_first_line(error)}") from error
    schema, codes = file.schema_arrow, None
    kind = schema.field(TRANSLATION).type if TRANSLATION in schema.names else None
    if request.reads_translations and kind is not None and pa.types.is_struct(kind):
        known = [kind.field(i).name for i in range(kind.num_fields)]
        codes = choose_languages(request.languages, known, str(path))
        names = [TRANSLATION]
        places: dict[str, Place] = dict.fromkeys(SIDES, 0)
    else:
        found = match_columns(
            schema.names, request.fields, request.columns, str(path), request.languages
        )
        positions, places = narrow(found)
        names = [schema.names[position] for position in positions]
    if not file.metadata.num_rows:
        file.close()
        raise InputError(f"{path}: columns but no rows")
    labels = [_class_names(schema, name) for name in names]
    fields = tuple(places)

    def rows() -> Generator[Row, None, None]:
        number = 0
        with file:
            batches = file.iter_batches(PARQUET_ROWS, columns=names)
            while True:
                try:
                    batch = next(batches, None)
                    read = [batch.column(name).to_pylist() for name in names] if batch else []
                except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                    raise InputError(
                        f"{path}: damaged after row {number}: {_first_line(error)}"
                    ) from error
                if not read:
                    return
                for row in zip(*read, strict=True):
                    number += 1
                    where = f", row {number}"
                    yield where, values_of(row, places, labels, codes, f"{path}{where}")

    if codes is None:
        return Source(fields=fields, rows=rows())
    return Source(fields=fields, rows=require_pairs(rows(), codes, str(path)))


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if number == 1 and line.lstrip().startswith("["):
                raise InputError(f"{where}: a JSON array; expected one object a line") from error
            raise InputError(
                f"{where}: not JSON: {error.msg} at character {error.colno}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not JSON that can be read: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"{where}: {kind_of(value)}; expected a JSON object")
        yield number, value


def _class_names(schema: Any, column: str) -> list[str] | None:
    """Names of label numbers, which `datasets` leaves in the metadata of the files it writes."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (TypeError, KeyError, ValueError):
        return None
    return [str(name) for name in names]


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacking it where its first bytes say that it is gzipped.

    Raises:
        InputError: it cannot be opened, or its name says gzip and its content does not.
    """
    try:
        file = path.open("rb")
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if not packed:
        if path.suffix == ".gz" and path.stat().st_size:
            file.close()
            raise InputError(f"{path}: not gzipped, though its name ends in .gz")
        return file
    file.close()
    return cast("IO[bytes]", io.BufferedReader(gzip.open(path), 1 << 16))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
