"""Corpora in files: a folder of splits, or one file. The format is told by the file's name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from seqnlp.data.aligned import Files, choose_files, find_files, find_partners, read_aligned
from seqnlp.data.corpus import Corpus, CorpusRequest, assemble
from seqnlp.data.delimited import read_csv, read_tsv
from seqnlp.data.formats import Reader, read_json_lines, read_parquet
from seqnlp.data.hub import is_saved
from seqnlp.data.naming import assign_splits, note_test
from seqnlp.data.parallel import explain_texts, find_pairs, find_partner, read_pairs
from seqnlp.data.places import SUFFIXES, data_files, find_texts, stem_of, suffix_of
from seqnlp.data.split import Split, concatenate
from seqnlp.data.store import Source, stored_split
from seqnlp.data.tmx import read_tmx
from seqnlp.errors import InputError

T = TypeVar("T")

READERS: dict[str, Reader] = {
    ".tsv": read_tsv,
    ".csv": read_csv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json_lines,
    ".parquet": read_parquet,
    ".tmx": read_tmx,
}

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
    name, and the first is test too. A split may be in shards (`train-00000-of-00002.parquet`). A
    folder with a single data file of another name, and a path that is a file, are train alone.
    Other files are not looked at.

    For a task that reads pairs, parallel plain text (`train.de`, `train.en`) goes before other
    files, and a path that is one side of it means both. So does plain text with a file for each
    field (`train.document`, `train.summary`), for a task that reads texts and no label.

    Raises:
        InputError: nothing there, no file whose format is known, two files for one split, a
            language that is not there, or rows that cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder{_nearest(path)}")
    languages = request.languages
    notes: list[str] = []
    splits: dict[str, Split] = {}
    texts = find_texts(path, languages) if request.parallel and path.is_dir() else {}
    aligned = find_files(path, request.fields) if request.aligned and path.is_dir() else {}
    # Texts of another name go before files of rows only where there are none of those.
    if texts and (assign_splits(texts) or not data_files(path)):
        pairs, languages, notes = find_pairs(path, texts, languages)
        notes += note_test(pairs) + _passed_over(path)
        splits = _read_each(pairs, lambda pair, split: _read_pair(pair, split, request=request))
    elif aligned and (assign_splits(aligned) or not data_files(path)):
        chosen = choose_files(path, aligned)
        notes = note_test(chosen) + _passed_over(path)
        splits = _read_each(chosen, lambda one, split: _read_aligned(one, split, request=request))
    elif path.is_dir():
        if is_saved(path):
            raise InputError(f"{path}: a dataset that save_to_disk wrote; name it hf:{path}")
        pairs_alone = request.parallel and not data_files(path)
        if pairs_alone and (why := explain_texts(path, languages)):
            raise InputError(f"{path}: {why}")
        files = find_splits(path, texts=_texts(request))
        notes = note_test(files)
        splits = _read_each(
            files, lambda shards, split: _read_shards(path, split, shards, request=request)
        )
    elif request.parallel and not suffix_of(path) and (partner := find_partner(path, languages)):
        pair, languages = partner
        splits = {"train": _read_pair(pair, "train", request=request)}
    elif (
        request.aligned
        and not suffix_of(path)
        and (partners := find_partners(path, request.fields))
    ):
        splits = {"train": _read_aligned(partners, "train", request=request)}
    else:
        splits = {"train": read_file(path, "train", request=request)}
    return assemble(
        name or path.resolve().name,
        splits,
        request=request,
        license=license,
        description=description,
        notes=notes,
        languages=languages,
    )


def read_file(
    path: Path, split: str, *, request: CorpusRequest, folder: Path | None = None
) -> Split:
    """The rows of one file, on disk and memory-mapped.

    Args:
        folder: the origin of the rows, where the file is a shard of a split.
    """
    suffix = suffix_of(path)
    if suffix is None:
        texts = _texts(request, path.name)
        raise InputError(
            f"{path}: the name does not tell the format; expected one of "
            f"{', '.join(SUFFIXES)}{f', or {texts}' if texts else ''}"
        )
    reader = READERS[suffix.removesuffix(".gz")]
    origin = str(folder or path)
    prefix = str(path)[len(origin) :]

    def source() -> Source:
        rows = reader(path, request)
        if not prefix:
            return rows
        stream = ((prefix + where, values) for where, values in rows.rows)
        return Source(fields=rows.fields, rows=stream)

    key = {**_key(path, request), "shard": folder is not None}
    return stored_split(split, key=key, source=source, origin=origin)


def _read_each(files: Mapping[str, T], read: Callable[[T, str], Split]) -> dict[str, Split]:
    """The splits of files; where two names have the same files, one split under both."""
    splits: dict[str, Split] = {}
    for name, several in files.items():
        known = [splits[other] for other in splits if files[other] == several]
        splits[name] = known[0] if known else read(several, name)
    return splits


def _read_shards(folder: Path, split: str, shards: list[Path], *, request: CorpusRequest) -> Split:
    origin = folder if len(shards) > 1 else None
    parts = [read_file(file, split, request=request, folder=origin) for file in shards]
    for file, part in zip(shards, parts, strict=True):
        if other := set(part.fields) ^ set(parts[0].fields):
            with_it, without = (file, shards[0]) if other <= set(part.fields) else (shards[0], file)
            raise InputError(
                f"{without}: no column for {min(other)}, which {with_it.name} of the same split has"
            )
    return concatenate(split, parts, origin=str(folder))


def _read_pair(pair: tuple[Path, Path], split: str, *, request: CorpusRequest) -> Split:
    return stored_split(
        split,
        key={"pair": [_key(path, request) for path in pair]},
        source=lambda: read_pairs(*pair),
        origin=str(pair[0]),
    )


def _read_aligned(files: Files, split: str, *, request: CorpusRequest) -> Split:
    first = next(files[field.name] for field in request.fields if field.name in files)[0]
    return stored_split(
        split,
        key={"aligned": {f: [_key(path, request) for path in files[f]] for f in files}},
        source=lambda: read_aligned(files, request.fields),
        origin=str(first),
    )


def _key(path: Path, request: CorpusRequest) -> dict[str, object]:
    """What the rows of a file depend on."""
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return {
        "path": str(path.resolve()),
        "size": status.st_size,
        # The change time too: copying tools restore the other one.
        "mtime": [status.st_mtime_ns, status.st_ctime_ns, status.st_ino],
        "fields": [
            [field.name, field.aliases, field.required, field.several] for field in request.fields
        ],
        "columns": dict(request.columns),
        "languages": request.languages,
    }


def find_splits(folder: Path, *, texts: str = "") -> dict[str, list[Path]]:
    """Split name to its files, of which there are several where it is in shards.

    Args:
        texts: files of plain text that would do, for the message.

    Raises:
        InputError: the folder has no such files, or two that claim one split.
    """
    stems: dict[str, list[Path]] = {}
    for path in data_files(folder):
        stems.setdefault(_split_stem(path), []).append(path)
    claims = assign_splits(stems)
    if not claims:
        if len(stems) != 1:
            raise InputError(f"{folder}: {_no_splits(stems, texts)}")
        claims = {"train": list(stems)}
    found = {}
    for split, names in claims.items():
        paths = [path for name in names for path in stems[name]]
        if len(paths) > 1 and not all(SHARD.search(stem_of(path)) for path in paths):
            named = " and ".join(path.name for path in paths)
            raise InputError(f"{folder}: both {named} claim to be {split}; keep one")
        found[split] = paths
    return found


def _passed_over(folder: Path) -> list[str]:
    """What to say where there are files of rows beside the plain text that is read."""
    names = [path.name for path in data_files(folder) if assign_splits([_split_stem(path)])]
    return [f"plain text is read, and not {', '.join(names)}"] if names else []


def _split_stem(path: Path) -> str:
    return SHARD.sub("", stem_of(path).lower())


def _texts(request: CorpusRequest, stem: str = "train") -> str:
    """The files of plain text that would do, for a message."""
    if request.parallel:
        return f"{stem}.CODE of two languages"
    names = [f"{stem}.{field.name}" for field in request.fields if field.required]
    return " and ".join(names) if request.aligned else ""


def _no_splits(stems: dict[str, list[Path]], texts: str) -> str:
    if not stems:
        texts = f"{texts} (plain text), or " if texts else ""
        return f"no data files; expected {texts}train, validation and test in {', '.join(SUFFIXES)}"
    names = ", ".join(path.name for paths in stems.values() for path in paths)
    return f"none of its files is named train, validation or test: {names}"


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return ""
    near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()], n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
