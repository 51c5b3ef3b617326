"""Plain text with a file for each field: line N of `train.document` and of `train.summary`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from seqnlp.data.columns import numbered_name
from seqnlp.data.formats import empty, read_lines
from seqnlp.data.naming import SPLITS, TEST, assign_splits
from seqnlp.data.store import Row, Source
from seqnlp.data.values import texts_of
from seqnlp.errors import InputError
from seqnlp.types import Field

Files = dict[str, tuple[Path, ...]]
"""Field name to its file, or its files where it has several texts."""


def find_files(folder: Path, fields: Sequence[Field]) -> dict[str, Files]:
    """Stem to the files of its fields: of the stems that have a split's name, or of the only one.

    A file's name is STEM.FIELD, the field by any of its aliases, also with `.txt`, `.gz` or both
    after it; where a field has several texts, the next are STEM.FIELD2 and so on. A stem counts
    where all required fields have a file.

    Raises:
        InputError: the folder cannot be read, two files are one text, or train or validation lacks
            one.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error
    stems = _group(folder, paths, fields)
    found = {}
    for stem, files in stems.items():
        missing = [field.name for field in fields if field.required and field.name not in files]
        if not missing:
            found[stem] = files
        elif stem in SPLITS and len(missing) < sum(field.required for field in fields):
            there = next(iter(files.values()))[0].name
            raise InputError(
                f"{folder}: {there} stands alone; expected {stem}.{missing[0]} beside it"
            )
    named = {stem: files for stem, files in found.items() if stem in SPLITS or TEST.match(stem)}
    return named or (found if len(found) == 1 else {})


def choose_files(folder: Path, stems: Mapping[str, Files]) -> dict[str, Files]:
    """Split name to its files.

    Raises:
        InputError: two stems are one split.
    """
    claims = assign_splits(stems) or {"train": list(stems)}
    for split, names in claims.items():
        if len(names) > 1:
            first = " and ".join(next(iter(stems[name].values()))[0].name for name in names)
            raise InputError(f"{folder}: both {first} claim to be {split}; keep one")
    return {split: stems[names[0]] for split, names in claims.items()}


def find_partners(path: Path, fields: Sequence[Field]) -> Files | None:
    """The files of the rows that a path has one field of; None where it is no such file.

    Raises:
        InputError: a required field has no file, or two.
    """
    parts = _split_name(path, fields)
    if parts is None:
        return None
    others = (other for other in sorted(path.parent.iterdir()) if other.is_file())
    files = _group(path.parent, others, fields)[parts[0]]
    for field in fields:
        if field.required and field.name not in files:
            raise InputError(f"{path} stands alone; expected {parts[0]}.{field.name} beside it")
    return files


def read_aligned(files: Files, fields: Sequence[Field]) -> Source:
    """The rows of files of one length; a row is named by its line in the first field's file.

    A blank line of a field of several texts is none of them.
    """
    order = [field for field in fields if field.name in files]
    paths = [path for field in order for path in files[field.name]]

    def rows() -> Generator[Row, None, None]:
        number = 0
        streams = [read_lines(path) for path in paths]
        for number, lines in enumerate(zip_longest(*streams), start=1):
            if None in lines:
                raise InputError(_uneven(paths, streams, lines, number))
            texts = iter([line.removesuffix("\r") for line in lines])
            values: list[str | list[str]] = []
            for field in order:
                here = [next(texts) for _ in files[field.name]]
                where = f"{paths[0]}:{number}"
                values.append(texts_of(here, field.name, where) if field.several else here[0])
            yield f":{number}", values
        if not number:
            raise empty(paths[0])

    return Source(fields=tuple(field.name for field in order), rows=rows())


def _group(folder: Path, paths: Iterable[Path], fields: Sequence[Field]) -> dict[str, Files]:
    stems: dict[str, dict[str, dict[int, Path]]] = {}
    for path in paths:
        if parts := _split_name(path, fields):
            stem, field, number = parts
            texts = stems.setdefault(stem, {}).setdefault(field, {})
            if number in texts:
                raise InputError(
                    f"{folder}: both {texts[number].name} and {path.name} claim to be the {field} "
                    f"of {stem}; keep one"
                )
            texts[number] = path
    return {
        stem: {
            field.name: tuple(path for _, path in sorted(files[field.name].items()))
            for field in fields
            if field.name in files
        }
        for stem, files in stems.items()
    }


def _split_name(path: Path, fields: Sequence[Field]) -> tuple[str, str, int] | None:
    """The stem of a file, the field that it has, and which of the field's texts."""
    name = path.name
    for ending in (".gz", ".txt"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    stem, _, last = name.rpartition(".")
    for field in fields if stem else ():
        found = numbered_name(last, (*field.aliases, field.name))
        if found is not None and (field.several or (found[1] == 1 and last[-1:] != "1")):
            return stem.lower(), field.name, found[1]
    return None


def _uneven(
    paths: Sequence[Path],
    streams: Sequence[Generator[str, None, None]],
    lines: Sequence[str | None],
    number: int,
) -> str:
    """What to say of files that do not end at one line: the first that ended, and one longer."""
    short = lines.index(None)
    long = next(i for i, line in enumerate(lines) if line is not None)
    count = number + sum(1 for _ in streams[long])
    return (
        f"{paths[short]} has {number - 1:,} lines and {paths[long]} has {count:,}; line N of each "
        "belongs to line N of the others: mend the files where they part, which may be a line end "
        "too many at the end of one"
    )
