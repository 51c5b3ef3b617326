"""Documents, their summaries and several references each: every format, and every complaint."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.data import Corpus, Split, open_corpus
from seqnlp.data.split import concatenate
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (
    Field(name="document", aliases=("document", "text", "article")),
    Field(name="summary", aliases=("summary", "headline", "title")),
    Field(name="references", aliases=("references", "reference"), required=False, several=True),
)
ROWS: list[tuple[str, str, list[str]]] = [
    ("a long report", "report", ["one", "the other"]),
    ('so "long", 映画', "naïve", ["third"]),
    ("third of them all", "last", []),
]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(*rows: Mapping[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def objects(rows: list[tuple[str, str, list[str]]] = ROWS) -> list[dict[str, Any]]:
    return [dict(zip(("document", "summary", "references"), row, strict=True)) for row in rows]


def write_rows(path: Path, rows: list[tuple[str, str, list[str]]] = ROWS) -> Path:
    """Rows in the format that the name tells; each reference has a column, but for JSON Lines."""
    columns = [[document, summary, *[*refs, "", ""][:2]] for document, summary, refs in rows]
    header = ["document", "summary", "references", "references2"]
    if ".json" in path.name:
        content = lines(*objects(rows)).encode()
        return write(path, gzip.compress(content) if path.suffix == ".gz" else content)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(objects(rows)), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header, *columns])
    elif path.suffix == ".tsv":
        write(path, "".join("\t".join(row) + "\n" for row in [header, *columns]))
    else:
        for name, column in zip(header, zip(*columns, strict=True), strict=True):
            write(path / f"train.{name}", "".join(f"{text}\n" for text in column))
    return path


def open_rows(path: Path | str, **columns: str) -> Corpus:
    return open_corpus(str(path), fields=FIELDS, columns=columns, validation_share=0)


def rows_of(corpus: Corpus, split: str = "train") -> list[tuple[str, str, list[str]]]:
    return [
        (row["document"], row["summary"], row["references"]) for row in corpus.split(split)
    ]  # fmt: skip


def complaint(path: Path, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        open_rows(path, **columns)
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_status == 2
    return message.replace(str(path), "PATH")


FORMATS = ["a.jsonl", "a.jsonl.gz", "a.tsv", "a.csv", "a.parquet", "folder"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    corpus = open_rows(write_rows(tmp_path / name))
    assert rows_of(corpus) == ROWS
    assert list(corpus.split("train").column("references")) == [row[2] for row in ROWS]
    place = {"a.parquet": ", row 3", "folder": ":3"}.get(name, ":4" if name[2:3] in "tc" else ":3")
    origin = tmp_path / name / "train.document" if name == "folder" else tmp_path / name
    assert f"train: 1 row without references kept, the first at {origin}{place}" in corpus.notes


@given(st.lists(st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=3)), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_any_texts(tmp_path: Path, name: str, rows: list[tuple[str, str, list[str]]]) -> None:
    rows = [*rows, ("a whole report", "report", [])]
    path = write_rows(tmp_path / name, rows)
    kept = [
        (document, summary, [text for text in refs if text.strip()])
        for document, summary, refs in rows
        if document.strip() and summary.strip()
    ]
    assert rows_of(open_rows(path)) == kept


@pytest.mark.parametrize("names", [("Article", "TITLE"), ("text", "headline"), ("x", "y")])
@pytest.mark.parametrize("suffix", ["tsv", "jsonl", "parquet"])
def test_columns_by_their_usual_names_and_by_those_given(
    tmp_path: Path, suffix: str, names: tuple[str, str]
) -> None:
    rows = [{names[0]: row[0], names[1]: row[1], "label": 3} for row in ROWS]
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == "jsonl":
        write(path, lines(*rows))
    else:
        cells = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
        write(path, "".join("\t".join(row) + "\n" for row in cells))
    columns = {"document": names[0], "summary": names[1]} if names[0] == "x" else {}
    split = open_rows(path, **columns).split("train")
    assert split.fields == ("document", "summary")
    assert [(row["document"], row["summary"]) for row in split] == [row[:2] for row in ROWS]


@pytest.mark.parametrize(
    ("header", "columns", "found"),
    [
        ("references\treferences2\tz", {}, ["r1", "r2"]),
        ("Reference_2\tz\treference 1", {}, ["r3", "r1"]),
        ("references3\treferences\treferences10", {}, ["r2", "r1", "r3"]),
        ("references\treference\treference2", {}, ["r1"]),
        ("z\treference\treferences", {"references": "reference"}, ["r2"]),
        ("ann 0\tann 1\tann 2", {"references": "ann 2, ANN 0"}, ["r3", "r1"]),
        ("a,b\ta\tb", {"references": "a,b"}, ["r1"]),
        ("r\ts\tt", {"document": "1", "summary": "2", "references": "5,3"}, ["r3", "r1"]),
        ("r\ts\tt", {"document": "1", "summary": "2", "references": "4"}, ["r2"]),
    ],
)
def test_columns_of_references(
    tmp_path: Path, header: str, columns: dict[str, str], found: list[str]
) -> None:
    path = write(tmp_path / "a.tsv", f"document\tsummary\t{header}\nd\ts\tr1\tr2\tr3\n")
    assert rows_of(open_rows(path, **columns))[-1] == ("d", "s", found)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (["a", " ", "b", None, ""], ["a", "b"]),
        ("a", ["a"]),
        (None, []),
        ([], []),
        ('["a", "b"]', ["a", "b"]),
        ("[sic] a", ["[sic] a"]),
        ("[1, 2]", ["[1, 2]"]),
        ("[" * 10_000, ["[" * 10_000]),
    ],
)
def test_what_references_may_be(tmp_path: Path, value: object, found: list[str]) -> None:
    row = {"document": "d", "summary": "s"}
    path = write(tmp_path / "a.jsonl", lines(row, {**row, "references": value}))
    assert [row[2] for row in rows_of(open_rows(path))] == [[], found]


def test_lists_of_sentences_and_of_words_become_documents(tmp_path: Path) -> None:
    row = {"document": ["It rained.", "We left."], "summary": ["We", "left"]}
    split = open_rows(write(tmp_path / "a.jsonl", lines(row))).split("train")
    assert list(split) == [{"document": "It rained.\nWe left.", "summary": "We left"}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(["a", 3], "holds a number"), ([["a"]], "holds a list"), ([{"a": "b"}], "holds an object"),
     (7, "is a number"), ({"a": "b"}, "is an object")],
)  # fmt: skip
def test_references_that_are_no_texts(tmp_path: Path, value: object, kind: str) -> None:
    row = {"document": "d", "summary": "s", "references": []}
    path = write(tmp_path / "a.jsonl", lines(row, {**row, "references": value}))
    assert complaint(path) == f"PATH:2: 'references' {kind}; expected a list of texts"
    if isinstance(value, list) and kind != "holds a number":
        table = pa.table({"document": ["d"], "summary": ["s"], "references": [value]})
        pq.write_table(table, tmp_path / "a.parquet")
        expected = f"PATH, row 1: 'references' {kind}; expected a list of texts"
        assert complaint(tmp_path / "a.parquet") == expected


def test_references_that_come_late(tmp_path: Path) -> None:
    row = {"document": "d", "summary": "s"}
    late = {**row, "references2": ["r"]}
    path = write(tmp_path / "a.jsonl", lines(*[row] * 99, late))
    assert rows_of(open_rows(path))[-1] == ("d", "s", ["r"])
    path = write(tmp_path / "b.jsonl", lines(*[row] * 100, late))
    assert complaint(path) == (
        "PATH:101: 'references2' for references, and none in the first 100 rows; "
        "one of those must have it too, be it with an empty list"
    )


@pytest.mark.parametrize(
    ("name", "content", "columns", "message"),
    [
        ("a.jsonl", lines({"document": "d", "abstract": "s"}), {},
         "PATH:1: no column for summary among document, abstract; name it with --columns "
         "summary=COLUMN (by number where there is no header)"),
        ("a.jsonl", lines({"document": "d", "summary": "s"}, {"document": "d", "sumary": "s"}), {},
         "PATH:2: no key 'summary'; did you mean 'sumary'? known: document, sumary"),
        ("a.jsonl", lines({"document": {"a": 1}, "summary": "s"}), {},
         "PATH:1: 'document' is an object; expected a string"),
        ("a.jsonl", lines({"document": "d", "summary": ["a", 1]}), {},
         "PATH:1: 'summary' is a list; expected a string"),
        ("a.tsv", "document\tsummary\na\tb\tc\n", {},
         "PATH:2: 3 columns between tabs; expected 2, as in the first line"),
        ("a.tsv", "a report\tits summary\nb\tc\n", {},
         "PATH:1: no column for document and summary among a report, its summary; name it with "
         "--columns document=COLUMN summary=COLUMN (by number where there is no header)"),
        ("a.tsv", "document\tsummary\treferences\nd\ts\tr\n", {"references": "references,gold"},
         "PATH:1: no column 'gold' for references; known: document, references, summary"),
        ("a.tsv", "d\ts\tr\n", {"document": "1", "summary": "2", "references": "3,4"},
         "PATH:1: no column 4 for references; there are 3, counted from 1"),
        ("a.tsv", "document\tsummary\treferences\treferences\nd\ts\tr\tr\n", {},
         "PATH:1: two columns are named 'references'"),
        ("a.csv", "document;summary\nd;s\n", {},
         "PATH:1: the columns are separated by semicolons, not commas; convert them"),
        ("a.tsv", "document\tsummary\nd\ts\n", {"reference": "x"},
         "columns: the task reads no field 'reference'; did you mean 'references'? "
         "known: document, references, summary"),
        ("train.label", "x\n", {},
         "PATH: the name does not tell the format; expected one of .tsv, .csv, .jsonl, .ndjson, "
         ".json, .parquet, .tmx, .tsv.gz, .csv.gz, .jsonl.gz, .ndjson.gz, .json.gz, .tmx.gz, "
         "or train.label.document and train.label.summary"),
    ],
)  # fmt: skip
def test_complaints(
    tmp_path: Path, name: str, content: str, columns: dict[str, str], message: str
) -> None:
    assert complaint(write(tmp_path / name, content), **columns) == message


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "PATH: no data files; expected train.document and train.summary (plain text), or "
             "train, validation and test in .tsv, .csv, .jsonl, .ndjson, .json, .parquet, .tmx, "
             ".tsv.gz, .csv.gz, .jsonl.gz, .ndjson.gz, .json.gz, .tmx.gz"),
        ({"train.document": "a\n"}, "PATH: train.document stands alone; expected train.summary "
                                    "beside it"),
        ({"train.title": "a\n"}, "PATH: train.title stands alone; expected train.document "
                                 "beside it"),
        ({"train.text": "a\n", "train.summary": "a\n", "train.article.txt": "a\n"},
         "PATH: both train.article.txt and train.text claim to be the document of train; keep one"),
        ({"dev.text": "a\n", "dev.title": "b\n", "val.text": "a\n", "val.title": "b\n"},
         "PATH: both dev.text and val.text claim to be validation; keep one"),
        ({"train.text": "a\nb\nc\n", "train.title": "b\n", "train.references": "b\nc\n"},
         "PATH/train.title has 1 lines and PATH/train.text has 3; line N of each belongs to line "
         "N of the others: mend the files where they part, which may be a line end too many at "
         "the end of one"),
        ({"train.text": "a\n", "train.title": "b\n", "train.references2": "\n\n"},
         "PATH/train.text has 1 lines and PATH/train.references2 has 2; line N of each belongs to "
         "line N of the others: mend the files where they part, which may be a line end too many "
         "at the end of one"),
        ({"train.text": "", "train.title": ""}, "PATH/train.text: the file is empty"),
        ({"train.text": "a\n\xff", "train.title": "b\nc\n"},
         "PATH/train.text:2: not UTF-8: byte 0xff at position 1 of the line"),
        ({"train-00000-of-00002.jsonl": lines(*objects()),
          "train-00001-of-00002.jsonl": lines({"document": "d", "summary": "s"})},
         "PATH/train-00001-of-00002.jsonl: no column for references, which "
         "train-00000-of-00002.jsonl of the same split has"),
    ],
)  # fmt: skip
def test_complaints_about_folders(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        write(tmp_path / name, content.encode("latin-1"))
    assert complaint(tmp_path) == message


def test_a_folder_of_plain_texts(tmp_path: Path) -> None:
    for stem, rows in (("train", 3), ("dev", 2), ("test_a", 2), ("test_b", 1)):
        write(tmp_path / f"{stem}.article.txt", "".join(f"{stem} {i}\r\n" for i in range(rows)))
        packed = gzip.compress("".join(f"s {i}\n" for i in range(rows)).encode())
        write(tmp_path / f"{stem}.Title.gz", packed)
    write(tmp_path / "test_a.reference1", "r\n\n")
    write(tmp_path / "test_a.reference2", "q\np\n")
    write(tmp_path / "test_c.article", "it has no title\n")
    corpus = open_rows(tmp_path)
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        "train": 3, "validation": 2, "test": 2, "test_a": 2, "test_b": 1,
    }  # fmt: skip
    assert rows_of(corpus, "test") == [("test_a 0", "s 0", ["r", "q"]), ("test_a 1", "s 1", ["p"])]
    assert corpus.notes == ("test is test_a, the first of 2 test files by name",)
    assert len(open_rows(tmp_path / "dev.Title.gz").split("train")) == 2
    alone = tmp_path / "test_c.article"
    assert complaint(alone) == "PATH stands alone; expected test_c.summary beside it"


def test_rows_are_read_from_tables_beside_texts_of_another_name(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl")
    write(tmp_path / "notes.text", "a\n")
    write(tmp_path / "notes.title", "b\n")
    assert rows_of(open_rows(tmp_path)) == ROWS


def test_rows_that_teach_nothing_are_counted(tmp_path: Path) -> None:
    rows: list[dict[str, str | None]] = [
        {"document": "See below.", "summary": "A much longer subject"},
        {"document": " ", "summary": "nothing"},
        {"document": "nothing is said of it", "summary": ""},
        {"document": None, "summary": None},
        {"document": "映画はいい", "summary": "film: a film"},
        {"document": "two words", "summary": "as many"},
    ]
    for split in ("train", "test"):
        write(tmp_path / f"{split}.jsonl", lines(*rows))
    corpus = open_rows(tmp_path)
    assert [len(corpus.split(split)) for split in ("train", "test")] == [3, 6]
    assert corpus.notes == tuple(
        f"{split}: {what} {done}, the first at {tmp_path}/{split}.jsonl:{line}"
        for split, skipped in (("train", "skipped"), ("test", "kept"))
        for what, done, line in (
            ("2 rows with an empty document", skipped, 2),
            ("2 rows with an empty summary", skipped, 3),
            ("1 row with a document shorter than its summary", "kept", 1),
        )
    )
    memory = Split.from_examples("train", corpus.split("test"))
    assert memory.short.tolist() == corpus.split("test").short.tolist() == [True, *[False] * 5]
    assert memory.blank_in("summary").tolist() == [False, False, True, True, False, False]


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", lines({"document": "", "summary": "s"}))
    assert complaint(path) == (
        "PATH: nothing is left to learn from: 1 row with an empty document skipped, "
        "the first at PATH:1"
    )


def test_references_in_memory_and_in_selections() -> None:
    split = Split.from_examples("test", objects())
    assert [row["references"] for row in split] == [row[2] for row in ROWS]
    assert split.counts("references").tolist() == [2, 1, 0]
    assert split.select([2, 0]).counts("references").tolist() == [0, 2]


def test_train_and_validation_together_have_what_both_have(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", lines({"document": "d", "summary": "s"}))
    write_rows(tmp_path / "val.jsonl")
    whole = open_rows(tmp_path).with_all_in_train().split("train")
    assert [tuple(row.values()) for row in whole] == [("d", "s"), *(row[:2] for row in ROWS)]
    parts = [Split.from_examples("a", objects()), Split.from_examples("b", objects())]
    assert concatenate("c", parts, origin="x").counts("references").tolist() == [2, 1, 0] * 2


@pytest.mark.parametrize("name", FORMATS)
def test_a_document_of_100_000_words(tmp_path: Path, name: str) -> None:
    rows = [("word " * 100_000 + "end", "long", ["r"]), ("short one", "short", ["q"])]
    assert rows_of(open_rows(write_rows(tmp_path / name, rows))) == rows


def test_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    table = pa.Table.from_pylist([
        {"reference2": row[1], "text": row[0], "title": row[1], "reference1": row[0]}
        for row in ROWS
    ])  # fmt: skip
    pq.write_table(table, folder / "train.parquet")
    script = (
        "import json, sys\n"
        "from tests.data.test_summaries import open_rows, rows_of\n"
        f"print(json.dumps(rows_of(open_rows('hf:{folder}'))))"
    )
    variables = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | variables, cwd=Path(__file__).parents[2], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [[row[0], row[1], [row[0], row[1]]] for row in ROWS]


@pytest.mark.data
def test_aeslc() -> None:
    corpus = open_rows("aeslc")
    sizes = {name: len(split) for name, split in corpus.splits.items()}
    assert sizes == {"train": 14436, "validation": 1960, "test": 1906}
    assert corpus.split("train").fields == ("document", "summary")
    assert set(corpus.split("test").counts("references").tolist()) == {3}
    assert corpus.split("validation")[0]["references"][1] == "meeting confirmation"
    assert corpus.notes == ()
