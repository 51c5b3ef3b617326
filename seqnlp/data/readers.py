"""Corpora in files: a folder of splits, or one file. The format is told by the file's name."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path

from seqnlp.data.corpus import Corpus, CorpusRequest, assemble
from seqnlp.data.delimited import read_csv, read_tsv
from seqnlp.data.formats import Reader, read_json_lines, read_parquet
from seqnlp.data.split import Split, concatenate
from seqnlp.data.store import Source, stored_split
from seqnlp.errors import InputError

READERS: dict[str, Reader] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
}

SUFFIXES = (*READERS, *(f"{suffix}.gz" for suffix in READERS if suffix != ".parquet"))

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""File name without its endings to split; names such as `test_2016` are looked at after these."""

SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def open_path(
    path: Path,
    *,
    request: CorpusRequest,
    name: str | None = None,
    license: str = "not stated",
    description: str = "",
) -> Corpus:
    """The corpus in a folder or a file.

    A folder has a file for each split: train or training; validation, valid, val or dev; test.
    One other file that begins with `test` is test as well; of several, each is a split by its own
    name. A split may be in shards (`train-00000-of-00002.parquet`). A folder with a single data
    file of another name, and a path that is a file, are train alone. Other files are not looked
    at.

    Raises:
        InputError: nothing there, no file whose format is known, two files for one split, or rows
            that cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder{_nearest(path)}")
    name = name or path.resolve().name
    if path.is_file():
        return assemble(
            name, {"train": read_file(path, "train", request=request)},
            request=request, license=license, description=description,
        )  # fmt: skip
    splits = {}
    for split, files in find_splits(path).items():
        shards = [
            read_file(file, split, request=request, folder=path if len(files) > 1 else None)
            for file in files
        ]
        splits[split] = concatenate(split, shards, origin=str(path))
    return assemble(name, splits, request=request, license=license, description=description)


def read_file(
    path: Path, split: str, *, request: CorpusRequest, folder: Path | None = None
) -> Split:
    """The rows of one file, on disk and memory-mapped.

    Args:
        folder: the origin of the rows, where the file is a shard of a split.
    """
    suffix = suffix_of(path)
    if suffix is None:
        raise InputError(
            f"{path}: the name does not tell the format; expected one of {', '.join(SUFFIXES)}"
        )
    reader = READERS[suffix.removesuffix(".gz")]
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    key = {
        "path": str(path.resolve()),
        "size": status.st_size,
        # The change time too: copying tools restore the other one.
        "mtime": [status.st_mtime_ns, status.st_ctime_ns, status.st_ino],
        "fields": [[field.name, field.aliases, field.required] for field in request.fields],
        "columns": dict(request.columns),
        "shard": folder is not None,
    }
    origin = str(folder or path)
    prefix = str(path)[len(origin) :]

    def source() -> Source:
        rows = reader(path, request.fields, request.columns)
        if not prefix:
            return rows
        stream = ((prefix + where, values) for where, values in rows.rows)
        return Source(fields=rows.fields, rows=stream)

    return stored_split(split, key=key, source=source, origin=origin)


def find_splits(folder: Path) -> dict[str, list[Path]]:
    """Split name to its files, of which there are several where it is in shards.

    Raises:
        InputError: the folder has no such files, or two that claim one split.
    """
    stems: dict[str, list[Path]] = {}
    for path in _data_files(folder):
        stems.setdefault(SHARD.sub("", _stem(path).lower()), []).append(path)
    found: dict[str, list[Path]] = {}
    for stem, paths in stems.items():
        if split := SPLITS.get(stem):
            found.setdefault(split, []).extend(paths)
    tests = [stem for stem in stems if re.match(r"test[-_.\d]", stem)]
    if "test" not in found and len(tests) == 1:
        found["test"] = stems[tests[0]]
    else:
        found.update({stem: stems[stem] for stem in tests})
    if not found:
        if len(stems) != 1:
            raise InputError(f"{folder}: {_no_splits(stems)}")
        found = {"train": next(iter(stems.values()))}
    for split, paths in found.items():
        if len(paths) > 1 and not all(SHARD.search(_stem(path)) for path in paths):
            names = " and ".join(path.name for path in paths)
            raise InputError(f"{folder}: both {names} claim to be {split}; keep one")
    return found


def suffix_of(path: Path) -> str | None:
    """The part of a file's name that tells its format, `.gz` included.

    >>> suffix_of(Path("a.b/train.en.jsonl.gz")), suffix_of(Path("notes.txt"))
    ('.jsonl.gz', None)
    """
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)


def corpora_in(root: Path) -> list[str]:
    """Names of the corpora in a folder of the search path."""
    names = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.is_dir() and _data_files(path):
            names.append(path.name)
        elif path.is_file() and suffix_of(path):
            names.append(_stem(path))
    return names


def _data_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and suffix_of(path))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error


def _stem(path: Path) -> str:
    return path.name[: -len(suffix_of(path) or "")]


def _no_splits(stems: dict[str, list[Path]]) -> str:
    if not stems:
        return f"no data files; expected train, validation and test in {', '.join(SUFFIXES)}"
    names = ", ".join(path.name for paths in stems.values() for path in paths)
    return f"none of its files is named train, validation or test: {names}"


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
