"""The compiler: how it is found and tried, and every way not to compile."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path

import pytest

from seqnlp.nn.engines import build, compiler
from tests.nn.building import (
    COMPILER,
    SOURCE,
    answer,
    fresh_cache,
    libraries,
    needs_compiler,
    runs,
    script,
    start,
)

cache = pytest.fixture(autouse=True)(fresh_cache)


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


def test_a_slow_compiler_is_spoken_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = script(tmp_path, "echo patient 1.0\nsleep 0.4\necho; exit 1")
    monkeypatch.setenv("SEQNLP_COMPILER", str(path))
    monkeypatch.setattr(compiler, "PATIENCE", 0.2)
    assert build.obstacle() is not None
    (message, *_) = caplog.messages
    assert message == f"waiting for the compiler {path}, for 120 seconds at the most"


@needs_compiler
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_this_process_ends_the_compiler(
    number: int, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert not libraries(cache)
    assert not runs(int(pid.read_text()))
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert not list(cache.glob(".*"))


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
