"""Parallel plain text: `train.de` and `train.en`, whose lines of one number are a pair."""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import chain, zip_longest
from pathlib import Path

from seqnlp.data.formats import empty, read_lines
from seqnlp.data.languages import SIDES, Languages, choose_languages, fold
from seqnlp.data.naming import SPLITS, TEST, assign_splits
from seqnlp.data.store import Row, Source
from seqnlp.errors import InputError

CODE = re.compile(r"[a-z]{2,3}([-_][a-z0-9]{2,8})*", re.IGNORECASE)

NO_CODES = {"bin", "bpe", "cfg", "csv", "doc", "gz", "htm", "ini", "log", "md", "npy", "npz", "old",
            "pdf", "pkl", "pt", "py", "rst", "sh", "spm", "tar", "tmp", "tmx", "tsv", "txt", "vec",
            "xml", "yml", "zip"}  # fmt: skip
"""Endings that look like the code of a language and are none."""

PAIR_OF_CODES = re.compile(r"\.[a-z]{2,3}-[a-z]{2,3}$", re.IGNORECASE)

Texts = dict[str, dict[str, Path]]
"""Stem to code of a language to file."""


def find_texts(folder: Path, asked: Languages = (None, None)) -> Texts:
    """The parallel texts of a folder: the stems that have a split's name, or else the only one.

    A file's name is STEM.CODE, also with `.txt`, `.gz` or both after it. A stem counts where one
    of its files has a partner.

    Args:
        asked: codes that count as such however they look.

    Raises:
        InputError: the folder cannot be read, or two files are one text.
    """
    stems = _group(folder, asked)
    named = _named(stems)
    if any(len(texts) > 1 for texts in named.values()):
        return named
    whole = {stem: texts for stem, texts in stems.items() if len(texts) > 1}
    return whole if len(whole) == 1 else {}


def explain_texts(folder: Path, asked: Languages) -> str | None:
    """Why `find_texts` finds nothing in a folder that has such texts; None where it has none."""
    stems = _group(folder, asked)
    named = _named(stems)
    whole = sorted(stem for stem, texts in stems.items() if len(texts) > 1)
    if named:
        stem, sides = next(iter(named.items()))
        known = {fold(code) for code in sides}
        wanted = [code for code in asked if code is not None and fold(code) not in known]
        lacking = [f"no {stem}.{code}" for code in wanted]
        there = " and ".join(path.name for path in sides.values())
        return (
            f"{there} stands alone; there is "
            f"{' and '.join(lacking) or f'no {stem}.CODE in another language'}"
        )
    if whole:
        return f"none of the texts is named train, validation or test: {', '.join(whole)}"
    return None


def find_pairs(
    folder: Path, texts: Texts, asked: Languages
) -> tuple[dict[str, tuple[Path, Path]], tuple[str, str], list[str]]:
    """Split name to its two files; the codes of the two languages; notes on what is left out.

    Raises:
        InputError: no two of the languages there are can be meant, or a file has no partner.
    """
    known = sorted({code for sides in texts.values() for code in sides})
    codes = choose_languages(asked, known, str(folder))
    complete: dict[str, tuple[Path, Path]] = {}
    notes = []
    for stem, sides in texts.items():
        here = [code for code in codes if code in sides]
        if len(here) == 2:
            complete[stem] = (sides[codes[0]], sides[codes[1]])
        elif here:
            there = sides[here[0]].name
            lacking = f"{there} has no partner in {codes[1 - codes.index(here[0])]!r}"
            if not TEST.match(stem):
                raise InputError(f"{folder}: {lacking}")
            notes.append(f"{lacking} and is left out")
    found = assign_splits(complete)
    for split, stems in found.items():
        if len(stems) > 1:
            names = " and ".join(complete[stem][0].name for stem in stems)
            raise InputError(f"{folder}: both {names} claim to be {split}; keep one")
    if not found:
        if len(complete) != 1:
            raise InputError(f"{folder}: no train.{codes[0]} and train.{codes[1]}")
        found = {"train": list(complete)}
    return {split: complete[stems[0]] for split, stems in found.items()}, codes, notes


def find_partner(path: Path, asked: Languages) -> tuple[tuple[Path, Path], tuple[str, str]] | None:
    """The pair of files that a path is one of, and its languages; None where it is no such file.

    Raises:
        InputError: it has no partner, or several that may be meant.
    """
    parts = split_name(path, asked)
    if parts is None:
        return None
    sides = {}
    for other in sorted(path.parent.iterdir()):
        found = split_name(other, asked)
        if found is not None and found[0] == parts[0] and other.is_file():
            sides[found[1]] = other
    codes = choose_languages(asked, sorted(sides), str(path))
    return (sides[codes[0]], sides[codes[1]]), codes


def read_pairs(source: Path, target: Path) -> Source:
    """The pairs of two texts; a row is named by its line in `source`."""

    def rows() -> Generator[Row, None, None]:
        number = 0
        left, right = read_lines(source), read_lines(target)
        for number, pair in enumerate(zip_longest(left, right), start=1):
            if None in pair:
                longest = number + sum(1 for _ in chain(left, right))
                lines = [number - 1 if text is None else longest for text in pair]
                raise InputError(
                    f"{source} has {lines[0]:,} lines and {target} has {lines[1]:,}; line N of one "
                    "must be the translation of line N of the other: mend the files where they "
                    "part, which may be a line end too many at the end of one"
                )
            yield f":{number}", [text.removesuffix("\r") for text in pair]
        if not number:
            raise empty(source)

    return Source(fields=SIDES, rows=rows())


def _group(folder: Path, asked: Languages) -> Texts:
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


def _named(stems: Texts) -> Texts:
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
