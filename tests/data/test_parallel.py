"""Parallel plain text: which files are a pair, in which languages, and what is wrong with them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqnlp.data import Corpus, open_corpus
from seqnlp.data.languages import count_words, ratio_of
from seqnlp.data.places import corpora_in
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (
    Field(name="source", aliases=("source", "src")),
    Field(name="target", aliases=("target", "tgt")),
)
TEXT_FIELDS = (Field(name="text"), Field(name="label"))
Languages = tuple[str | None, str | None]
DE_EN: Languages = ("de", "en")
LINES = st.text(st.characters(exclude_characters="\0\n\r", exclude_categories=["Cs"]))


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def pairs(*splits: str, rows: int = 3, codes: Languages = DE_EN) -> dict[str, str]:
    return {
        f"{split}.{code}": "".join(f"{split} {code} {row}\n" for row in range(rows))
        for split in splits
        for code in codes
    }


def open_pairs(path: Path, languages: Languages = DE_EN, **options: object) -> Corpus:
    options = {"validation_share": 0, **options}
    return open_corpus(str(path), fields=FIELDS, languages=languages, **options)  # type: ignore[arg-type]


def complaint(path: Path, languages: Languages = DE_EN, **options: object) -> str:
    with pytest.raises(InputError) as error:
        open_pairs(path, languages, **options)
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_status == 2
    return message.replace(str(path), "PATH")


def rows_of(corpus: Corpus, split: str = "train") -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in corpus.split(split)]


@pytest.mark.parametrize(
    "names",
    ["train val test", "training valid test", "train validation test", "train dev test_2016"],
)
@pytest.mark.parametrize("ending", ["", ".gz", ".txt", ".txt.gz"])
def test_names_of_files(tmp_path: Path, names: str, ending: str) -> None:
    files = {f"{name}{ending}": content for name, content in pairs(*names.split()).items()}
    corpus = open_pairs(write(tmp_path, files | {"README.md": "x", "train.log": "x"}))
    assert list(corpus.splits) == ["train", "validation", "test"]
    for split, name in zip(corpus.splits, names.split(), strict=True):
        assert rows_of(corpus, split) == [(f"{name} de {i}", f"{name} en {i}") for i in range(3)]
    assert corpus.split("train").where(1) == f"{tmp_path}/{names.split()[0]}.de{ending}:2"
    assert (corpus.notes, corpus.languages) == ((), DE_EN)
    turned = open_pairs(tmp_path, ("en", "de"))
    assert rows_of(turned) == [(target, source) for source, target in rows_of(corpus)]
    assert turned.fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    ("codes", "asked", "found"),
    [
        (("de", "en"), ("de", None), ("de", "en")),
        (("de", "en"), (None, "de"), ("en", "de")),
        (("de", "en"), ("DE", "EN"), ("de", "en")),
        (("de_AT", "en_US"), ("de", "en"), ("de_AT", "en_US")),
        (("pt-BR", "pt", "en"), ("pt", "en"), ("pt", "en")),
        (("src", "tgt"), (None, None), ("src", "tgt")),
        (("src", "tgt"), ("tgt", None), ("tgt", "src")),
        (("klingon", "en"), ("klingon", "en"), ("klingon", "en")),
        (("de", "en", "fr"), ("fr", "de"), ("fr", "de")),
    ],
)
def test_codes_of_languages(
    tmp_path: Path, codes: tuple[str, ...], asked: Languages, found: Languages
) -> None:
    write(tmp_path, pairs("train", "test", codes=codes))  # type: ignore[arg-type]
    corpus = open_pairs(tmp_path, asked)
    assert corpus.languages == found
    assert rows_of(corpus, "test")[0] == (f"test {found[0]} 0", f"test {found[1]} 0")


def test_test_is_the_first_of_several_and_each_has_its_name(tmp_path: Path) -> None:
    write(tmp_path, pairs("train", "test_2017", "test_2016_flickr"))
    corpus = open_pairs(tmp_path)
    assert set(corpus.splits) == {"train", "test", "test_2016_flickr", "test_2017"}
    assert rows_of(corpus, "test") == rows_of(corpus, "test_2016_flickr")
    assert rows_of(corpus, "test_2017")[0] == ("test_2017 de 0", "test_2017 en 0")
    assert corpus.notes == ("test is test_2016_flickr, the first of 2 test files by name",)
    write(tmp_path, pairs("test"))
    corpus = open_pairs(tmp_path)
    assert rows_of(corpus, "test")[0] == ("test de 0", "test en 0")
    assert corpus.notes == ()


def test_a_single_pair_of_another_name_and_one_of_its_files(tmp_path: Path) -> None:
    files = pairs("europarl-v7", rows=20)
    write(tmp_path, {name.replace("v7.", "v7.de-en."): text for name, text in files.items()})
    for path, languages in (
        (tmp_path, DE_EN),
        (tmp_path / "europarl-v7.de-en.de", DE_EN),
        (tmp_path / "europarl-v7.de-en.en", ("de", None)),
    ):
        corpus = open_pairs(path, languages, validation_share=0.1, test_share=0.1)
        assert [len(split) for split in corpus.splits.values()] == [16, 2, 2]
        assert corpus.notes == (
            "no test split: 2 of 20 examples (10 %) cut off train with seed 0",
            "no validation split: 2 of 18 examples (10 %) cut off train with seed 0",
        )
    # Files of rows go before it.
    write(tmp_path, {"train.tsv": "de\ten\na\tb\n"})
    assert rows_of(open_pairs(tmp_path)) == [("a", "b")]


@pytest.mark.parametrize(
    ("files", "languages", "message"),
    [
        (pairs("train"), (None, None), "PATH: the languages are de, en; say which is read and "
         "which is written, as in --source de --target en"),
        (pairs("train"), ("fr", "en"), "PATH: no source language 'fr'; known: de, en"),
        (pairs("train"), ("de", "eng"), "PATH: no target language 'eng'; did you mean 'en'? "
         "known: de, en"),
        (pairs("train"), ("de", "de"), "source and target are both 'de'; name two languages"),
        (pairs("train"), ("de", "DE"), "source and target are both 'de'; name two languages"),
        (pairs("train") | pairs("train", codes=("fr", "cs")), ("de", None),
         "PATH: the languages are cs, de, en, fr; name the target as well"),
        (pairs("train") | pairs("train", codes=("fr", "cs")), (None, "cs"),
         "PATH: the languages are cs, de, en, fr; name the source as well"),
        (pairs("train", codes=("pt_BR", "pt_PT")), ("pt", "en"),
         "PATH: no source language 'pt' alone; there are pt_BR, pt_PT"),
        (pairs("train", codes=("pt_BR", "en")), ("pt", "pt_br"),
         "PATH: source and target are both 'pt_BR'; known: en, pt_BR"),
        (pairs("train") | {"val.de": "a\n"}, DE_EN, "PATH: val.de has no partner in 'en'"),
        (pairs("train") | {"val.en": "a\n"}, DE_EN, "PATH: val.en has no partner in 'de'"),
        (pairs("train", "val", "dev"), DE_EN,
         "PATH: both dev.de and val.de claim to be validation; keep one"),
        (pairs("train") | {"train.de.gz": ""}, DE_EN,
         "PATH: both train.de and train.de.gz claim to be the de side of train; keep one"),
        ({"train.de": "a\n"}, DE_EN, "PATH: train.de stands alone; there is no train.en"),
        ({"notes.md": "a\n"}, DE_EN, "PATH: no data files; expected train.CODE of two languages "
         "(plain text), or train, validation and test in .tsv, .csv, .jsonl, .ndjson, .json, .parquet, "
         ".tmx, .tsv.gz, .csv.gz, .jsonl.gz, .ndjson.gz, .json.gz, .tmx.gz"),
        (pairs("news", "talks"), DE_EN, "PATH: none of the texts is named train, validation or test: "
         "news, talks"),
        # rows
        ({"train.de": "a\nb\nc\n", "train.en": "a\n"}, DE_EN,
         "PATH/train.de has 3 lines and PATH/train.en has 1; line N of one must be the "
         "translation of line N of the other: mend the files where they part, which may be a "
         "line end too many at the end of one"),
        ({"train.de": "a\n" * 1200, "train.en": "a\n" * 1201}, DE_EN,
         "PATH/train.de has 1,200 lines and PATH/train.en has 1,201; line N of one must be the "
         "translation of line N of the other: mend the files where they part, which may be a "
         "line end too many at the end of one"),
        ({"train.de": "", "train.en": "a\n"}, DE_EN,
         "PATH/train.de has 0 lines and PATH/train.en has 1; line N of one must be the "
         "translation of line N of the other: mend the files where they part, which may be a "
         "line end too many at the end of one"),
        ({"train.de": "", "train.en": ""}, DE_EN, "PATH/train.de: the file is empty"),
        ({"train.de": "a\n", "train.en": "\0\n"}, DE_EN,
         "PATH/train.en:1: a NUL character; expected plain text in UTF-8"),
    ],
)  # fmt: skip
def test_complaints(
    tmp_path: Path, files: dict[str, str], languages: Languages, message: str
) -> None:
    assert complaint(write(tmp_path, files), languages) == message


def test_complaints_about_one_file(tmp_path: Path) -> None:
    write(tmp_path, {"a.de": "x\n", "notes.txt": "x\n"})
    assert complaint(tmp_path / "a.de") == "PATH: de alone; expected texts in two languages"
    assert complaint(tmp_path / "notes.txt").endswith(
        ".json.gz, .tmx.gz, or notes.txt.CODE of two languages"
    )
    (tmp_path / "a.en").write_bytes(b"\xff\n")
    message = complaint(tmp_path / "a.de").replace(str(tmp_path), "")
    assert message == "/a.en:1: not UTF-8: byte 0xff at position 1 of the line"


def test_a_test_file_without_a_partner_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, pairs("train", "test_2016") | {"test_2018.de": "a\n"})
    corpus = open_pairs(tmp_path)
    assert corpus.notes == ("test_2018.de has no partner in 'en' and is left out",)
    assert list(corpus.splits) == ["train", "test"]


def test_other_tasks_have_no_languages(tmp_path: Path) -> None:
    write(tmp_path, pairs("train"))
    with pytest.raises(InputError, match=r"no data files; expected train, validation and test in"):
        open_corpus(str(tmp_path), fields=TEXT_FIELDS)
    with pytest.raises(InputError) as error:
        open_corpus(str(tmp_path), fields=TEXT_FIELDS, languages=("de", None))
    assert str(error.value) == (
        "source 'de': the task reads text and label, and no pairs of languages"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(LINES, LINES), min_size=1, max_size=6),
    windows=st.booleans(),
    ended=st.booleans(),
)
def test_every_line_is_a_row(
    tmp_path: Path, rows: list[tuple[str, str]], windows: bool, ended: bool
) -> None:
    end = "\r\n" if windows else "\n"
    for code, side in zip(("de", "en"), zip(*rows, strict=True), strict=True):
        # A last line without an end counts where there is something in it.
        last = end if ended or not side[-1] else ""
        (tmp_path / f"test.{code}").write_bytes((end.join(side) + last).encode())
    corpus = open_pairs(tmp_path)
    expected = [(one.removeprefix("\ufeff"), two.removeprefix("\ufeff")) for one, two in rows[:1]]
    assert rows_of(corpus, "test") == [*expected, *rows[1:]]


def test_what_nothing_is_learned_from(tmp_path: Path) -> None:
    sides = {
        "de": ["gut", " ", "eins zwei", "a", "", "a b c d e f g h i j", "映画 です"],
        "en": ["good", "empty", "one two", "a b c d e f g h i j", "", "a", "film is it"],
    }
    files = {
        f"{split}.{code}": "\n".join(lines) + "\n"
        for split in ("train", "val", "test")
        for code, lines in sides.items()
    }
    corpus = open_pairs(write(tmp_path, files))
    assert [len(split) for split in corpus.splits.values()] == [3, 7, 7]
    assert rows_of(corpus) == [
        ("gut", "good"),
        ("eins zwei", "one two"),
        ("映画 です", "film is it"),
    ]
    assert corpus.notes == tuple(
        note
        for split, name, what in (
            ("train", "train", "skipped"),
            ("validation", "val", "kept"),
            ("test", "test", "kept"),
        )
        for note in (
            f"{split}: 2 rows with an empty side {what}, the first at {tmp_path}/{name}.de:2",
            f"{split}: 2 rows with one side over 9 times as long as the other {what}, "
            f"the first at {tmp_path}/{name}.de:4",
        )
    )
    # Read from the cache, with other bounds.
    assert len(open_pairs(tmp_path, max_ratio=None).split("train")) == 5
    assert len(open_pairs(tmp_path, max_ratio=10).split("train")) == 5
    # 映画 です is four characters, film is it three words.
    assert len(open_pairs(tmp_path, max_ratio=4 / 3).split("train")) == 3
    strict = open_pairs(tmp_path, max_ratio=1.2)
    assert rows_of(strict) == [("gut", "good"), ("eins zwei", "one two")]
    assert strict.notes[1] == (
        "train: 3 rows with one side over 1.2 times as long as the other skipped, "
        f"the first at {tmp_path}/train.de:4"
    )


@given(st.text(), st.text())
def test_ratios_are_of_two_sides(one: str, other: str) -> None:
    assert ratio_of(one, other) == ratio_of(other, one)
    assert (ratio_of(one, other) == 0) == (not one.strip() or not other.strip())
    assert ratio_of(one, other) == 0 or ratio_of(one, other) >= 1
    assert ratio_of(None, one) == ratio_of(one, None) == -1


@given(st.lists(st.text("abcäß", min_size=1)), st.text("映画ですไทย"))
def test_words_are_counted_by_white_space_or_by_character(words: list[str], run: str) -> None:
    assert count_words(" ".join(words)) == len(words)
    assert count_words(run) == len(run)
    assert count_words(" ".join([*words, run])) == len(words) + len(run)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, pairs("train"))
    before = open_pairs(tmp_path)
    write(tmp_path, {"train.en": "x\ny\nz\n"})
    after = open_pairs(tmp_path)
    assert [target for _, target in rows_of(after)] == ["x", "y", "z"]
    assert before.fingerprint != after.fingerprint


def test_a_line_of_a_million_words(tmp_path: Path) -> None:
    long = "wort " * 1_000_000
    write(tmp_path, {"test.de": f"{long}\na\n", "test.en": "a\nb\n"})
    assert [len(source) for source, _ in rows_of(open_pairs(tmp_path), "test")] == [len(long), 1]


def test_names_on_the_search_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine", pairs("train", "test"))
    write(tmp_path / "other", {"readme.txt": "x", "code.py": "x"})
    write(tmp_path / "unclear", pairs("train") | {"train.de.gz": ""})
    assert corpora_in(tmp_path) == ["mine", "unclear"]
    monkeypatch.setenv("SEQNLP_DATA", str(tmp_path))
    corpus = open_corpus("mine", fields=FIELDS, languages=("en", "de"))
    assert corpus.name == "mine"
    assert corpus.split("test")[0] == {"source": "test en 0", "target": "test de 0"}


def test_the_bundled_stories() -> None:
    corpus = open_corpus("stories", fields=FIELDS)
    assert [len(split) for split in corpus.splits.values()] == [12_000, 600, 1_000]
    assert (corpus.languages, corpus.license, corpus.notes) == (("en", "de"), "MIT", ())
    turned = open_corpus("stories", fields=FIELDS, languages=(None, "en"))
    assert rows_of(turned, "test") == [(de, en) for en, de in rows_of(corpus, "test")]
    with pytest.raises(InputError, match=r"no source language 'fr'; known: de, en$"):
        open_corpus("stories", fields=FIELDS, languages=("fr", None))
    with pytest.raises(InputError) as error:
        open_corpus("stories", fields=TEXT_FIELDS)
    assert str(error.value) == (
        "the corpus 'stories' has pairs of texts, for --task translation; "
        "this task reads text and label"
    )
    with pytest.raises(InputError, match="'stories' takes no argument; found 'x'"):
        open_corpus("stories:x", fields=FIELDS)


@pytest.mark.data
@pytest.mark.parametrize("name", ["multi30k", "multi30k_tok"])
def test_multi30k(name: str) -> None:
    corpus = open_corpus(name, fields=FIELDS, languages=("de", "en"))
    assert [len(split) for split in corpus.splits.values()] == [29_000, 1_014, 1_000]
    assert corpus.notes == ()
