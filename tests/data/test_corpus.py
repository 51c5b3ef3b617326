from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp import registry
from seqnlp.data import Corpus, CorpusRequest, Split, assemble, open_corpus
from seqnlp.errors import InputError
from seqnlp.types import Field

FIELDS = (Field(name="text", aliases=("text",)), Field(name="label", aliases=("label",)))


def request(**options: float) -> CorpusRequest:
    return CorpusRequest(fields=FIELDS, **options)  # type: ignore[arg-type]


def split_of(name: str, rows: list[tuple[str, str]]) -> Split:
    return Split.from_examples(name, [{"text": text, "label": label} for text, label in rows])


def write(path: Path, rows: int = 20, first: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{first}{i}\t{i % 2}\n" for i in range(rows)]
    path.write_text("text\tlabel\n" + "".join(lines))


@given(
    labels=st.lists(st.sampled_from("abcd"), min_size=6, max_size=60),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 5),
)
def test_validation_is_cut_off_train(labels: list[str], share: float, seed: int) -> None:
    train = split_of("train", [(f"text {i}", label) for i, label in enumerate(labels)])
    asked = request(seed=seed, validation_share=share)
    corpus = assemble("c", {"train": train}, request=asked)
    again = assemble("c", {"train": train}, request=asked)
    kept, cut = corpus.split("train"), corpus.split("validation")
    assert Counter(row["text"] for row in [*kept, *cut]) == Counter(train.column("text"))
    assert list(cut) == list(again.split("validation"))
    assert set(kept.column("label")) == set(labels)
    most = len(labels) - len(set(labels))
    assert len(cut) == min(max(1, round(share * len(labels))), most)
    assert cut.name == "validation"
    assert corpus.fingerprint == again.fingerprint


def test_the_seed_chooses_the_cut_and_a_note_says_so() -> None:
    train = split_of("train", [(str(i), "ab"[i % 2]) for i in range(1000)])
    corpora = [assemble("c", {"train": train}, request=request(seed=seed)) for seed in (0, 1)]
    assert list(corpora[0].split("validation")) != list(corpora[1].split("validation"))
    assert corpora[0].fingerprint != corpora[1].fingerprint
    assert corpora[1].notes == (
        "no validation split: 100 of 1,000 examples (10 %) cut off train with seed 1",
        "no test split",
    )


def test_nothing_is_cut_where_validation_exists_or_is_not_asked_for() -> None:
    rows = [(str(i), "ab"[i % 2]) for i in range(10)]
    splits = {name: split_of(name, rows) for name in ("test", "validation", "train")}
    corpus = assemble("c", splits, request=request())
    assert {name: len(split) for name, split in corpus.splits.items()} == {
        "train": 10, "validation": 10, "test": 10}  # fmt: skip
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert corpus.notes == ()
    corpus = assemble("c", {"train": splits["train"]}, request=request(validation_share=0))
    assert (list(corpus.splits), corpus.notes) == (["train"], ("no test split",))
    assert list(assemble("c", {"test": splits["test"]}, request=request()).splits) == ["test"]


def test_a_missing_test_split_is_cut_off_first_where_it_is_asked_for() -> None:
    train = split_of("train", [(str(i), "ab"[i % 2]) for i in range(100)])
    corpus = assemble("c", {"train": train}, request=request(test_share=0.2))
    parts = {name: set(split.column("text")) for name, split in corpus.splits.items()}
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 72, "validation": 8, "test": 20}  # fmt: skip
    assert len(set.union(*parts.values())) == 100
    assert corpus.notes == (
        "no test split: 20 of 100 examples (20 %) cut off train with seed 0",
        "no validation split: 8 of 80 examples (10 %) cut off train with seed 0",
    )
    kept = assemble("c", {"train": train, "test": train}, request=request(test_share=0.2))
    assert list(kept.split("test")) == list(train)


@pytest.mark.parametrize("rows", [[("a", "x")], [("a", "x"), ("b", "y")]])
def test_too_few_rows_to_cut(rows: list[tuple[str, str]]) -> None:
    with pytest.raises(InputError, match=r"^memory: \d rows?, too few to cut a validation split"):
        assemble("c", {"train": split_of("train", rows)}, request=request())


def test_empty_texts_are_skipped_in_train_and_kept_elsewhere() -> None:
    rows = [("a", "x"), ("", "y"), ("b", "y"), ("\t ", "x")]
    splits = {name: split_of(name, rows) for name in ("train", "validation", "test")}
    splits["validation"] = split_of("validation", rows[:2])
    corpus = assemble("c", splits, request=request(), notes=["first"])
    assert list(corpus.split("train").column("text")) == ["a", "b"]
    assert len(corpus.split("test")) == 4
    assert corpus.notes == (
        "first",
        "train: 2 rows with an empty text skipped, the first at memory, row 2",
        "validation: 1 row with an empty text kept, the first at memory, row 2",
        "test: 2 rows with an empty text kept, the first at memory, row 2",
    )


def test_an_empty_text_in_a_file_is_named_by_its_line(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv")
    with (tmp_path / "train.tsv").open("a") as file:
        file.write(" \t1\n\t0\n")
    corpus = open_corpus(str(tmp_path), fields=FIELDS)
    assert corpus.notes[0] == (
        f"train: 2 rows with an empty text skipped, the first at {tmp_path / 'train.tsv'}:22"
    )


def test_a_split_that_is_not_there() -> None:
    corpus = Corpus(name="c", splits={"train": split_of("train", [("a", "x")])})
    with pytest.raises(InputError) as error:
        corpus.split("trian")
    assert str(error.value) == ("corpus 'c' has no trian split; did you mean 'train'? known: train")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A current folder and a search path of two folders, each with corpora."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    roots = [tmp_path / "one", tmp_path / "two"]
    monkeypatch.setenv("SEQNLP_DATA", os.pathsep.join(map(str, roots)))
    write(tmp_path / "one" / "films" / "train.tsv", first="one ")
    write(tmp_path / "two" / "films" / "train.tsv", first="two ")
    write(tmp_path / "two" / "books.tsv", first="two ")
    (tmp_path / "two" / "nothing").mkdir()
    yield tmp_path
    registry.corpora._local.pop("films", None)


def origin(name: str) -> str:
    corpus = open_corpus(name, fields=FIELDS)
    assert corpus.name == Path(name).name
    return str(corpus.split("train")[0]["text"]).split()[0]


def test_where_names_are_looked_for(places: Path) -> None:
    assert origin("films") == "one"
    assert origin("books") == "two"
    assert origin(f"{places}/two/films") == "two"
    write(places / "here" / "films" / "train.tsv", first="here ")
    assert origin("films") == "here"
    assert origin("./films") == "here"

    @registry.corpora.register("films")
    def open_films(argument: str | None, *, request: CorpusRequest) -> Corpus:
        rows = [(f"{argument} {request.seed}", "ab"[i % 2]) for i in range(9)]
        return assemble("films", {"train": split_of("train", rows)}, request=request)

    assert origin("films") == "None"
    assert origin("./films") == "here"
    corpus = open_corpus("films:old", fields=FIELDS, seed=7)
    assert corpus.split("train")[0]["text"] == "old 7"


def test_a_name_that_nothing_has(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as error:
        open_corpus("film", fields=FIELDS)
    roots = os.pathsep.join([f"{places}/one", f"{places}/two"])
    known = sorted({*registry.corpora.names(), "books", "films"})
    assert str(error.value) == (
        f"no corpus is named 'film'; did you mean 'films'? known: {', '.join(known)}; "
        f"looked among the registered corpora, in the current folder and on SEQNLP_DATA ({roots})"
    )
    monkeypatch.delenv("SEQNLP_DATA")
    with pytest.raises(InputError, match=r"SEQNLP_DATA \(not set\)$"):
        open_corpus("fams:film", fields=FIELDS)
    # Of a family that has gone its name is told, whatever path stands behind it.
    with pytest.raises(InputError, match="no corpus is named 'my-lines'; known: "):
        open_corpus(f"my-lines:{places}/one/x.txt", fields=FIELDS)
    with pytest.raises(InputError, match=r"^C:/x.tsv: no such file or folder$"):
        open_corpus("C:/x.tsv", fields=FIELDS)


def test_a_corpus_whose_package_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[project.entry-points."seqnlp.corpora"]\nmy-lines = "lines:open_lines"\n'
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"; pyproject.toml declares it, .*: pip install -e \.$"):
        open_corpus("my-lines:./x.txt", fields=FIELDS)


def test_the_bundled_reviews() -> None:
    corpus = open_corpus("reviews", fields=FIELDS)
    assert list(corpus.splits) == ["train", "validation", "test"]
    assert (corpus.name, corpus.license, corpus.notes) == ("reviews", "MIT", ())
    assert set(corpus.split("test").column("label")) == {"negative", "positive"}


@pytest.fixture
def nltk_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """NLTK's data beside the other real corpora, also where NLTK_DATA does not name it."""
    import nltk

    folders = [str(Path(root) / "nltk_data") for root in os.environ["SEQNLP_DATA"].split(":")]
    monkeypatch.setattr(nltk.data, "path", [*nltk.data.path, *folders])


REAL = {
    "sst2": (6920, 872, 1821),
    "sst5": (8544, 1101, 2210),
    "trec": (5452 - 545, 545, 500),
    "mr": (10662 - 1066, 1066),
    "nltk:movie_reviews": (1600 - 160, 160, 400),
    "nltk:sentence_polarity": (9596 - 960, 960, 1066),
}


@pytest.mark.data
@pytest.mark.usefixtures("nltk_data")
@pytest.mark.parametrize("name", REAL)
def test_real_corpora(name: str) -> None:
    corpus = open_corpus(name, fields=FIELDS)
    assert tuple(map(len, corpus.splits.values())) == REAL[name]
    for split in corpus.splits.values():
        assert not split.blank.any()
        assert len(set(split.column("label"))) == {"sst5": 5, "trec": 6}.get(name, 2)


@pytest.mark.data
@pytest.mark.usefixtures("nltk_data")
def test_movie_reviews_are_split_by_file_name() -> None:
    corpus = open_corpus("nltk:movie_reviews", fields=FIELDS)
    files = [corpus.split("test").where(i) for i in range(400)]
    assert files[0].startswith("nltk:movie_reviews/neg/cv800_")
    assert files[-1].startswith("nltk:movie_reviews/pos/cv999_")
    first = corpus.split("train")[0]["text"]
    assert first.startswith("plot : two teen couples go to a church party , drink and then drive")
