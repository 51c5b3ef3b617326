"""Compiled kernels: the cache that is never stale nor trusted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from seqnlp.nn.engines import build, compiler
from tests.nn.building import (
    COMPILER,
    SOURCE,
    answer,
    finish,
    fresh_cache,
    libraries,
    needs_compiler,
    script,
    start,
)

cache = pytest.fixture(autouse=True)(fresh_cache)


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
