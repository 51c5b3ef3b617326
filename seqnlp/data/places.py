"""Where corpora are, and which files are one: by their names alone, without reading them.

`seqnlp list` waits for this; it imports nothing heavy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from seqnlp.data.languages import Languages, fold
from seqnlp.data.naming import SPLITS, TEST
from seqnlp.errors import InputError

SUFFIXES = (
    ".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet", ".tmx",
    ".tsv.gz", ".csv.gz", ".jsonl.gz", ".ndjson.gz", ".json.gz", ".tmx.gz",
)  # fmt: skip
"""The endings of files of rows, for each of which there is a reader."""

CODE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8})*", re.IGNORECASE)

NO_CODES = {"bin", "bpe", "cfg", "csv", "doc", "gz", "htm", "ini", "log", "md", "npy", "npz", "old",
            "pdf", "pkl", "pt", "py", "rst", "sh", "spm", "tar", "tmp", "tmx", "tsv", "txt", "vec",
            "xml", "yml", "zip"}  # fmt: skip
"""Endings that look like the code of a language and are none."""

PAIR_OF_CODES = re.compile(r"\.[a-z]{2,3}-[a-z]{2,3}$", re.IGNORECASE)

Texts = dict[str, dict[str, Path]]
"""Stem to code of a language to file."""


def search_path() -> list[Path]:
    """The folders that SEQNLP_DATA names."""
    roots = os.environ.get("SEQNLP_DATA", "").split(os.pathsep)
    return [Path(root) for root in roots if root]


def found_names() -> list[str]:
    """The names of the corpora on SEQNLP_DATA, sorted."""
    return sorted({name for root in search_path() for name in corpora_in(root)})


def find_corpus(name: str) -> Path | None:
    """The folder or file of that name on SEQNLP_DATA, if there is one."""
    for root in search_path():
        for path in (root / name, *(root / f"{name}{suffix}" for suffix in SUFFIXES)):
            if path.exists():
                return path
    return None


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
        if path.is_dir() and _holds_corpus(path):
            names.append(path.name)
        elif path.is_file() and suffix_of(path):
            names.append(stem_of(path))
    return names


def _holds_corpus(folder: Path) -> bool:
    try:
        return bool(data_files(folder) or find_texts(folder))
    except InputError:  # two files for one text: whoever opens it is told
        return True


def data_files(folder: Path) -> list[Path]:
    """The files of a folder whose names tell a format, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and suffix_of(path))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error


def stem_of(path: Path) -> str:
    """A file's name without the part that tells its format."""
    return path.name[: -len(suffix_of(path) or "")]


def find_texts(folder: Path, asked: Languages = (None, None)) -> Texts:
    """The parallel texts of a folder: the stems that have a split's name, or else the only one.

    A file's name is STEM.CODE, also with `.txt`, `.gz` or both after it. A stem counts where one
    of its files has a partner.

    Args:
        asked: codes that count as such however they look.

    Raises:
        InputError: the folder cannot be read, or two files are one text.
    """
    stems = group_texts(folder, asked)
    named = named_texts(stems)
    if any(len(texts) > 1 for texts in named.values()):
        return named
    whole = {stem: texts for stem, texts in stems.items() if len(texts) > 1}
    return whole if len(whole) == 1 else {}


def group_texts(folder: Path, asked: Languages) -> Texts:
    """Every text of a folder whose name says its language, by stem."""
    stems: Texts = {}
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error
    for path in files:
        if parts := split_name(path, asked):
            stem, code = parts
            texts = stems.setdefault(stem.lower(), {})
            if code in texts:
                raise InputError(
                    f"{folder}: both {texts[code].name} and {path.name} claim to be the {code} "
                    f"side of {stem}; keep one"
                )
            texts[code] = path
    return stems


def named_texts(stems: Texts) -> Texts:
    """Those whose stem is that of a split."""
    return {stem: texts for stem, texts in stems.items() if stem in SPLITS or TEST.match(stem)}


def split_name(path: Path, asked: Languages) -> tuple[str, str] | None:
    """Stem and code of a file of parallel text, or None.

    >>> split_name(Path("train.de-en.de.txt.gz"), (None, None))
    ('train', 'de')
    """
    name = path.name
    for ending in (".gz", ".txt"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    stem, dot, code = name.rpartition(".")
    wanted = {fold(each) for each in asked if each is not None}
    if not stem or not dot:
        return None
    if fold(code) not in wanted and (code.lower() in NO_CODES or not CODE.fullmatch(code)):
        return None
    return PAIR_OF_CODES.sub("", stem), code
