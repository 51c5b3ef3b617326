"""Rows on disk: written once into an Arrow file of the cache, memory-mapped from then on."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from seqnlp.data.languages import SIDES, ratio_of
from seqnlp.data.split import (
    EMPTY,
    RATIO,
    SHORT,
    SUMMARIZED,
    WHERE,
    Split,
    is_blank,
    is_short,
)
from seqnlp.errors import InputError
from seqnlp.files import cache_folder, new_file

FORMAT = 2
"""Part of every key: raised when the same source would be stored differently."""

ROWS, CHARACTERS = 4096, 1 << 22
"""A chunk of the file is closed at whichever comes first; this bounds the memory of writing."""

Row = tuple[str, Sequence[Any]]
"""What follows the origin in the row's name (`:12`), and the values of the fields."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Rows on their way to the disk.

    fields: names of the values of a row. rows: each value a string or a list of strings, the
    same in every row; where a source has more to its end than rows, closing the generator ends it.
    Of a pair, source or target may be None: that row has no text in the language.
    """

    fields: tuple[str, ...]
    rows: Generator[Row, None, None]


def digest_of(key: object) -> str:
    """A file name for what a cache entry depends on."""
    text = json.dumps([FORMAT, key], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def cache_entry(kind: str, name: str) -> Path:
    """Where an entry of the cache is or goes; its folder exists and can be written to.

    Where the user's cache cannot be written to, a temporary folder of this process stands in.
    """
    folder = cache_folder() / kind
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        if (folder / name).is_file():
            return folder / name
        folder = _temporary_cache() / kind
        folder.mkdir(exist_ok=True)
    return folder / name


def stored_split(
    name: str,
    *,
    key: Mapping[str, object],
    source: Callable[[], Source],
    origin: str,
) -> Split:
    """The split whose rows are in the cache under `key`; without an entry, `source()` makes it.

    Rows are streamed: neither writing nor reading holds them in memory. Two processes that make
    the same entry at once both succeed; a damaged entry is made again.

    Args:
        key: JSON values; everything that the rows depend on.
        origin: see `Split`.
    """
    digest = digest_of(key)
    path = cache_entry("corpora", f"{digest}.arrow")
    try:
        table = _map(path)
    except (OSError, pa.ArrowInvalid):
        _write(path, source(), origin)
        table = _map(path)
    return Split(name, table, origin=origin, fingerprint=digest)


def _map(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _write(path: Path, source: Source, origin: str) -> None:
    with closing(source.rows):
        blocks = _blocks(source.rows)
        # The first block says which columns are lists. An error of a row comes before any file.
        block = next(blocks, [])
        schema = _schema(source.fields, block)
        with new_file(path) as file, pa.ipc.new_file(file, schema) as writer:
            while block:
                writer.write_batch(_batch(schema, block, origin))
                block = next(blocks, [])


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    size = 0
    for row in rows:
        block.append(row)
        size += sum(len(value) for value in row[1] if value is not None)
        if len(block) == ROWS or size >= CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _schema(fields: Sequence[str], block: list[Row]) -> Any:
    values = block[0][1] if block else [""] * len(fields)
    kinds = [pa.list_(pa.string()) if isinstance(value, list) else pa.string() for value in values]
    beside = [(WHERE, pa.string()), (EMPTY, pa.bool_())]
    if set(SIDES) <= set(fields):
        beside.append((RATIO, pa.float64()))
    if set(SUMMARIZED) <= set(fields):
        beside.append((SHORT, pa.bool_()))
    return pa.schema([*zip(fields, kinds, strict=True), *beside])


def _batch(schema: Any, block: list[Row], origin: str) -> Any:
    names = [name for name in schema.names if name[0] != "_"]
    texts = [i for i, name in enumerate(names) if name != "label"]
    columns: list[list[Any]] = [
        *map(list, zip(*(values for _, values in block), strict=True)),
        [where for where, _ in block],
        [is_blank(values[i] for i in texts) for _, values in block],
    ]
    if RATIO in schema.names:
        sides = [names.index(side) for side in SIDES]
        pairs = zip(*(columns[side] for side in sides), strict=True)
        columns.append([ratio_of(*pair) for pair in pairs])
        for side in sides:
            columns[side] = ["" if text is None else text for text in columns[side]]
    if SHORT in schema.names:
        texts = [names.index(field) for field in SUMMARIZED]
        columns.append([is_short(*(values[i] for i in texts)) for _, values in block])
    # Arrow would take a string for a list of its characters.
    kinds: list[type] = [
        list if pa.types.is_list(kind) else str for kind in schema.types[: len(names)]
    ]
    if any(set(map(type, column)) != {kind} for column, kind in zip(columns, kinds, strict=False)):
        _blame_kind(schema, block, kinds, origin)
    try:
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)
        ]
    except UnicodeEncodeError:
        _blame_surrogate(schema, block, origin)
        raise
    return pa.record_batch(arrays, schema=schema)


def _blame_kind(schema: Any, block: list[Row], kinds: Sequence[type], origin: str) -> None:
    called: dict[type, str] = {list: "a list", str: "a string"}
    for where, values in block:
        for name, kind, value in zip(schema.names, kinds, values, strict=False):
            if not isinstance(value, kind):
                found = called.get(type(value), f"a {type(value).__name__}")
                raise InputError(
                    f"{origin}{where}: {name!r} is {found}; expected {called[kind]}, "
                    "as in the first row"
                )


def _blame_surrogate(schema: Any, block: list[Row], origin: str) -> None:
    for where, values in block:
        for name, value in zip(schema.names, values, strict=False):
            try:
                "".join(value).encode("utf-8")
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{origin}{where}: {name!r} has half of a surrogate pair "
                    f"(U+{ord(error.object[error.start]):04X}), which is no character"
                ) from error


@cache
def _temporary_cache() -> Path:
    folder = tempfile.mkdtemp(prefix="seqnlp-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
