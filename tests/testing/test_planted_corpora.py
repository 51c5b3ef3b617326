"""Our corpora keep their contract; broken ones are caught."""

from __future__ import annotations

import itertools
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from seqnlp import registry
from seqnlp.data import Corpus, CorpusRequest, Source, Split, assemble, open_corpus, stored_split
from seqnlp.errors import InputError
from seqnlp.testing import Report, check_corpus
from seqnlp.types import Field
from tests.testing.test_networks import names

OURS = [name for name in names("corpora") if name not in ("hf", "nltk")]
ROWS = [{"text": f"It was {word} {n} .", "label": "good" if n % 4 > 1 else "bad"}
        for n, word in enumerate(("fine", "dull", "great", "weak") * 6)]  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_corpora(name: str) -> None:
    report = check_corpus(name)
    assert report.findings[-1].outcome == "passed"


def test_a_family_needs_its_argument() -> None:
    (found,) = check_corpus.examine("hf").failed
    assert "hf: names no dataset" in found.what
    assert "argument" in found.remedy


@pytest.mark.data
@pytest.mark.parametrize("argument", ["sentence_polarity"])
def test_corpora_of_nltk(argument: str) -> None:
    assert check_corpus("nltk", argument=argument).ok


def test_columns_of_what_has_none_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from nltk import corpus as nltk_corpora

    class Reader:
        def ensure_loaded(self) -> None: ...

    monkeypatch.setattr(nltk_corpora, "movie_reviews", Reader(), raising=False)
    fields = registry.tasks.get("sentiment").fields
    with pytest.raises(InputError, match=r"^nltk:movie_reviews has no columns to choose among"):
        open_corpus("nltk:movie_reviews", fields=fields, columns={"text": "body"})


def read(request: CorpusRequest, argument: str | None, rows: list[dict[str, str]]) -> Corpus:
    if {field.name for field in request.fields if field.required} != {"text", "label"}:
        raise InputError("it has a text and a label")
    if argument is not None:
        raise InputError(f"it takes no argument; found {argument!r}")
    parts = {"train": rows[::2], "test": rows[1::2]}
    splits = {name: Split.from_examples(name, part) for name, part in parts.items()}
    return assemble("mine", splits, request=request, license="MIT", description="Rows.")


def open_plain(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Rows of a test."""
    return read(request, argument, ROWS)


def open_positional(argument: str | None, request: CorpusRequest) -> Corpus:
    """Called otherwise."""
    return read(request, argument, ROWS)


def open_splits(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Gives splits, not a corpus."""
    return read(request, argument, ROWS).splits  # type: ignore[return-value]


def open_downloading(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Fetches its rows."""
    urllib.request.urlopen("http://example.org/rows")
    return read(request, argument, ROWS)


def open_quietly(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Fetches its rows if it can, and tells nobody."""
    with suppress(OSError):
        urllib.request.urlopen("http://example.org/rows")
    return read(request, argument, ROWS)


def open_other_names(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Names columns as its file does."""
    rows = [{"sentence": row["text"], "label": row["label"]} for row in ROWS]
    return read(request, argument, rows)


COUNT = itertools.count()


def open_changing(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Rows that are others each time."""
    number = next(COUNT)
    return read(request, argument, [{**row, "text": f"{row['text']} {number}"} for row in ROWS])


def open_shuffled(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Rows in another order each time, under one fingerprint."""
    number = next(COUNT) % len(ROWS)
    corpus = read(request, argument, ROWS[number:] + ROWS[:number])
    splits = {
        name: Split(name, split._table, origin="x", fingerprint=name)
        for name, split in corpus.splits.items()
        if name != "validation"
    }
    return replace(corpus, splits={**splits, "validation": splits["test"]})


def open_one_key(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """All splits under one key."""
    corpus = read(request, argument, ROWS)
    splits = {
        name: Split(name, split._table, origin=name, fingerprint="rows")
        for name, split in corpus.splits.items()
        if name != "validation"
    }
    return replace(corpus, splits={**splits, "validation": splits["test"]})


def open_whole(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """No validation."""
    return read(replace(request, validation_share=0.0), argument, ROWS)


def open_leaking(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Validation out of train, where it stays."""
    corpus = read(replace(request, validation_share=0.0), argument, ROWS)
    if not request.validation_share:
        return corpus
    part = corpus.split("train").select([0, 1, 2]).renamed("validation")
    return replace(corpus, splits={**corpus.splits, "validation": part})


def open_all(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Any argument is as good as none."""
    return read(request, None, ROWS)


def open_carelessly(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Asserts what users may get wrong."""
    if argument is not None:
        raise KeyError(argument)
    return read(request, argument, ROWS)


def open_unlicensed(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Nobody knows whose rows these are."""
    return replace(read(request, argument, ROWS), license="not stated")


def open_endless(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Labels that are no strings."""
    corpus = read(request, argument, ROWS)
    import pyarrow as pa

    table = pa.table({"text": ["a", "b"], "label": [1, 0]})
    numbers = Split("test", table, origin="x", fingerprint="y")
    return replace(corpus, splits={**corpus.splits, "test": numbers})


FAULTS: dict[Callable[..., Corpus], tuple[str, str]] = {
    open_positional: ("is a function that opens a corpus", "*, request: CorpusRequest"),
    open_splits: ("opens, and downloads nothing", "return assemble"),
    open_downloading: ("opens, and downloads nothing", "say how to get them"),
    open_quietly: ("opens, and downloads nothing", "read files that are there"),
    open_other_names: ("rows have the fields that were asked for", "as request.fields does"),
    open_changing: ("opened again it is the same", "make the fingerprint of what"),
    open_shuffled: ("opened again it is the same", "sort files and sets"),
    open_one_key: ("a fingerprint tells contents apart", "put the split's name or file"),
    open_whole: ("validation is there, or cut off train", "which cuts one off train"),
    open_leaking: ("validation is there, or cut off train", "return assemble"),
    open_all: ("what it cannot give is refused", "no use for `argument`"),
    open_carelessly: ("what it cannot give is refused", "raise seqnlp.errors.InputError"),
    open_unlicensed: ("says what a reader must know", "name it: assemble"),
    open_endless: ("rows have the fields that were asked for", "labels are strings"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_a_plain_one_passes() -> None:
    assert check_corpus(open_plain).ok
    assert check_corpus(open_plain, task="sentiment").ok
    fields = (Field(name="text"), Field(name="label"))
    last = check_corpus(open_plain, fields=fields).findings[-1]
    assert (last.outcome, last.what) == ("skipped", "fields were given, and no task")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_caught_by_its_check(fault: Callable[..., Corpus]) -> None:
    check, remedy = FAULTS[fault]
    report = check_corpus.examine(fault)
    assert remedy in failed(report).get(check, "no failure"), report.lines()


def test_a_file_whose_change_goes_unseen_is_caught(tmp_path: Path) -> None:
    def open_file(argument: str | None, *, request: CorpusRequest) -> Corpus:
        """Lines of a file."""
        path = Path(str(argument))
        if {field.name for field in request.fields} != {"text", "label"} or not path.is_file():
            raise InputError(f"no such file, or not for this task: {argument}")

        def rows() -> Source:
            lines = (line.split("\t") for line in path.read_text().splitlines())
            pairs = ((f":{n}", (text, label)) for n, (text, label) in enumerate(lines))
            return Source(fields=("text", "label"), rows=pairs)  # type: ignore[arg-type]

        split = stored_split("train", key={"mine": path.name}, source=rows, origin=path.name)
        return assemble("mine", {"train": split}, request=request)

    file = tmp_path / "rows.tsv"
    file.write_text("".join(f"{row['text']}\t{row['label']}\n" for row in ROWS))
    report = check_corpus.examine(open_file, argument=str(file))
    remedy = failed(report)["a fingerprint tells contents apart"]
    assert remedy.startswith("put size and mtime of the file")
