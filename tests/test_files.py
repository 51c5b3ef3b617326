from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from seqnlp.errors import InputError
from seqnlp.files import cache_folder, new_file, shipped, write_text, write_together


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with contextlib.suppress(ZeroDivisionError), new_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    write_together(tmp_path, {"a": b"1", "b": b"2"})
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="cannot write .*/c: Is a directory"):
        write_together(tmp_path, {"c": b"x"})
    with pytest.raises(InputError, match="cannot write .*/no/b"):
        write_together(tmp_path, {"a": b"new", "no/b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["a", "b", "c"]


def test_files_are_renamed_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed: list[str] = []
    replace = Path.replace

    def spy(self: Path, target: Path) -> Path:
        renamed.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", spy)
    write_together(tmp_path, {"weights": b"1", "figures": b"2", "manifest": b"3"})
    assert renamed == ["weights", "figures", "manifest"]


def noting(call: Callable[..., object], done: list[str]) -> Callable[..., object]:
    def noted(*given: object) -> object:
        done.append(call.__name__)
        return call(*given)

    return noted


def test_files_are_on_the_disk_before_one_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, noting(getattr(os, name), done))
    write_together(tmp_path, {"weights": b"1", "manifest": b"2"})
    assert done == ["fsync", "fsync", "replace", "replace", "fsync"]


def test_an_unwritable_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*file/a.txt: Not a directory"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_written_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("SEQNLP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "seqnlp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "seqnlp"


def test_shipped_data_is_there() -> None:
    assert (shipped("corpora") / "sentiment" / "train.tsv").is_file()
    assert (shipped("recipes") / "sst2.toml").is_file()
