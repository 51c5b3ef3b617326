"""Parallel plain text: `train.de` and `train.en`, whose lines of one number are a pair."""

from __future__ import annotations

from collections.abc import Generator
from itertools import chain, zip_longest
from pathlib import Path

from seqnlp.data.formats import empty, read_lines
from seqnlp.data.languages import SIDES, Languages, choose_languages, fold
from seqnlp.data.naming import TEST, assign_splits
from seqnlp.data.places import Texts, group_texts, named_texts, split_name
from seqnlp.data.store import Row, Source
from seqnlp.errors import InputError


def explain_texts(folder: Path, asked: Languages) -> str | None:
    """Why `find_texts` finds nothing in a folder that has such texts; None where it has none."""
    stems = group_texts(folder, asked)
    named = named_texts(stems)
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
