"""The texts that a command is given: as arguments, in files, through a pipe."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import BinaryIO

from seqnlp.errors import InputError

SUFFIXES = {".txt", ".text", ".tsv", ".csv", ".json", ".jsonl", ".md"}
"""Endings by which an input that does not exist is taken for a mistyped file."""
_CHUNK = 1 << 16
_CHARACTERS = 1 << 22
"""A block is closed when it has so many."""


def read_texts(inputs: tuple[str, ...], *, whole: bool = False) -> Iterator[str]:
    """Every text of the inputs, in order; see `read_blocks`."""
    items = _paths(inputs) if whole else _items(inputs, SUFFIXES)
    return (text for text in items if text is not None)


def read_blocks(
    inputs: tuple[str, ...], *, size: int, suffixes: Iterable[str] = (), whole: bool = False
) -> Iterator[list[str]]:
    """The texts in blocks of `size`, fewer where another text would have to be waited for.

    So whoever writes a line and waits for its answer gets it, and a file is read in large blocks.
    Blocks of long texts have fewer, so that memory is bounded; and what stands before a text that
    cannot be read comes before its error.

    Args:
        inputs: texts; files, of which every line is a text; "-" for standard input, which is also
            read where there are none.
        suffixes: more endings like those of `SUFFIXES`.
        whole: an input that is no pipe is an example itself, by its path.

    Raises:
        InputError: a folder, a file that does not exist, or bytes that are not UTF-8.
    """
    block: list[str] = []
    characters = 0
    items = _paths(inputs) if whole else _items(inputs, SUFFIXES.union(suffixes))
    try:
        for text in items:
            if text is not None:
                block.append(text)
                characters += len(text)
            if block and (text is None or len(block) == size or characters >= _CHARACTERS):
                yield block
                block, characters = [], 0
    except InputError:
        if block:
            yield block
        raise
    if block:
        yield block


def count_lines(inputs: tuple[str, ...], *, whole: bool = False) -> int | None:
    """How many texts there are; None where some come through a pipe. See `read_blocks`."""
    total = 0
    for item in inputs or ("-",):
        mode = _mode(item)
        if item == "-" or _is_pipe(mode):
            return None
        if whole or not stat.S_ISREG(mode):
            total += 1
            continue
        with Path(item).open("rb") as file:
            last = b"\n"
            while data := file.read(_CHUNK):
                total, last = total + data.count(b"\n"), data[-1:]
        total += last != b"\n"
    return total


def check_outputs(inputs: tuple[str, ...], outputs: Mapping[str, Path | None]) -> None:
    """Let no file be written over an input or another output; devices take anything.

    Args:
        outputs: option to the file that it names, if any.

    Raises:
        InputError: one is.
    """
    files = [Path(item).resolve() for item in inputs if stat.S_ISREG(_mode(item))]
    taken = dict.fromkeys(files, "an input")
    for option, path in outputs.items():
        if path is None or (path.exists() and not path.is_file()):
            continue
        if (what := taken.get(path.resolve())) is not None:
            raise InputError(f"{option} {path}: {what}; give another file, to keep both")
        taken[path.resolve()] = f"that of {option}, too"


def _items(inputs: tuple[str, ...], suffixes: Set[str]) -> Iterator[str | None]:
    """The texts, and None wherever the next one has to be waited for.

    What no input can be is said before any is read.
    """
    for item in inputs:
        _check(item, suffixes)
    for item in inputs or ("-",):
        mode = _mode(item)
        if item == "-":
            if sys.stdin is None:
                raise InputError("standard input is closed; give texts or files")
            yield from _decoded(_waiting_lines(sys.stdin.buffer), "standard input")
        elif stat.S_ISREG(mode) or _is_pipe(mode):
            with Path(item).open("rb") as file:
                yield from _decoded(_waiting_lines(file) if _is_pipe(mode) else file, item)
        else:
            yield item


def _check(item: str, suffixes: Set[str]) -> None:
    """Raise an InputError, unless an input is a text or something that can be read."""
    mode = _mode(item)
    if stat.S_ISREG(mode) or _is_pipe(mode):
        return
    if stat.S_ISDIR(mode):
        raise InputError(f"{item} is a folder; give texts or files")
    if Path(item).suffix in suffixes and not set(" \n") & set(Path(item).name):
        raise InputError(f"{item}: no such file; a text that looks like one goes through a pipe")
    if any("\udc80" <= letter <= "\udcff" for letter in item):
        # What is no UTF-8 on a command line comes so, see PEP 383.
        raise InputError(f"the text {os.fsencode(item)!r}: not valid UTF-8")


def _paths(inputs: tuple[str, ...]) -> Iterator[str | None]:
    """The inputs as they are; of a pipe every line is one."""
    for item in inputs or ("-",):
        if item == "-" or _is_pipe(_mode(item)):
            yield from _items((item,), frozenset())
        else:
            yield item


def _mode(item: str) -> int:
    """What kind of file has that name; 0 where none has, and the item is a text."""
    try:
        return os.stat(item).st_mode  # noqa: PTH116 - a Path makes a folder of an empty text
    except (OSError, ValueError):  # no file, or nothing that one could be called
        return 0


def _is_pipe(mode: int) -> bool:
    """Whether more may come: a pipe by name, such as `<(zcat texts.gz)`, or a terminal."""
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _decoded(lines: Iterator[bytes | None] | BinaryIO, name: str) -> Iterator[str | None]:
    number = 0
    for line in lines:
        if line is None:
            yield None
            continue
        number += 1
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}:{number}: not valid UTF-8") from error


def _waiting_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a pipe or a terminal, and None before each wait."""
    descriptor = file.fileno()
    begun: list[bytes] = []
    while True:
        if not _ready(descriptor):
            yield None
        data = os.read(descriptor, _CHUNK)
        if not data:
            break
        first, *rest = data.split(b"\n")
        begun.append(first)
        if rest:
            yield b"".join(begun)
            yield from rest[:-1]
            begun = [rest[-1]]
    if last := b"".join(begun):
        yield last


def _ready(descriptor: int) -> bool:
    """Whether there is something to read; not known of a pipe on Windows, where it is False."""
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    except (OSError, ValueError):
        return False
