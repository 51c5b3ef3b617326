"""Files: atomic writes, the cache, and the data that comes with the package."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seqnlp.errors import InputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        InputError: the folder cannot be written to.
    """
    with new_file(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block ends well, and vanishes otherwise.

    Raises:
        InputError: it cannot be written: no access, or the disk is full.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        # What else goes wrong in the block is not about this file.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends well, or vanishes.

    Raises:
        InputError: `path` exists and `replace` is false, or its parent cannot be written to.
    """
    if path.exists() and not replace:
        raise InputError(f"{path} exists already; name another folder or replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        if path.exists():
            # Two renames: a folder cannot be replaced in one step where it is not empty.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
            path.replace(old / path.name)
            temporary.replace(path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_folder() -> Path:
    """The per-user cache: `SEQNLP_CACHE`, else `XDG_CACHE_HOME/seqnlp`, else `~/.cache/seqnlp`."""
    if named := os.environ.get("SEQNLP_CACHE"):
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "seqnlp"


def shipped(kind: str) -> Path:
    """The folder of data that comes with the package: `corpora` or `recipes`.

    In an installed package it lies inside it; in a source tree beside it.
    """
    package = Path(__file__).parent
    inside = package / "_shipped" / kind
    return inside if inside.is_dir() else package.parent / kind


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
