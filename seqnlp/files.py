"""Files: atomic writes, the cache, and the data that comes with the package."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from seqnlp.errors import InputError

_HALF = ".half"
"""How the names of files end that are not written yet."""


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        InputError: the folder cannot be written to.
    """
    with new_file(path, durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, text.encode("utf-8"))


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files of one folder: all under temporary names first, then renamed in their order.

    They are on the disk itself when this returns.

    Raises:
        InputError: one cannot be written; then none has changed.
    """
    with _uninterrupted(), ExitStack() as written:
        # The stack closes, and so renames, from the last that was opened to the first.
        for name, data in reversed(list(files.items())):
            file = written.enter_context(new_file(folder / name))
            file.write(data)
            # Now, so that renaming takes no time in which old and new ones stand side by side.
            _sync(file)
    for parent in {(folder / name).parent for name in files}:
        _sync_folder(parent)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the block has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # One that Python does not know could not be put back, and one that is ignored stays so.
    if before in (None, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def new_file(path: Path, *, durable: bool = False) -> Iterator[BinaryIO]:
    """Yield a file that becomes `path` when the block ends well, and vanishes otherwise.

    Args:
        path: of the file.
        durable: whether it is on the disk itself when the block has ended, so that it outlives a
            loss of power; this takes time.

    Raises:
        InputError: it cannot be written: no access, or the disk is full.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(_HALF, f".{path.name}.", path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if durable:
                _sync(file)
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        # What else goes wrong in the block is not about this file.
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EISDIR):
            raise
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left half-written, in a folder and those in it."""
    for path in folder.rglob(f".*{_HALF}"):
        with suppress(OSError):
            path.unlink()


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a folder while the block runs: whether no other process does so.

    The system lets go of it when the process ends, however that is. Where it knows no such thing,
    no process is told of another.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError as error:
            free = error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        yield free
    finally:
        os.close(descriptor)


def _sync(file: BinaryIO) -> None:
    """Put what was written on the disk itself."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems know no such thing of folders.
        pass
    finally:
        os.close(descriptor)


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
