from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.data import store
from seqnlp.data.corpus import CorpusRequest
from seqnlp.data.places import SUFFIXES
from seqnlp.data.readers import READERS, find_splits, open_path, read_file
from seqnlp.data.split import Split
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (
    Field(name="text", aliases=("text", "sentence", "review")),
    Field(name="label", aliases=("label", "sentiment", "stars")),
)
ROWS = [("a fine film", "pos"), ("dull", "neg"), ('so, so "good"', "pos"), ("naïve 映画", "neg")]

# Text of any characters that can be written in UTF-8, but for NUL, which no reader takes.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)))
LABELS = st.text("abc é-", min_size=1).map(str.strip).filter(bool)


def read(path: Path, split: str = "train", **columns: str) -> Split:
    return read_file(path, split, request=CorpusRequest(fields=FIELDS, columns=columns))


def rows_of(split: Split) -> list[tuple[str, str]]:
    return [(row["text"], row["label"]) for row in split]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def write_rows(path: Path, rows: list[tuple[str, str]] = ROWS) -> Path:
    """The rows in the format that the name tells."""
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        texts, labels = zip(*rows, strict=True)
        pq.write_table(pa.table({"label": labels, "text": texts}), path)
        return path
    if name.endswith(".tsv"):
        content = "".join(f"{label}\t{text}\n" for text, label in [("text", "label"), *rows])
    elif name.endswith(".csv"):
        cells = [["text", "label"], *map(list, rows)]
        content = "".join(",".join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in row) + "\n"
                          for row in cells)  # fmt: skip
    else:
        content = "".join(json.dumps({"text": t, "label": lb}) + "\n" for t, lb in rows)
    data = content.encode()
    return write(path, gzip.compress(data) if path.name.endswith(".gz") else data)


@pytest.mark.parametrize(
    "name", ["a.tsv", "a.csv", "a.jsonl", "a.ndjson", "a.json", "a.parquet", "A.TSV",
             "a.tsv.gz", "a.csv.gz", "a.jsonl.gz"],
)  # fmt: skip
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    split = read(write_rows(tmp_path / name))
    assert rows_of(split) == ROWS
    begin = {"parquet": ", row 1", "jsonl": ":1", "ndjson": ":1", "json": ":1"}
    first = begin.get(name.lower().removesuffix(".gz").rpartition(".")[2], ":2")
    assert split.where(0) == f"{tmp_path / name}{first}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=6), windows=st.booleans())
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, str]], windows: bool) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\r\n" if windows else "\n",
                            quoting=csv.QUOTE_ALL)  # fmt: skip
        writer.writerows([("text", "label"), *rows])
    assert rows_of(read(path)) == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=6),
    plain=st.booleans(),
    windows=st.booleans(),
)
def test_json_lines_round_trip(
    tmp_path: Path, rows: list[tuple[str, str]], plain: bool, windows: bool
) -> None:
    lines = [json.dumps({"text": t, "label": lb}, ensure_ascii=plain) for t, lb in rows]
    end = "\r\n" if windows else "\n"
    path = write(tmp_path / "a.jsonl", end.join(lines))
    assert rows_of(read(path)) == rows


def test_tsv_takes_quotes_as_text_and_windows_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '\ufefflabel\ttext\r\npos\t"quite" a "film\r\n\r\nneg\tno\r\n')
    split = read(path)
    assert rows_of(split) == [('"quite" a "film', "pos"), ("no", "neg")]
    assert split.where(1) == f"{path}:4"


def test_a_row_of_several_lines_is_named_by_its_first(tmp_path: Path) -> None:
    split = read(write(tmp_path / "a.csv", 'text,label\n"one\ntwo\n\nthree",x\nfour,y\n'))
    assert rows_of(split) == [("one\ntwo\n\nthree", "x"), ("four", "y")]
    assert [split.where(i)[-2:] for i in range(2)] == [":2", ":6"]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.parquet"])
def test_a_text_of_a_million_characters(tmp_path: Path, name: str) -> None:
    rows = [("word " * 200_000, "pos"), ("short", "neg")]
    assert rows_of(read(write_rows(tmp_path / name, rows))) == rows


def test_values_become_strings(tmp_path: Path) -> None:
    values: list[Any] = [1, 2.5, True, "x "]
    lines = [json.dumps({"text": value, "label": value}) for value in values]
    split = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert rows_of(split) == [("1", "1"), ("2.5", "2.5"), ("True", "True"), ("x ", "x")]


def test_lists_of_strings_stay_lists(tmp_path: Path) -> None:
    fields = (Field(name="document"), Field(name="references", required=False))
    request = CorpusRequest(fields=fields)
    path = write(tmp_path / "a.jsonl", '{"document": "a", "references": ["b", "c"]}')
    row = {"document": "a", "references": ["b", "c"]}
    assert list(read_file(path, "test", request=request)) == [row]
    path = write(tmp_path / "b.jsonl", '{"document": "a"}')
    assert list(read_file(path, "test", request=request)) == [{"document": "a"}]


def test_label_numbers_of_a_parquet_file_become_names(tmp_path: Path) -> None:
    features = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b"], "label": [1, 0]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows_of(read(tmp_path / "a.parquet")) == [("a", "pos"), ("b", "neg")]


@pytest.mark.parametrize(
    ("header", "columns", "row"),
    [
        ("Sentence\tLABEL", {}, ("one", "two")),
        ("stars\treview", {}, ("two", "one")),
        ("review\ttext\tlabel", {}, ("two", "three")),
        ("review\ttext\tlabel", {"text": "review"}, ("one", "three")),
        ("a\tb\tc", {"text": "C", "label": "a"}, ("three", "one")),
    ],
)
def test_columns(
    tmp_path: Path, header: str, columns: dict[str, str], row: tuple[str, str]
) -> None:
    cells = "\t".join(["one", "two", "three"][: header.count("\t") + 1])
    path = write(tmp_path / "a.tsv", f"{header}\n{cells}\n")
    assert rows_of(read(path, **columns)) == [row]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_file_without_a_header(tmp_path: Path, order: tuple[int, int]) -> None:
    rows = [("a fine film", "pos"), ("dull", "neg"), ("bad", "neg"), ("good", "pos")]
    lines = ["\t".join((row[order[0]], row[order[1]])) for row in rows]
    path = write(tmp_path / "a.tsv", "\n".join(lines))
    split = read(path)
    assert rows_of(split) == rows
    assert split.where(0) == f"{path}:1"


def test_columns_by_number_say_that_there_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "17,pos,a film\n18,neg,dull\n")
    assert rows_of(read(path, text="3", label="2")) == [("a film", "pos"), ("dull", "neg")]


def test_a_changed_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    path = write_rows(tmp_path / "a.tsv")
    first = read(path)
    assert read(path).fingerprint == first.fingerprint
    assert len(list((tmp_path / "cache" / "corpora").iterdir())) == 1
    write_rows(path, [("new", "pos"), *ROWS[1:]])
    os.utime(path, ns=(1, 1))
    again = read(path)
    assert rows_of(again)[0] == ("new", "pos")
    assert again.fingerprint != first.fingerprint
    assert rows_of(first) == ROWS, "the rows that are open stay as they were"


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_damaged_cache_entry_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    path = write_rows(tmp_path / "a.tsv")
    read(path)
    (entry,) = (tmp_path / "cache" / "corpora").iterdir()
    entry.write_bytes(entry.read_bytes()[:keep])
    assert rows_of(read(path)) == ROWS


def test_a_cache_that_cannot_be_written_to_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "file", "")
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "file" / "cache"))
    assert rows_of(read(write_rows(tmp_path / "a.tsv"))) == ROWS


def test_a_failed_read_leaves_nothing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQNLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "ROWS", 1)
    path = write(tmp_path / "a.tsv", "text\tlabel\na\tb\nc\n")
    with pytest.raises(InputError):
        read(path)
    assert list((tmp_path / "cache" / "corpora").iterdir()) == []


def test_several_processes_read_one_file_at_once(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.tsv", [(f"text {i}", str(i % 2)) for i in range(20_000)])
    code = (
        "import sys; from pathlib import Path; from seqnlp.data.readers import open_path;"
        "from seqnlp.data.corpus import CorpusRequest; from seqnlp.types import Field;"
        "request = CorpusRequest(fields=(Field(name='text'), Field(name='label')));"
        "corpus = open_path(Path(sys.argv[1]), request=request);"
        "print(sum(len(list(split)) for split in corpus.splits.values()))"
    )
    environment = {**os.environ, "SEQNLP_CACHE": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)], env=environment, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    assert [process.communicate()[0] for process in processes] == [b"20000\n"] * 3
    assert len(list((tmp_path / "cache" / "corpora").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    """About 50 MB of rows; Arrow's buffers count too, through its own pool."""
    rows = [("a fairly ordinary sentence of a film review " * 18 + str(i), str(i % 5))
            for i in range(60_000)]  # fmt: skip
    path = write_rows(tmp_path / name, rows)
    size = sum(len(text) for text, _ in rows)
    del rows
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    split = read(path)
    characters = sum(len(text) for text in split.column("text"))
    held = pa.total_allocated_bytes() - before
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert characters == size
    assert peak < 12e6
    assert held < 12e6


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        ("train.tsv dev.tsv test.tsv README.md", {"train", "validation", "test"}),
        ("Training.csv val.csv.gz", {"train", "validation"}),
        ("train.tsv valid.tsv test_2016.tsv", {"train", "validation", "test"}),
        ("train.tsv test_2016.tsv test_2017.tsv", {"train", "test", "test_2016", "test_2017"}),
        ("train.tsv test.tsv test_hard.tsv", {"train", "test", "test_hard"}),
        ("testimonials.jsonl card.md", {"train"}),
        ("all.parquet", {"train"}),
    ],
)
def test_splits_of_a_folder(tmp_path: Path, files: str, splits: set[str]) -> None:
    for name in files.split():
        write(tmp_path / name, "")
    assert set(find_splits(tmp_path)) == splits


def test_shards_of_a_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "train-00000-of-00002.parquet", ROWS[:2])
    write_rows(tmp_path / "train-00001-of-00002.parquet", ROWS[2:])
    write_rows(tmp_path / "test-00000-of-00001.parquet", ROWS[:1])
    request = CorpusRequest(fields=FIELDS, validation_share=0)
    corpus = open_path(tmp_path, request=request)
    train, test = corpus.split("train"), corpus.split("test")
    assert rows_of(train) == ROWS
    assert train.where(2) == f"{tmp_path}/train-00001-of-00002.parquet, row 1"
    assert test.where(0) == f"{tmp_path}/test-00000-of-00001.parquet, row 1"


def test_there_is_a_reader_for_every_ending_that_is_looked_for() -> None:
    packed = [f"{suffix}.gz" for suffix in READERS if suffix != ".parquet"]
    assert (*READERS, *packed) == SUFFIXES


def test_corpora_are_looked_for_without_the_readers(tmp_path: Path) -> None:
    (tmp_path / "films.tsv").write_text("label\ttext\n")
    code = (
        "import sys; from seqnlp.data.places import found_names; "
        "print(found_names(), sorted({'pyarrow', 'numpy', 'torch'} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        check=True, capture_output=True, text=True,
        env={**os.environ, "SEQNLP_DATA": str(tmp_path)},
    )  # fmt: skip
    assert out.stdout.strip() == "['films'] []"
