"""What is said of a corpus that cannot be opened as it was asked for, and of what is left aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from seqnlp.data import Corpus, open_corpus
from seqnlp.errors import InputError
from seqnlp.files import shipped
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.tasks.translation import TranslationTask

Languages = tuple[str | None, str | None]
DE_EN: Languages = ("de", "en")
LINES = "".join(f"Wort {row}\n" for row in range(10))


def write(folder: Path, files: Mapping[str, str]) -> str:
    for name, content in files.items():
        (folder / name).write_text(content)
    return f"{folder}/"


def open_pairs(path: str | Path, languages: Languages = DE_EN) -> Corpus:
    return open_corpus(str(path), fields=TranslationTask.fields, languages=languages)


def complaint(path: str | Path, languages: Languages = DE_EN) -> str:
    with pytest.raises(InputError) as error:
        open_pairs(path, languages)
    return str(error.value)


def test_filters_that_leave_nothing_are_named(tmp_path: Path) -> None:
    long = " ".join(["lang"] * 30)
    folder = write(tmp_path, {"train.de": f"{long}\n{long}\n\n", "train.en": "one\ntwo\nthree\n"})
    assert complaint(folder) == (
        f"{tmp_path}/train.de: nothing is left to learn from: "
        f"1 row with an empty side skipped, the first at {tmp_path}/train.de:3, "
        "2 rows with one side over 9 times as long as the other skipped, the first at "
        f"{tmp_path}/train.de:1; corpus.max_ratio = 0 keeps pairs of any lengths"
    )
    write(tmp_path, {"train.de": "\n\n", "train.en": "one\ntwo\n"})
    assert complaint(folder) == (
        f"{tmp_path}/train.de: nothing is left to learn from: "
        f"2 rows with an empty side skipped, the first at {tmp_path}/train.de:1"
    )
    write(tmp_path, {"train.de": f"{long}\nzwei\n", "train.en": "one\ntwo\n"})
    assert complaint(folder) == (
        f"{tmp_path}/train.de: 1 row, too few to cut a validation split off; add a validation "
        "file; train: 1 row with one side over 9 times as long as the other skipped, the first at "
        f"{tmp_path}/train.de:1"
    )


def test_texts_without_labels_that_are_all_blank(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("text\tlabel\n \t1\n \t0\n")
    with pytest.raises(InputError) as error:
        open_corpus(str(path), fields=SentimentTask.fields)
    assert str(error.value) == (
        f"{path}: nothing is left to learn from: 2 rows with an empty text skipped, "
        f"the first at {path}:2"
    )


@pytest.mark.parametrize(
    ("languages", "there_is"),
    [
        ((None, None), "no train.CODE in another language"),
        (("de", "en"), "no train.en"),
        (("fr", None), "no train.fr"),
        (("fr", "en"), "no train.fr and no train.en"),
    ],
)
def test_a_text_that_stands_alone(tmp_path: Path, languages: Languages, there_is: str) -> None:
    folder = write(tmp_path, {"train.de": LINES, "notes.txt": ""})
    wanted = f"{tmp_path}: train.de stands alone; there is {there_is}"
    assert complaint(folder, languages) == wanted


def test_texts_of_several_names(tmp_path: Path) -> None:
    names = [f"{stem}.{code}" for stem in ("news", "talks") for code in DE_EN]
    folder = write(tmp_path, dict.fromkeys(names, LINES))
    assert complaint(folder) == (
        f"{tmp_path}: none of the texts is named train, validation or test: news, talks"
    )


def test_plain_text_goes_before_rows_and_says_so(tmp_path: Path) -> None:
    files = {"train.de": LINES, "train.en": LINES, "words.tsv": "", "card.json": ""}
    assert not [note for note in open_pairs(write(tmp_path, files)).notes if "read" in note]
    folder = write(tmp_path, {"train.tsv": "de\ten\n", "test_a.jsonl": ""})
    assert "plain text is read, and not test_a.jsonl, train.tsv" in open_pairs(folder).notes


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
@pytest.mark.parametrize("asked", [("de", None), (None, "en")])
def test_the_other_of_two_columns_is_the_other_side(
    tmp_path: Path, asked: Languages, suffix: str
) -> None:
    path = tmp_path / f"rows{suffix}"
    between = "," if suffix == ".csv" else "\t"
    text = f"en{between}de\n" + f"one{between}ein\n" * 5
    if suffix == ".jsonl":
        text = (json.dumps({"en": "one", "de": "ein"}) + "\n") * 5
    path.write_text(text)
    assert open_pairs(path, asked).split("train")[0] == {"source": "ein", "target": "one"}


def test_the_other_side_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text("de\tfr\ten\n" + "ein\tun\tone\n" * 5)
    no_target = "no column for target among de, fr, en"
    assert complaint(path, ("de", None)).startswith(f"{path}:1: {no_target}")
    path.write_text("de\ten\n" + "ein\tone\n" * 5)
    assert "no column for source among de, en" in complaint(path, ("fr", "en"))
    assert "no column for source and target among de, en" in complaint(path, ("fr", None))


def test_messages_of_bundled_corpora_have_no_path() -> None:
    with pytest.raises(InputError) as error:
        open_corpus("stories", fields=TranslationTask.fields, languages=("fr", None))
    assert str(error.value) == "stories: no source language 'fr'; known: de, en"
    with pytest.raises(InputError) as error:
        open_corpus("reviews", fields=SentimentTask.fields, columns={"text": "txt"})
    assert str(error.value).startswith("reviews/t")
    corpus = open_corpus("reviews", fields=SentimentTask.fields)
    assert corpus.split("train").where(0) == "reviews/train.tsv:2"
    assert str(shipped("corpora")) not in " ".join(corpus.notes)
    with pytest.raises(InputError) as error:
        open_corpus("reviews:x", fields=SentimentTask.fields)
    assert str(error.value) == "the corpus 'reviews' takes no argument; found 'x'"


def test_what_save_to_disk_wrote(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"text": [f"text {i}" for i in range(20)], "label": ["a", "b"] * 10}
    one = datasets.Dataset.from_dict(rows)
    one.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=one, test=one).save_to_disk(tmp_path / "several")
    fields = SentimentTask.fields
    corpus = open_corpus(f"hf:{tmp_path}/one", fields=fields)
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        "train": 18,
        "validation": 2,
    }
    several = open_corpus(f"hf:{tmp_path}/several", fields=fields)
    assert several.split("test")[3] == {"text": "text 3", "label": "b"}
    for name in ("one", "several"):
        with pytest.raises(InputError) as error:
            open_corpus(f"{tmp_path}/{name}", fields=fields)
        assert str(error.value) == (
            f"{tmp_path}/{name}: a dataset that save_to_disk wrote; name it hf:{tmp_path}/{name}"
        )
    with pytest.raises(InputError, match="save_to_disk, which keeps one configuration; drop it$"):
        open_corpus(f"hf:{tmp_path}/one:small", fields=fields)
    (tmp_path / "several" / "dataset_dict.json").write_text("{")
    with pytest.raises(InputError, match=r"^hf:.*/several: cannot be loaded: "):
        open_corpus(f"hf:{tmp_path}/several", fields=fields)
