"""What the tests of compiled kernels share: caches, programs for a compiler, and processes."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqnlp.nn.engines import build, compiler

SOURCE = 'extern "C" int answer() { return 42; }'
COMPILER = next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler is on PATH")
# Without torch, which a new process would take seconds to import.
NEW_PROCESS = """
import importlib.util, sys, types
for name in ("seqnlp.nn", "seqnlp.nn.engines"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [f"{root}/" + name.replace(".", "/")]
from seqnlp.nn.engines import build, compiler
library = build.load(source)
print(build.built(), None if library is None else library.answer())
"""


def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a `build` that has seen nothing yet and waits in silence."""
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQNLP_COMPILER", raising=False)
    monkeypatch.setattr(compiler, "PATIENCE", compiler.TIMEOUT)
    build.forget()
    yield tmp_path / "cache" / "kernels"
    monkeypatch.undo()
    build.forget()


def answer(source: str = SOURCE) -> int:
    library = build.load(source)
    assert isinstance(library, ctypes.CDLL)
    return int(library.answer())


def libraries(cache: Path) -> list[Path]:
    return sorted(cache.glob("*/*.so"))


def script(folder: Path, body: str) -> Path:
    """A program that stands for a compiler."""
    path = folder / "compiler"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def start(source: str = SOURCE) -> subprocess.Popen[str]:
    root = str(Path(build.__file__).parents[3])
    code = f"root, source = {root!r}, {source!r}\n{NEW_PROCESS}"
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.strip()


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie, whom nobody may have come for yet."""
    time.sleep(0.1)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
