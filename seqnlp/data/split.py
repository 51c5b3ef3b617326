"""A split: rows in an Arrow table that stays on disk, read one at a time or as a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from seqnlp.data.languages import SIDES, count_words, ratio_of
from seqnlp.errors import InputError, suggest
from seqnlp.types import Example

Ints = NDArray[np.int64]

WHERE, EMPTY, RATIO, SHORT = "_where", "_empty", "_ratio", "_short"
"""Columns beside the fields: what follows `origin` in the name of a row, whether one of its texts
is blank, how many times as long as the other the longer of two sides is, and whether a document has
fewer words than its summary."""

SUMMARIZED = ("document", "summary")
"""The fields of a task that reads long texts and what is to be said of them."""

BLOCK = 4096


class Split(Sequence[Example]):
    """Rows of one split; a selection shares the table of the whole.

    Args:
        name: train, validation, test.
        table: pyarrow Table, usually memory-mapped; columns that begin with `_` are no fields.
        origin: the file or the source that the rows came from.
        fingerprint: changes when the rows do; caches are keyed by it.
        indices: int64 [N], which rows of the table, in which order; all of them by default.
        lasting: whether what is made of the rows is worth a place in the cache on disk.
    """

    def __init__(
        self,
        name: str,
        table: pa.Table,
        *,
        origin: str,
        fingerprint: str,
        indices: Ints | None = None,
        lasting: bool = True,
    ) -> None:
        self.name, self.origin, self.fingerprint = name, origin, fingerprint
        self.lasting = lasting
        self.fields = tuple(column for column in table.column_names if column[0] != "_")
        self._table, self._indices = table, indices
        self._columns = {column: table.column(column) for column in table.column_names}

    @classmethod
    def from_examples(
        cls,
        name: str,
        examples: Iterable[Example],
        *,
        origin: str = "memory",
        lasting: bool = True,
    ) -> Split:
        """A split of rows in memory, all with the same fields; their values become strings.

        A list or tuple becomes one of strings: the texts of a field of several.
        """
        rows = [{field: _stored(value) for field, value in row.items()} for row in examples]
        table = pa.Table.from_pylist(rows)
        digest = hashlib.sha256(repr(rows).encode("utf-8", "surrogatepass"))
        fingerprint = digest.hexdigest()[:32]
        return cls(name, table, origin=origin, fingerprint=fingerprint, lasting=lasting)

    def __len__(self) -> int:
        return self._table.num_rows if self._indices is None else len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Split: ...
    def __getitem__(self, index: int | slice) -> Example | Split:
        if isinstance(index, slice):
            return self.select(np.arange(len(self))[index])
        row = self._row(index)
        return {field: self._columns[field][row].as_py() for field in self.fields}

    def __iter__(self) -> Iterator[Example]:
        columns = [self.column(field) for field in self.fields]
        for values in zip(*columns, strict=True):
            yield dict(zip(self.fields, values, strict=True))

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self)} rows of {', '.join(self.fields)})"

    def select(self, indices: ArrayLike) -> Split:
        """The rows of these indices (int [M], or bool [N]), in order; the table is shared."""
        chosen = np.asarray(indices)
        if chosen.dtype == np.bool_:
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"rows {chosen.min()} to {chosen.max()} of {len(self)}")
        chosen = np.where(chosen < 0, chosen + len(self), chosen)
        if self._indices is not None:
            chosen = self._indices[chosen]
        digest = hashlib.sha256(self.fingerprint.encode() + chosen.tobytes())
        return Split(
            self.name,
            self._table,
            origin=self.origin,
            fingerprint=digest.hexdigest()[:32],
            indices=chosen,
            lasting=self.lasting,
        )

    def digest(self) -> str:
        """A checksum of the rows themselves, wherever they come from: all of them are read."""
        digest = hashlib.sha256()
        for field in self.fields:
            digest.update(f"{field}\n".encode())
            values = self._stream(field)
            while block := list(islice(values, BLOCK)):
                digest.update(repr(block).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:32]

    def renamed(self, name: str, *, origin: str | None = None) -> Split:
        """The same rows under another split name, and as if they came from another origin."""
        return Split(
            name,
            self._table,
            origin=self.origin if origin is None else origin,
            fingerprint=self.fingerprint,
            indices=self._indices,
            lasting=self.lasting,
        )

    def column(self, field: str) -> Iterator[Any]:
        """Stream the values of a field in constant memory.

        Raises:
            InputError: there is no such field.
        """
        if field not in self.fields:
            raise InputError(
                f"{self.origin}: the {self.name} split has no field {field!r}; "
                f"{suggest(field, self.fields)}"
            )
        return self._stream(field)

    def codes(self, field: str) -> tuple[tuple[str, ...], Ints]:
        """The distinct values of a field in first-seen order, and each row's number among them."""
        numbers: dict[str, int] = {}
        column = self.column(field)
        values = np.fromiter(
            (numbers.setdefault(value, len(numbers)) for value in column), np.int64, len(self)
        )
        return tuple(numbers), values

    def where(self, index: int) -> str:
        """Name a row as the user knows it: `reviews.tsv:12`."""
        row = self._row(index)
        if WHERE not in self._columns:
            return f"{self.origin}, row {row + 1}"
        return f"{self.origin}{self._columns[WHERE][row].as_py()}"

    @cached_property
    def blank(self) -> NDArray[np.bool_]:
        """Bool [N], True where a text of the row is empty or white space."""
        if EMPTY in self._columns:
            return np.fromiter(self._stream(EMPTY), np.bool_, len(self))
        texts = [field for field in self.fields if field != "label"]
        rows = zip(*(self._stream(field) for field in texts), strict=True)
        return np.fromiter((is_blank(row) for row in rows), np.bool_, len(self))

    def blank_in(self, field: str) -> NDArray[np.bool_]:
        """Bool [N], True where the text of this field is blank."""
        column, found = self._columns[field], self.blank.copy()
        for row in np.flatnonzero(found):
            found[row] = is_blank([column[self._row(int(row))].as_py()])
        return found

    def counts(self, field: str) -> Ints:
        """Int64 [N], how many texts a field of several has in each row."""
        lengths = pc.list_value_length(self._columns[field])
        counts: Ints = lengths.to_numpy().astype(np.int64)
        return counts if self._indices is None else counts[self._indices]

    @cached_property
    def short(self) -> NDArray[np.bool_]:
        """Bool [N], True where a document has fewer words than its summary; neither is blank."""
        if SHORT in self._columns:
            return np.fromiter(self._stream(SHORT), np.bool_, len(self))
        pairs = zip(*(self._stream(field) for field in SUMMARIZED), strict=True)
        return np.fromiter((is_short(*pair) for pair in pairs), np.bool_, len(self))

    @cached_property
    def ratios(self) -> NDArray[np.float64]:
        """Float64 [N], see `ratio_of`, of splits with the fields source and target."""
        if RATIO in self._columns:
            return np.fromiter(self._stream(RATIO), np.float64, len(self))
        pairs = zip(*(self._stream(side) for side in SIDES), strict=True)
        return np.fromiter((ratio_of(*pair) for pair in pairs), np.float64, len(self))

    def _row(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        return index if self._indices is None else int(self._indices[index])

    def _stream(self, column: str) -> Iterator[Any]:
        """Values by runs of rows of one chunk: a take from a whole column may copy all its text."""
        chunks = self._columns[column].chunks
        if self._indices is None:
            for chunk in chunks:
                for begin in range(0, len(chunk), BLOCK):
                    yield from chunk[begin : begin + BLOCK].to_pylist()
            return
        ends = np.cumsum([len(chunk) for chunk in chunks])
        for begin in range(0, len(self._indices), BLOCK):
            rows = self._indices[begin : begin + BLOCK]
            number = np.searchsorted(ends, rows, side="right")
            for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(number)) + 1):
                chunk = chunks[number[run[0]]]
                first = ends[number[run[0]]] - len(chunk)
                yield from chunk.take(pa.array(rows[run] - first)).to_pylist()


def is_blank(texts: Iterable[Any]) -> bool:
    """Whether a string among the values has nothing but white space.

    >>> is_blank(["fine", " "]), is_blank(["fine"])
    (True, False)
    """
    return any(isinstance(text, str) and not text.strip() for text in texts)


def _stored(value: Any) -> str | list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else str(value)


def is_short(document: str, summary: str) -> bool:
    """Whether a document has fewer words than its summary, and neither is blank.

    >>> is_short("See below.", "A very long subject"), is_short("", "A subject")
    (True, False)
    """
    return 0 < count_words(document) < count_words(summary)


def concatenate(name: str, splits: Sequence[Split], *, origin: str) -> Split:
    """One split of the rows of several: the shards of a large corpus, or train and validation.

    It has the fields that all of them have.
    """
    if len(splits) == 1:
        return splits[0].renamed(name)
    # Optional fields, such as references, may be in some splits alone.
    shared = set.intersection(*(set(split._table.column_names) for split in splits))
    shared_columns = [column for column in splits[0]._table.column_names if column in shared]
    tables: list[pa.Table] = []
    first: dict[int, int] = {}
    rows: list[Ints] = []
    for split in splits:
        # Two selections of one table share it, so that it is not held twice.
        if id(split._table) not in first:
            first[id(split._table)] = sum(table.num_rows for table in tables)
            tables.append(split._table.select(shared_columns))
        chosen = np.arange(len(split)) if split._indices is None else split._indices
        rows.append(chosen + first[id(split._table)])
    digest = hashlib.sha256("\n".join(split.fingerprint for split in splits).encode())
    whole = len(tables) == len(splits) and all(split._indices is None for split in splits)
    return Split(
        name,
        pa.concat_tables(tables),
        origin=origin,
        fingerprint=digest.hexdigest()[:32],
        indices=None if whole else np.concatenate(rows),
        lasting=all(split.lasting for split in splits),
    )


def first_examples(split: Split, count: int) -> list[Mapping[str, Any]]:
    """The first `count` rows, or all of fewer."""
    return list(islice(split, count))
