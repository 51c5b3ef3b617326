"""Compiled kernels: C++ sources in, loaded libraries out, by way of a cache of the user's.

Under `seqnlp.files.cache_folder()`/kernels each kernel has a folder named after all that it depends
on, with its source, for the curious, and the library, named after its own checksum: a damaged file
is never loaded, and processes that build one kernel at once do not disturb each other.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path

from seqnlp.errors import InputError
from seqnlp.files import cache_folder, write_text
from seqnlp.nn.engines.compiler import (
    VARIABLE,
    CompileError,
    Toolchain,
    compile_library,
    digest,
    look_up,
    obstacle,
    toolchain,
)

__all__ = ["Toolchain", "built", "forget", "load", "obstacle", "toolchain"]

_log = logging.getLogger(__name__)


def load(source: str) -> ctypes.CDLL | None:
    """The library of a C++ source: of this process, from the cache, or compiled.

    Where it cannot be built the answer is None, and the first time in a process one line of the
    log says why, unless the user has switched compiling off.
    """
    with _lock:
        if source not in _loaded:
            _loaded[source] = _load(source)
        return _loaded[source]


def built() -> int:
    """How many kernels this process had compiled, rather than found in the cache."""
    return _built


def forget() -> None:
    """Begin again as a new process would: for tests that change the machine around this one."""
    global _built, _warned
    with _lock:
        look_up.cache_clear()
        _loaded.clear()
        _built, _warned = 0, False


_lock = threading.Lock()
_loaded: dict[str, ctypes.CDLL | None] = {}
_built = 0
_warned = False


def _load(source: str) -> ctypes.CDLL | None:
    global _built
    found, reason, identity = look_up()
    if found is None:
        if os.environ.get(VARIABLE) != "none":
            _warn(str(reason))
        return None
    key = digest([source, asdict(found), identity])
    kernels = cache_folder() / "kernels"
    for folder in (kernels, _own_folder()) if _own_folder.cache_info().currsize else (kernels,):
        if (library := _find(folder / key)) is not None:
            return library
    _built += 1
    try:
        return _build(source, found, key)
    except (CompileError, OSError, InputError) as error:
        _warn(f"the compiler {found.compiler} could not build a kernel: {error}")
        return None


def _find(entry: Path) -> ctypes.CDLL | None:
    """The library of an entry of the cache; a damaged one is removed."""
    # Not glob, which is slower than all the rest of this.
    try:
        names = [name for name in os.listdir(entry) if name.endswith(".so")]  # noqa: PTH208
    except OSError:
        return None
    for name in names:
        path = entry / name
        with contextlib.suppress(OSError):
            if hashlib.sha256(path.read_bytes()).hexdigest()[:32] == path.stem:
                return ctypes.CDLL(str(path))
            path.unlink()
    return None


def _build(source: str, tools: Toolchain, key: str) -> ctypes.CDLL:
    folder = _writable_folder()
    # In the same file system, so that the finished library is moved in one step.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".building-") as work:
        library = compile_library(tools.compiler, tools.flags, source, Path(work))
        entry = folder / key
        entry.mkdir(exist_ok=True)
        write_text(entry / "kernel.cpp", source)
        path = entry / f"{hashlib.sha256(library.read_bytes()).hexdigest()[:32]}.so"
        library.replace(path)
    return ctypes.CDLL(str(path))


def _writable_folder() -> Path:
    """The folder of kernels in the user's cache; where it cannot be written to, one of our own."""
    kernels = cache_folder() / "kernels"
    try:
        kernels.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=kernels):
            return kernels
    except OSError as error:
        if not _own_folder.cache_info().currsize:
            _log.warning(
                "kernels cannot be kept, and every process compiles its own: %s: %s",
                kernels,
                error.strerror,
            )
        return _own_folder()


@functools.cache
def _own_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="seqnlp-kernels-")
    # A library that is loaded stays readable after its file is gone.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _warn(reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        _log.warning("%s; recurrences run in a slower loop", reason)
