"""How the texts of a command are read: in blocks that wait for nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from seqnlp.cli.inputs import count_lines, read_blocks, read_texts
from seqnlp.errors import InputError


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of a pipe that is standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=file))
        yield writing


def test_a_pipe_is_read_as_far_as_it_has_come(pipe: int) -> None:
    blocks = read_blocks(("-",), size=3)
    for written, expected in (
        (b"one\n", ["one"]),
        (b"two\nthr", ["two"]),
        (b"ee\n\nfour\nfive\n", ["three", "", "four"]),
    ):
        os.write(pipe, written)
        assert next(blocks) == expected
    assert next(blocks) == ["five"]
    os.write(pipe, b"last")
    os.close(pipe)
    assert list(blocks) == [["last"]]


def test_what_came_before_is_not_held_back_by_a_wait(pipe: int) -> None:
    blocks = read_blocks(("a text", "-"), size=10)
    assert next(blocks) == ["a text"]
    os.close(pipe)
    assert list(blocks) == []


def test_a_long_line_comes_in_pieces(pipe: int) -> None:
    texts = read_texts(())
    line = b"word " * 30_000  # more than a pipe holds
    if os.fork() == 0:
        os.write(pipe, line)
        os.write(pipe, b"\nnext\n")
        os._exit(0)
    os.close(pipe)
    assert list(texts) == [line.decode(), "next"]
    os.wait()


def test_files_and_texts_make_full_blocks(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes("\ufeffone\r\ntwo\n\nthree".encode())
    inputs = ("a", str(file), "", "b")
    assert list(read_blocks(inputs, size=3)) == [["a", "one", "two"], ["", "three", ""], ["b"]]
    assert count_lines(inputs) == 7
    assert count_lines((*inputs, "-")) is None
    assert count_lines(()) is None


def test_a_pipe_that_has_a_name_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    if os.fork() == 0:
        with path.open("wb", buffering=0) as file:
            file.write(b"one\n")
            file.write(b"two\nthree")
        os._exit(0)
    assert list(read_texts((str(path), "four"))) == ["one", "two", "three", "four"]
    os.wait()
    assert count_lines((str(path),)) is None


@pytest.mark.parametrize("text", ["word " * 60, "w" * 5000, "a\nb", "\x00", "\ud800", " ", "é.d e"])
def test_what_no_file_can_be_called_is_a_text(text: str) -> None:
    assert list(read_texts((text,))) == [text]
    assert count_lines((text,)) == 1


@pytest.mark.parametrize("content", [b"", b"\n", b"a", b"a\n", b"a\n\nb"])
def test_lines_are_counted_as_they_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    inputs = (str(tmp_path / "file"),)
    assert count_lines(inputs) == len(list(read_texts(inputs)))


def test_bytes_that_are_no_text_are_named(pipe: int) -> None:
    os.write(pipe, b"fine\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"^standard input:2: not valid UTF-8$"):
        list(read_texts(("-",)))
    os.close(pipe)


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match=r"^standard input is closed; give texts or files$"):
        list(read_texts(()))


def test_where_nothing_can_be_asked_no_answer_waits(
    pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("an operation was attempted on something that is not a socket")

    monkeypatch.setattr("seqnlp.cli.inputs.select.select", fails)
    blocks = read_blocks(("-",), size=10)
    os.write(pipe, b"one\ntwo\n")
    assert next(blocks) == ["one", "two"]
    os.close(pipe)
    assert list(blocks) == []


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("line\n" * 10_000)
    blocks = read_blocks((str(tmp_path / "many"),), size=100)
    assert len(next(blocks)) == 100
    assert sum(map(len, blocks)) == 9_900
