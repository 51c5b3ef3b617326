"""Compiled kernels: the cache that is never stale nor trusted, and every way not to compile."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import shutil
import signal
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
from seqnlp.nn.engines import build
library = build.load(source)
print(build.built(), None if library is None else library.answer())
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and a `build` that has seen nothing yet."""
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEQNLP_COMPILER", raising=False)
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


@needs_compiler
def test_a_source_is_compiled_once_for_all_processes(cache: Path) -> None:
    assert answer() == 42
    assert build.load(SOURCE) is build.load(SOURCE)
    assert build.built() == 1
    (library,) = libraries(cache)
    assert (library.parent / "kernel.cpp").read_text() == SOURCE
    assert finish(start()) == "0 42"
    assert libraries(cache) == [library]
    assert answer(SOURCE.replace("42", "43")) == 43
    assert build.built() == 2
    assert not list(cache.glob(".*"))


@needs_compiler
def test_processes_may_compile_at_once(cache: Path) -> None:
    processes = [start() for _ in range(4)]
    answers = [finish(process).split() for process in processes]
    assert [value for _, value in answers] == ["42"] * 4
    assert finish(start()) == "0 42"
    assert not list(cache.glob(".*"))


@needs_compiler
@pytest.mark.parametrize("damage", [b"", b"\x7fELF", None])
def test_a_damaged_library_is_never_loaded_but_rebuilt(cache: Path, damage: bytes | None) -> None:
    answer()
    (library,) = libraries(cache)
    whole = library.read_bytes()
    # Another file in its place: to change one that is loaded would change this process.
    library.unlink()
    library.write_bytes(whole[:-8] if damage is None else damage)
    build.forget()
    assert answer() == 42
    assert build.built() == 1
    (rebuilt,) = libraries(cache)
    assert rebuilt.read_bytes() == whole


@needs_compiler
def test_what_is_known_of_the_compiler_may_be_damaged_too(cache: Path) -> None:
    first = build.toolchain()
    (record,) = cache.glob("*.json")
    for damage in ("", "{", "[]", '{"version": "x"}'):
        record.write_text(damage)
        build.forget()
        assert build.toolchain() == first
        assert json.loads(record.read_text())["flags"] == list(first.flags if first else ())


@needs_compiler
def test_other_flags_or_another_processor_build_anew(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer()
    build.forget()
    monkeypatch.setattr(compiler, "_features", lambda: "another")
    answer()
    build.forget()
    monkeypatch.setattr(compiler, "_known_flags", lambda *_: ("-O1", "-fPIC", "-shared"))
    monkeypatch.setattr(compiler, "_WANTED", ())
    answer()
    assert build.built() == 1
    assert len({library.parent for library in libraries(cache)}) == 3


@needs_compiler
def test_another_compiler_builds_anew(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(tmp_path, f'exec {COMPILER} "$@"')
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    answer()
    build.forget()
    answer()
    assert build.built() == 0
    # Replaced by one of the same name that says the same of itself, as an update might.
    script(tmp_path, f'exec {COMPILER} "$@" # newer')
    build.forget()
    answer()
    assert build.built() == 1
    assert len(libraries(cache)) == 2


@needs_compiler
def test_the_version_is_not_asked_again(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    path = script(tmp_path, f'echo "$1" >> {log}\nexec {COMPILER} "$@"')
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    answer()
    assert log.read_text().count("--version") == 1
    asked = len(log.read_text().splitlines())
    build.forget()
    tools = build.toolchain()
    answer()
    assert len(log.read_text().splitlines()) == asked
    assert tools is not None
    assert tools.compiler == str(path)
    assert tools.version
    assert build.obstacle() is None


@needs_compiler
def test_flags_that_a_compiler_does_not_know_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = 'case "$*" in *-fno-trapping-math*) echo "error: unknown argument" >&2; exit 1;; esac'
    monkeypatch.setenv("SEQNLP_COMPILER", str(script(tmp_path, f'{refuse}\nexec {COMPILER} "$@"')))
    tools = build.toolchain()
    assert tools is not None
    assert "-fno-trapping-math" not in tools.flags
    assert {"-O3", "-fopenmp-simd", "-ffp-contract=fast"} < set(tools.flags)
    assert answer() == 42


@needs_compiler
@pytest.mark.parametrize("kind", ["file in its place", "no access"])
def test_an_unwritable_cache_is_done_without(
    cache: Path, kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    build._own_folder.cache_clear()
    if kind == "no access":
        if os.geteuid() == 0:
            pytest.skip("nothing is forbidden to root")
        cache.mkdir(parents=True)
        cache.chmod(0o500)
    else:
        cache.parent.mkdir()
        cache.touch()
    assert answer() == 42
    build.forget()
    assert answer() == 42
    assert build.built() == 0, "the folder of this process is a cache too"
    (message,) = caplog.messages
    assert message.startswith("kernels cannot be kept, and every process compiles its own: ")
    assert str(cache) in message


@needs_compiler
def test_a_cache_that_was_filled_by_another_is_read(cache: Path) -> None:
    answer()
    build.forget()
    for path in cache.rglob("*"):
        path.chmod(0o500 if path.is_dir() else 0o400)
    cache.chmod(0o500)
    try:
        assert answer() == 42
        assert build.built() == 0
    finally:
        for path in [cache, *cache.rglob("*")]:
            path.chmod(0o700)


def test_no_compiler_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compiler.platform, "machine", lambda: "x86_64")
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = "no C++ compiler was found on PATH (g++, c++, clang++)"
    with caplog.at_level(logging.WARNING, logger="seqnlp"):
        assert build.toolchain() is None
        assert not caplog.messages
        assert build.load(SOURCE) is None
        assert build.load("int x;") is None
    assert build.obstacle() == reason
    assert caplog.messages == [f"{reason}; recurrences run in a slower loop"]
    assert build.built() == 0


def test_compiling_can_be_switched_off_and_then_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SEQNLP_COMPILER", "none")
    assert build.load(SOURCE) is None
    assert build.obstacle() == "SEQNLP_COMPILER is none"
    assert not caplog.messages


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "SEQNLP_COMPILER is empty"),
        ("no-such-compiler", "SEQNLP_COMPILER names 'no-such-compiler', which is no program"),
    ],
)
def test_a_wrong_name_is_said(value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_COMPILER", value)
    assert build.toolchain() is None
    assert build.obstacle() == reason


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo note >&2; echo 'cc1plus: error: no space' >&2; exit 1", "cc1plus: error: no space"),
        ("exit 3", "status 3"),
        ("exit 0", "it left no library"),
    ],
)
def test_a_compiler_that_fails_is_named_with_what_it_says(
    tmp_path: Path, body: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    works_for_version = f'[ "$1" = --version ] && echo fake && exit 0\n{body}'
    path = script(tmp_path, works_for_version)
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    assert build.toolchain() is None
    assert build.obstacle() == f"the compiler {path} failed: {said}"


@needs_compiler
def test_the_next_compiler_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler.platform, "machine", lambda: "x86_64")
    broken = script(tmp_path, "exit 1")
    broken.rename(tmp_path / "g++")
    (tmp_path / "clang++").symlink_to(str(COMPILER))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(compiler, "_CANDIDATES", ("g++", "clang++"))
    tools = build.toolchain()
    assert tools is not None
    assert tools.compiler == str(tmp_path / "clang++")
    assert answer() == 42


@needs_compiler
def test_a_source_that_does_not_compile_is_said_once(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert build.load("int broken(") is None
    assert build.load("int broken(") is None
    assert build.load("int broken_too(") is None
    (message,) = caplog.messages
    assert message.startswith(f"the compiler {COMPILER} could not build a kernel: kernel.cpp:1:")
    assert message.endswith("; recurrences run in a slower loop")
    assert answer() == 42
    assert not list(cache.glob(".*"))


def test_a_compiler_that_hangs_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    path = script(tmp_path, f"sleep 60 &\necho $! > {pid}\nwait")
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    monkeypatch.setattr(compiler, "TIMEOUT", 0.5)
    assert build.toolchain() is None
    assert build.obstacle() == f"the compiler {path} failed: it took more than 0.5 seconds"
    assert not runs(int(pid.read_text()))


@needs_compiler
def test_ctrl_c_leaves_nothing_behind(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    slow = f"sleep 60 &\necho $! > {pid}\nwait"
    path = script(tmp_path, f'if grep -q answer "$@" 2>/dev/null; then {slow}; fi\n')
    path.write_text(path.read_text() + f'exec {COMPILER} "$@"\n')
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    process = start()
    deadline = time.monotonic() + 60
    while not (pid.is_file() and pid.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert not list(cache.glob(".*"))
    assert not libraries(cache)
    assert not runs(int(pid.read_text()))


@pytest.mark.parametrize(
    ("system", "machine"), [("Linux", "aarch64"), ("Darwin", "arm64"), ("Linux", "riscv64")]
)
def test_other_machines_take_the_loop(
    system: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler.platform, "machine", lambda: machine)
    monkeypatch.setattr(compiler.platform, "system", lambda: system)
    assert build.toolchain() is None
    assert build.obstacle() == (
        f"kernels are compiled on x86-64 Linux and macOS, not on {system} on {machine}"
    )


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie, whom nobody may have come for yet."""
    time.sleep(0.1)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
