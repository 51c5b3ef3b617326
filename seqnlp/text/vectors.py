"""Pretrained word vectors in the text formats of word2vec and GloVe."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seqnlp.errors import InputError

_GZIP = b"\x1f\x8b"


def read_vectors(
    path: Path, wanted: Collection[str], *, size: int | None = None
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Read the vectors of some tokens, one line of the file in memory at a time.

    A line is a token and its values, separated by single spaces; the token may hold spaces, as in
    the largest GloVe file. word2vec's header ("count size") is recognized; gzip is too, by
    content. Every line's count of values is checked, the values of wanted tokens only are read.

    Args:
        path: the file.
        wanted: the tokens to take; others are skipped.
        size: values a vector; without it, what the header or the first line says.

    Returns:
        The tokens that were found, in the file's order, and float32 [tokens, size]. Of a token
        that stands twice, the first vector counts.

    Raises:
        InputError: no such file, an empty or truncated one, a line that is not UTF-8 or has the
            wrong number of values, a value that is not a finite number; with the line.
    """
    left = set(wanted)
    tokens: list[str] = []
    rows: list[npt.NDArray[np.float32]] = []
    promised, seen, number = None, 0, 0
    for number, raw in enumerate(_lines(path), start=1):
        where = f"{path}:{number}"
        line = _decode(raw, where)
        if number == 1 and (header := _header(line)) is not None:
            promised, found = header
            if size is not None and size != found:
                raise InputError(f"{where}: vectors of {found} values, expected {size}")
            size = found
            continue
        if not line:
            continue
        if size is None:
            size = line.count(" ")
        token, values = _split(line, size, where)
        seen += 1
        if token in left:
            left.remove(token)
            tokens.append(token)
            rows.append(_numbers(values, where))
    if number == 0:
        raise InputError(f"{path}: the file is empty; expected a token and its values on each line")
    if promised is not None and seen != promised:
        raise InputError(f"{path}: the header promises {promised} vectors, found {seen}")
    matrix = np.stack(rows) if rows else np.zeros((0, size or 0), dtype=np.float32)
    return tokens, matrix


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == _GZIP
            plain.seek(0)
            if packed:
                with gzip.open(plain) as file:
                    yield from file
            else:
                yield from plain
    except FileNotFoundError as error:
        near = get_close_matches(path.name, [other.name for other in path.parent.glob("*")], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(f"{path}: no such file{hint}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged or truncated gzip: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _decode(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8").rstrip(" \r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not valid UTF-8") from error


def _header(line: str) -> tuple[int, int] | None:
    fields = line.split(" ")
    if len(fields) == 2 and all(field.isascii() and field.isdigit() for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _split(line: str, size: int, where: str) -> tuple[str, list[str]]:
    token, *values = line.rsplit(" ", size) if size else [line]
    surplus = token.split(" ")[1:]
    found = len(values) + len(surplus)
    # Spaces within a token are told from surplus values by what stands between them.
    if len(values) < size or not size or (surplus and all(map(_is_number, surplus))):
        raise InputError(f"{where}: expected a token and {size or 'its'} values, found {found}")
    return token, values


def _numbers(values: list[str], where: str) -> npt.NDArray[np.float32]:
    for value in values:
        if not _is_number(value):
            raise InputError(f"{where}: {value!r} is not a finite number")
    return np.array(values, dtype=np.float32)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
