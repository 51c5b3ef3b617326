"""Every complaint about a file, word by word: PATH stands for the file or folder."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqnlp.data import delimited
from seqnlp.data.corpus import open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (
    Field(name="text", aliases=("text", "sentence")),
    Field(name="label", aliases=("label", "sentiment")),
)
PACKED = gzip.compress(b"text\tlabel\n" + b"".join(b"%d\tx\n" % i for i in range(9999)), mtime=0)
DEEP = '{"a": ' + "[" * 100_000


def complaint(path: Path, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        open_corpus(str(path), fields=FIELDS, columns=columns)
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_status == 2
    return message.replace(str(path), "PATH")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "", "PATH: the file is empty"),
        ("a.csv", "\n\n", "PATH: the file is empty"),
        ("a.jsonl", "", "PATH: the file is empty"),
        ("a.tsv.gz", b"", "PATH: the file is empty"),
        ("a.tsv", "text\tlabel\n", "PATH: a header but no rows"),
        ("a.csv", "text,label\n\n", "PATH: a header but no rows"),
        ("a.txt", "x", "PATH: the name does not tell the format; expected one of .tsv, .csv, "
         ".jsonl, .ndjson, .json, .parquet, .tmx, .tsv.gz, .csv.gz, .jsonl.gz, .ndjson.gz, .json.gz, .tmx.gz"),
        # columns
        ("a.tsv", "text\tlabel\na\tx\nb\n",
         "PATH:3: 1 column between tabs; expected 2, as in the first line"),
        ("a.csv", "text,label\na,x\n\nb,x,y\n",
         "PATH:4: 3 columns between commas; expected 2, as in the first line"),
        ("a.tsv", "text\tstars\na\tx\n", "PATH:1: no column for label among text, stars; "
         "name it with --columns label=COLUMN"),
        ("a.csv", "a,b\nc,d\n", "PATH:1: no column for text and label among a, b; "
         "name it with --columns text=COLUMN label=COLUMN"),
        ("a.csv", "text,label,text\na,b,c\n", "PATH:1: two columns are named 'text'"),
        ("a.jsonl", '{"text": "a", "stars": 1}', "PATH:1: no column for label among text, stars; "
         "name it with --columns label=COLUMN"),
        # another delimiter
        ("a.tsv", "text,label\na,x\n",
         "PATH:1: the columns are separated by commas, not tabs; name the file .csv"),
        ("a.csv", "text\tlabel\na, b\tx\n",
         "PATH:1: the columns are separated by tabs, not commas; name the file .tsv"),
        ("a.csv", '"text";"label"\n"a";"x"\n',
         "PATH:1: the columns are separated by semicolons, not commas; convert them"),
        ("a.tsv", "good,x\nbad,y\n",
         "PATH:1: the columns are separated by commas, not tabs; name the file .csv"),
        ("a.csv", "good\tx\nbad\ty\n",
         "PATH:1: the columns are separated by tabs, not commas; name the file .tsv"),
        # characters
        ("a.tsv", b"text\tlabel\na\tx\nna\xefve\tx\n",
         "PATH:3: not UTF-8: byte 0xef at position 3 of the line"),
        ("a.csv.gz", gzip.compress(b"text,label\na,x\n\xff,x\n", mtime=0),
         "PATH:3: not UTF-8: byte 0xff at position 1 of the line"),
        ("a.jsonl", b'{"text": "\xe9", "label": "x"}',
         "PATH:1: not UTF-8: byte 0xe9 at position 11 of the line"),
        ("a.tsv", "text\tlabel\na\0b\tx\n",
         "PATH:2: a NUL character; expected plain text in UTF-8"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": "\\ud800", "label": "x"}',
         "PATH:2: 'text' has half of a surrogate pair (U+D800), which is no character"),
        # gzip
        ("a.tsv.gz", b"text\tlabel\na\tx\n", "PATH: not gzipped, though its name ends in .gz"),
        ("a.tsv.gz", PACKED[:-9], "PATH: damaged after line N: "
         "Compressed file ended before the end-of-stream marker was reached"),
        ("a.tsv.gz", PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:],
         "PATH: damaged after line N: CRC check failed"),
        ("a.tsv.gz", PACKED[:12] + b"\xff" * 20 + PACKED[32:], "PATH: damaged after line N: "
         "Error -3 while decompressing data"),
        # labels
        ("a.tsv", "text\tlabel\na\tx\nb\t \n", "PATH:3: the label is empty"),
        ("a.csv", 'text,label\na,""\n', "PATH:2: the label is empty"),
        ("a.jsonl", '{"text": "a", "label": null}', "PATH:1: the label is missing"),
        ("a.jsonl", '{"text": "a", "label": NaN}', "PATH:1: the label is missing"),
        ("a.jsonl", '{"text": "a", "label": ["x"]}',
         "PATH:1: 'label' is a list; expected a string"),
        # CSV
        ("a.csv", 'text,label\na,x\n"b,x\nc,y\n',
         "PATH:3: a quote is opened in this row and never closed"),
        ("a.csv", 'text,label\n"a"b,x\n',
         "PATH:2: text after a closing quote; a quote within a cell is doubled"),
        ("a.csv", "text,label\na\rb,x\n", "PATH:2: a carriage return outside quotes"),
        # JSON Lines
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": \n',
         "PATH:2: not JSON: Expecting value at character 10"),
        ("a.json", '[\n{"text": "a"}]', "PATH:1: a JSON array; expected one object a line"),
        ("a.jsonl", "\n[1]", "PATH:2: a list; expected a JSON object"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n3', "PATH:2: a number; expected a JSON object"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"txt": "a", "label": "x"}',
         "PATH:2: no key 'text'; did you mean 'txt'? known: label, txt"),
        ("a.jsonl", '{"text": {"a": 1}, "label": "x"}',
         "PATH:1: 'text' is an object; expected a string"),
        ("a.jsonl", '{"text": ["a"], "label": "x"}\n{"text": "a", "label": "x"}',
         "PATH:2: 'text' is a string; expected a list, as in the first row"),
        ("a.jsonl", DEEP, "PATH:1: not JSON that can be read: maximum recursion depth exceeded"),
        ("a.jsonl", '{"text": ' + "1" * 5000, "PATH:1: not JSON that can be read: "
         "Exceeds the limit (4300 digits) for integer string conversion"),
        # Parquet
        ("a.parquet", b"PAR1", "PATH: not a Parquet file: "),
        ("a.parquet", b"", "PATH: not a Parquet file: "),
    ],
)  # fmt: skip
def test_message(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = complaint(path)
    # What follows in these is a library's own wording.
    libraries = ("end-of-stream", "CRC check", "Error -3", "Parquet file: ", "recursion", "digits")
    if any(part in message for part in libraries):
        # How much of a damaged file is read depends on the size of a buffer.
        assert re.sub(r"after line \d+", "after line N", found).startswith(message)
    else:
        assert found == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": "reviews"}, "PATH:1: no column 'reviews' for text; "
         "did you mean 'review'? known: id, review, stars"),
        ({"txt": "review"}, "columns: the task reads no field 'txt'; "
         "did you mean 'text'? known: label, text"),
        ({"text": "2"}, "PATH:1: columns given by number say that there is no header; "
         "name label too: --columns label=NUMBER"),
        ({"text": "2", "label": "4"},
         "PATH:1: no column 4 for label; there are 3, counted from 1"),
    ],
)  # fmt: skip
def test_message_about_columns(tmp_path: Path, columns: dict[str, str], message: str) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("id\treview\tstars\n1\ta\tx\n")
    assert complaint(path, **columns) == message


def test_long_headers_are_shortened(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("\t".join(["x" * 50] * 30) + "\n")
    names = ", ".join([*["x" * 39 + "…"] * 20, "..."])
    assert f"among {names};" in complaint(path)


def test_an_open_quote_does_not_swallow_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "LONGEST_CELL", 1 << 18)
    monkeypatch.setattr(delimited.csv, "field_size_limit", lambda limit=0, set=delimited.csv.
                        field_size_limit: set(1 << 18) if limit else 1 << 18)  # fmt: skip
    path = tmp_path / "a.csv"
    path.write_text('text,label\na,x\n"b,y\n' + "word,x\n" * 100_000)
    try:
        found = complaint(path)
    finally:
        monkeypatch.undo()
    assert found == "PATH:3: a cell of more than 262,144 characters; is a quote left open?"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("", "PATH: no data files; expected train, validation and test in .tsv, .csv, .jsonl, "
         ".ndjson, .json, .parquet, .tmx, .tsv.gz, .csv.gz, .jsonl.gz, .ndjson.gz, .json.gz, .tmx.gz"),
        ("a.tsv b.tsv", "PATH: none of its files is named train, validation or test: a.tsv, b.tsv"),
        ("train.csv train.tsv",
         "PATH: both train.csv and train.tsv claim to be train; keep one"),
        ("train.csv dev.csv validation.csv",
         "PATH: both dev.csv and validation.csv claim to be validation; keep one"),
    ],
)  # fmt: skip
def test_message_about_a_folder(tmp_path: Path, files: str, message: str) -> None:
    for name in files.split():
        (tmp_path / name).write_text("text,label\na,b\n")
    assert complaint(tmp_path) == message


def test_message_about_nothing(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\n")
    assert complaint(tmp_path / "trian.tsv") == (
        f"PATH: no such file or folder; did you mean {tmp_path / 'train.tsv'}?"
    )
    assert complaint(tmp_path / "other" / "x") == "PATH: no such file or folder"


def test_message_about_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"text": pa.array([], pa.string()), "label": pa.array([], "str")}), path
    )
    assert complaint(path) == "PATH: columns but no rows"
    pq.write_table(pa.table({"text": ["a", None], "label": ["x", None]}), path)
    assert complaint(path) == "PATH, row 2: the label is missing"
    content = bytearray(path.read_bytes())
    content[4:24] = b"\xff" * 20
    path.write_bytes(content)
    assert complaint(path).startswith("PATH: damaged after row 0: ")
