"""Pairs in rows: columns named by language, and a `translation` that is an object of languages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.data import Corpus, open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (
    Field(name="source", aliases=("source", "src")),
    Field(name="target", aliases=("target", "tgt")),
)
Languages = tuple[str | None, str | None]
DE_EN: Languages = ("de", "en")
ROWS = [("ein Haus", "a house"), ('so "gut", ja', "so good"), ("übel 映画", "bad")]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows in the format that the name tells."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        cells = [list(rows[0]), *(list(row.values()) for row in rows)]
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in cells))
    return path


def flat(one: str, other: str, rows: list[tuple[str, str]] = ROWS) -> list[dict[str, Any]]:
    return [{"id": i, one: source, other: target} for i, (source, target) in enumerate(rows)]


def nested(rows: list[tuple[str, str]] = ROWS) -> list[dict[str, Any]]:
    return [{"id": i, "translation": {"en": two, "de": one}} for i, (one, two) in enumerate(rows)]


def open_rows(path: Path, languages: Languages = DE_EN, **columns: str) -> Corpus:
    return open_corpus(
        str(path), fields=FIELDS, columns=columns, languages=languages, validation_share=0
    )


def rows_of(corpus: Corpus) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in corpus.split("train")]


def complaint(path: Path, languages: Languages = DE_EN, **columns: str) -> str:
    with pytest.raises(InputError) as error:
        open_rows(path, languages, **columns)
    message = str(error.value)
    assert "\n" not in message
    return message.replace(str(path), "PATH")


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(
    "names", [("de", "en"), ("src", "tgt"), ("Source", "target"), ("DE", "EN")]
)
def test_columns_by_their_usual_names_and_by_language(
    tmp_path: Path, suffix: str, names: tuple[str, str]
) -> None:
    path = write(tmp_path / f"a{suffix}", flat(*names))
    assert rows_of(open_rows(path)) == ROWS
    columns = {"source": names[1], "target": names[0]}
    assert rows_of(open_rows(path, (None, None), **columns)) == [(b, a) for a, b in ROWS]
    if names == ("de", "en"):
        assert rows_of(open_rows(path, ("en", "de"))) == [(b, a) for a, b in ROWS]


def test_the_code_of_a_language_goes_before_other_names(tmp_path: Path) -> None:
    rows = [{"source": "web", "target": "x", "de": "ein", "en": "one"}]
    path = write(tmp_path / "a.jsonl", rows)
    assert rows_of(open_rows(path)) == [("ein", "one")]
    assert rows_of(open_rows(path, (None, None))) == [("web", "x")]


def test_two_columns_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{one}\t{two}\n" for one, two in ROWS))
    assert rows_of(open_rows(path, (None, None), source="1", target="2")) == ROWS
    assert rows_of(open_rows(path, DE_EN, source="2", target="1")) == [(b, a) for a, b in ROWS]
    assert complaint(path) == (
        "PATH:1: no column for source and target among ein Haus, a house; name it with --columns "
        "source=COLUMN target=COLUMN (by number where there is no header), or by its language: "
        "--source CODE --target CODE"
    )
    assert complaint(path, (None, None), source="1") == (
        "PATH:1: columns given by number say that there is no header; name target too: "
        "--columns target=NUMBER"
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_translation_in_one_column(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", nested())
    assert rows_of(open_rows(path)) == ROWS
    for asked in (("en", "de"), ("EN", None), (None, "de")):
        assert rows_of(open_rows(path, asked)) == [(b, a) for a, b in ROWS]
    first = open_rows(path).split("train").where(0)
    assert first == f"{path}{':1' if suffix == '.jsonl' else ', row 1'}"
    assert complaint(path, (None, None)) == (
        "PATH: the languages are de, en; say which is read and which is written, as in "
        "--source de --target en"
    )
    assert complaint(path, ("fr", "en")) == "PATH: no source language 'fr'; known: de, en"
    # Where columns are named, those are meant.
    assert complaint(path, source="de").startswith("PATH")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6),
    suffix=st.sampled_from([".jsonl", ".parquet"]),
)
def test_any_text_in_a_translation(
    tmp_path: Path, rows: list[tuple[str, str]], suffix: str
) -> None:
    (tmp_path / "rows").mkdir(exist_ok=True)
    for old in (tmp_path / "rows").iterdir():
        old.unlink()
    write(tmp_path / "rows" / f"test{suffix}", nested(rows))
    found = open_rows(tmp_path / "rows").split("test")
    assert [(row["source"], row["target"]) for row in found] == rows


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_rows_that_lack_a_side(tmp_path: Path, suffix: str) -> None:
    rows = [{"translation": {"de": "a", "en": None}}, *nested(),
            {"translation": {"de": None, "en": "b"}},
            {"translation": {"de": "", "en": "b"}}]  # fmt: skip
    corpus = open_rows(write(tmp_path / f"a{suffix}", rows))
    places = (":1", ":6") if suffix == ".jsonl" else (", row 1", ", row 6")
    assert rows_of(corpus) == ROWS
    assert corpus.notes[:2] == (
        "train: 2 rows without a text in both languages skipped, the first at "
        f"{tmp_path}/a{suffix}{places[0]}",
        f"train: 1 row with an empty side skipped, the first at {tmp_path}/a{suffix}{places[1]}",
    )
    alone = write(tmp_path / f"b{suffix}", [{"translation": {"de": "a", "en": None}}])
    assert complaint(alone) == "PATH: no row has a text in both 'de' and 'en'"


def test_json_lines_of_several_languages(tmp_path: Path) -> None:
    rows = [{"translation": {"de": "a", "fr": "b"}}, {"translation": {"de": "c", "en": "d"}}]
    path = write(tmp_path / "a.jsonl", rows)
    assert rows_of(open_rows(path)) == [("c", "d")]
    assert rows_of(open_rows(path, ("fr", "de"))) == [("b", "a")]
    assert complaint(path, ("en", None)) == (
        "PATH: the languages are de, en, fr; name the target as well"
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"translation": {"de": "a", "en": 3}}], "PATH:1: 'en' is a number; expected a string"),
        ([{"translation": {"de": "a", "en": ["b"]}}], "PATH:1: 'en' is a list; expected a string"),
        ([*nested(), {"translation": "a"}],
         "PATH:4: 'translation' is a string; expected an object of languages"),
        ([*nested(), {"id": 1}],
         "PATH:4: 'translation' is null; expected an object of languages"),
        ([{"translation": {"de": "a"}}], "PATH: de alone; expected texts in two languages"),
        ([{"de": "a", "en": ["b"]}], "PATH:1: 'target' is a list; expected a string"),
        ([{"de": "a", "en": "b"}, {"de": "a"}],
         "PATH:2: no key 'en'; known: de"),
    ],
)  # fmt: skip
def test_complaints(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    path = write(tmp_path / "a.jsonl", rows)
    assert complaint(path) == message


OPEN = """
import json, sys, warnings
warnings.simplefilter("error")
from seqnlp.data import open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field
fields = (Field(name="source"), Field(name="target"))
for name, *languages in json.loads(sys.argv[1]):
    try:
        corpus = open_corpus(name, fields=fields, languages=tuple(languages), validation_share=0)
    except InputError as error:
        print(json.dumps(str(error)))
        continue
    train = corpus.split("train")
    rows = [[row["source"], row["target"]] for row in train]
    print(json.dumps([rows, train.where(0), corpus.notes, corpus.languages]))
"""


def test_datasets_with_translations(tmp_path: Path) -> None:
    """Local folders, in the layout of the hub and by the library that reads it."""
    for name, rows in (("nested", nested()), ("flat", flat("de", "en"))):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "train.parquet", rows)
    lacking = [*nested(), {"id": 9, "translation": {"de": "x", "en": None}}]
    (tmp_path / "typed").mkdir()
    write_typed(tmp_path / "typed" / "train.parquet", lacking)
    asked: list[list[str | None]]
    asked = [[f"hf:{tmp_path}/{folder}", "de", "en"] for folder in ("nested", "flat", "typed")]
    asked += [[f"hf:{tmp_path}/nested", None, "de"], [f"hf:{tmp_path}/nested", "fr", "en"],
              [f"hf:{tmp_path}/typed", None, None]]  # fmt: skip
    clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    finished = subprocess.run(
        [sys.executable, "-c", OPEN, json.dumps(asked)],
        env={**clean, "HF_HOME": str(tmp_path / "hf"), "SEQNLP_CACHE": str(tmp_path / "cache"),
             "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    found = [json.loads(line) for line in finished.stdout.splitlines()]
    pairs = [list(row) for row in ROWS]
    for (rows, where, notes, languages), (place, *_) in zip(found[:3], asked, strict=False):
        assert (rows, languages, where) == (pairs, ["de", "en"], f"{place} train, row 1")
        lacks = ["train: 1 row without a text in both languages skipped, the first at "
                 f"{place} train, row 4"]  # fmt: skip
        assert notes == [*(lacks if str(place).endswith("typed") else []), "no test split"]
    assert found[3][0] == [[two, one] for one, two in pairs]
    assert found[3][3] == ["en", "de"]
    assert found[4] == f"hf:{tmp_path}/nested train: no source language 'fr'; known: de, en"
    assert found[5] == (
        f"hf:{tmp_path}/typed train: the languages are de, en; say which is read and which is "
        "written, as in --source de --target en"
    )


def write_typed(path: Path, rows: list[dict[str, Any]]) -> None:
    """As the hub has it: the column's type is named in the file's metadata."""
    features = {
        "id": {"dtype": "int64", "_type": "Value"},
        "translation": {"languages": ["de", "en"], "_type": "Translation"},
    }
    kind = pa.struct([("de", pa.string()), ("en", pa.string())])
    schema = pa.schema(
        [("id", pa.int64()), ("translation", kind)],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
