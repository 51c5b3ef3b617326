"""The rows of a corpus, and that they are the same again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from seqnlp.errors import InputError
from seqnlp.testing.corpora.subject import Subject
from seqnlp.testing.requiring import require
from seqnlp.types import Example, Field

FEW = 50


def same(one: Example, other: Example) -> bool:
    """Whether two rows are equal; NaN is itself."""
    return repr(dict(one)) == repr(dict(other))


def check_fields(subject: Subject) -> str | None:
    asked, extra = {field.name: field for field in subject.request.fields}, dict[str, None]()
    for name, split in subject.corpus.splits.items():
        missing = [each.name for each in asked.values() if each.required]
        missing = [each for each in missing if each not in split.fields]
        remedy = "name columns as request.fields does: field.name, whatever the file calls it"
        require(not missing, f"{name} lacks {', '.join(missing)}", remedy)
        extra |= dict.fromkeys(each for each in split.fields if each not in asked)
        for index, row in enumerate(islice(split, FEW)):
            for field, value in row.items():
                _check_value(asked.get(field, Field(name=field)), value, split.where(index))
    return f"and also {', '.join(extra)}" if extra else None


def _check_value(field: Field, value: object, where: str) -> None:
    kinds = {type(each) for each in value} if isinstance(value, list) else {type(value)}
    require(
        type(None) not in kinds, f"{where}: {field.name} is missing in a row",
        "leave such rows out, or raise an InputError that names the line",
    )  # fmt: skip
    if field.several:
        require(
            isinstance(value, list), f"{where}: {field.name} is {type(value).__name__}",
            "give a list of texts: the field has several",
        )  # fmt: skip
    if field.name in ("text", "label", "source", "target", "document", "summary"):
        require(
            kinds == {str}, f"{where}: {field.name} is {type(value).__name__}, not str",
            "make it a str: labels are strings, too",
        )  # fmt: skip


def check_rows(subject: Subject) -> str | None:
    for name, split in subject.corpus.splits.items():
        read = list(islice(split, FEW))
        remedy = "use Split as it is, over an Arrow table: one column for each field, in rows"
        for index, row in enumerate(read):
            require(same(split[index], row), f"{name}: row {index} differs", remedy)
        chosen = split.select([len(read) - 1, 0])
        turned = list(chosen)
        require(
            same(turned[0], read[-1]) and same(turned[1], read[0]),
            f"{name}: chosen rows are others", remedy,
        )  # fmt: skip
        for field in split.fields:
            column = list(islice(split.column(field), FEW))
            values = [row[field] for row in read]
            require(repr(column) == repr(values), f"{name}: {field} differs", remedy)
        places = [split.where(index) for index in range(len(read))]
        require(
            len(set(places)) == len(places), f"{name}: two rows are both {places[0]!r}",
            'let `where` tell rows apart: yield ":12", the line, beside the values',
        )  # fmt: skip
    return f"such as {places[0]}"


@contextmanager
def _fresh_cache() -> Iterator[None]:
    with TemporaryDirectory() as folder, mock.patch.dict(os.environ, SEQNLP_CACHE=folder):
        yield


def check_repeated(subject: Subject) -> str | None:
    first = subject.corpus
    with _fresh_cache():
        for what in ("with an empty cache", "from the cache"):
            other = subject.open(subject.request, subject.argument)
            require(
                other.fingerprint == first.fingerprint
                and list(other.splits) == list(first.splits)
                and other.notes == first.notes,
                f"{what} its fingerprint, splits or notes differ",
                "make the fingerprint of what the rows depend on, such as path, size and mtime, "
                "and draw by request.seed alone",
            )
            for name, split in first.splits.items():
                again = other.split(name)
                require(
                    len(again) == len(split)
                    and all(map(same, islice(again, FEW), islice(split, FEW))),
                    f"{what} {name} has other rows",
                    "read rows in an order that is always the same: sort files and sets",
                )
    return None


def check_fingerprints(subject: Subject) -> str | None:
    corpus, seen = subject.corpus, dict[str, str]()
    for name, split in corpus.splits.items():
        other = seen.setdefault(split.fingerprint, name)
        require(
            other == name or all(map(same, split, corpus.split(other))),
            f"{name} and {other} have one fingerprint and other rows",
            "put the split's name or file into its key: cached tokens are found by it",
        )
    path = Path(subject.argument) if subject.argument else None
    if path is None or not path.is_file():
        return None
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copy(path, copy)
        lines = copy.read_bytes().rstrip(b"\n").splitlines(keepends=True)
        copy.write_bytes(b"".join([*lines, b"\n", lines[-1], b"\n"]))
        try:
            changed = subject.open(subject.request, str(copy))
        except InputError:
            return "a file with its last line twice is refused"
    require(
        changed.fingerprint != corpus.fingerprint, "a file with another line has its fingerprint",
        "put size and mtime of the file, or a digest of its bytes, into the key",
    )  # fmt: skip
    return "told from a file with its last line twice"


def check_validation(subject: Subject) -> str | None:
    require(
        "validation" in subject.corpus.splits, "it has no validation split",
        "return assemble(..., request=request), which cuts one off train",
    )  # fmt: skip
    whole = subject.open(replace(subject.request, validation_share=0.0), subject.argument)
    if "validation" in whole.splits or "train" not in whole.splits:
        return "it has one of its own"
    train = set(map(repr, subject.corpus.split("train")))
    require(
        any(repr(row) not in train for row in subject.corpus.split("validation")),
        "all rows of validation are in train, too", "return assemble(..., request=request)",
    )  # fmt: skip
    told = [note for note in subject.corpus.notes if "validation" in note]
    require(
        bool(told), "no note says that validation was cut off",
        "return assemble(..., request=request), which says it",
    )  # fmt: skip
    return told[0]
