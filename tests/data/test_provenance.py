"""Which files a corpus was read from."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqnlp.data.corpus import open_corpus
from seqnlp.data.provenance import files_of
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.tasks.translation import TranslationTask

ROWS = "text\tlabel\n" + "good\t1\nbad\t0\n" * 10
FILES = {
    "one": (["train.tsv", "test.tsv"], ROWS),
    "shards": (["train-00000-of-00002.tsv", "train-00001-of-00002.tsv", "test.tsv"], ROWS),
    "pairs": (["train.de.txt", "train.en.txt", "test.de", "test.en"], "ein Wort\n" * 10),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_every_kind_of_folder(tmp_path: Path, kind: str) -> None:
    names, text = FILES[kind]
    for name in names:
        (tmp_path / name).write_text(text)
    (tmp_path / "test.answers").write_text("1\n")
    (tmp_path / "notes.md").write_text("\n")
    task = TranslationTask if kind == "pairs" else SentimentTask
    fields, languages = task.fields, ("de", "en") if kind == "pairs" else (None, None)
    corpus = open_corpus(str(tmp_path), fields=fields, languages=languages)
    assert sorted(path.name for path in files_of(corpus, fields)) == sorted(names)


def test_the_file_of_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text(ROWS)
    fields = SentimentTask.fields
    corpus = open_corpus(str(tmp_path / "rows.tsv"), fields=fields)
    assert files_of(corpus, fields) == [tmp_path / "rows.tsv"]
