import gzip
import re
from pathlib import Path

import numpy as np
import pytest

from seqnlp.errors import InputError
from seqnlp.text import read_vectors

GLOVE = "the 0.5 -1 2e-1\n. . . 1 2 3\ncafé 4 5 6\nthe 7 8 9\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("size", [None, 3])
def test_glove(tmp_path: Path, size: int | None) -> None:
    path = _write(tmp_path / "v.txt", GLOVE)
    tokens, matrix = read_vectors(path, ["the", "café", ". . .", "absent"], size=size)
    assert tokens == ["the", ". . .", "café"]
    assert matrix.dtype == np.float32
    assert matrix.tolist() == np.array([[0.5, -1, 0.2], [1, 2, 3], [4, 5, 6]], "f4").tolist()


@pytest.mark.parametrize("ending", ["\n", " \n", "\r\n"])
def test_word2vec(tmp_path: Path, ending: str) -> None:
    lines = ["2 3", "the 1 2 3", "\u00a0 4 5 6"]
    path = _write(tmp_path / "v.txt", ending.join(lines) + ending)
    tokens, matrix = read_vectors(path, {"the", "\u00a0"})
    assert tokens == ["the", "\u00a0"]
    assert matrix.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(gzip.compress(GLOVE.encode()))
    assert read_vectors(path, ["café"])[1].tolist() == [[4, 5, 6]]


def test_wanting_nothing_that_is_there(tmp_path: Path) -> None:
    tokens, matrix = read_vectors(_write(tmp_path / "v.txt", GLOVE), ["absent"])
    assert tokens == []
    assert matrix.shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("", None, "v.txt: the file is empty; expected a token and its values on each line"),
        ("a 1 2\nb 1\n", None, "v.txt:2: expected a token and 2 values, found 1"),
        ("a 1 2\nb 1 2 3\n", None, "v.txt:2: expected a token and 2 values, found 3"),
        ("a 1 2\n", 3, "v.txt:1: expected a token and 3 values, found 2"),
        ("a\n", None, "v.txt:1: expected a token and its values, found 0"),
        ("1 2\na 1 2\n", 3, "v.txt:1: vectors of 2 values, expected 3"),
        ("2 2\na 1 2\n", None, "v.txt: the header promises 2 vectors, found 1"),
        ("b 1 2\na 1 x\n", None, "v.txt:2: 'x' is not a finite number"),
        ("a 1 nan\n", None, "v.txt:1: 'nan' is not a finite number"),
    ],
)
def test_bad_lines(tmp_path: Path, text: str, size: int | None, message: str) -> None:
    path = _write(tmp_path / "v.txt", text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_vectors(path, ["a"], size=size)


def test_invalid_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    path.write_bytes(b"a 1 2\n\xff 1 2\n")
    with pytest.raises(InputError, match=r"v\.txt:2: not valid UTF-8"):
        read_vectors(path, ["a"])


def test_truncated_gzip(tmp_path: Path) -> None:
    path = tmp_path / "v.gz"
    path.write_bytes(gzip.compress(GLOVE.encode() * 100)[:-20])
    with pytest.raises(InputError, match=r"v\.gz: damaged or truncated gzip"):
        read_vectors(path, ["a"])


def test_missing_file_suggests_its_neighbor(tmp_path: Path) -> None:
    _write(tmp_path / "glove.txt", GLOVE)
    with pytest.raises(InputError, match=r"glov\.txt: no such file; did you mean 'glove\.txt'\?"):
        read_vectors(tmp_path / "glov.txt", ["a"])
    with pytest.raises(InputError, match=r"other: no such file$"):
        read_vectors(tmp_path / "nowhere" / "other", ["a"])
    with pytest.raises(InputError, match="Is a directory"):
        read_vectors(tmp_path, ["a"])
