"""The bundled reports: reproducible, new in names and numbers, decided by the report alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from seqnlp.text.sentences import split_sentences

FOLDER = Path(__file__).parents[2] / "corpora" / "summarization"
SIZES = {"train": 8000, "validation": 500, "test": 1000}
HEADERS = {"train": ["document", "summary"]}
HEADER = ["document", "summary", "references", "references2"]


@cache
def read(split: str) -> list[list[str]]:
    text = (FOLDER / f"{split}.tsv").read_text(encoding="utf-8")
    header, *rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    assert header == HEADERS.get(split, HEADER)
    assert {len(row) for row in rows} == {len(header)}
    return rows


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+(?:[.,]\w+)*", text.lower())


@cache
def known() -> frozenset[str]:
    return frozenset(word for row in read("train") for text in row for word in words_of(text))


def unseen(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in known()]


def run(script: Path, *options: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(script), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=given)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, and what they write beside them."""
    folder = tmp_path_factory.mktemp("summarization")
    for file in FOLDER.glob("*.py"):
        shutil.copy(file, folder)
    done = run(folder / "make_reports.py", "--counts")
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "counts").write_text(done.stdout, encoding="utf-8")
    return folder


def test_the_files_are_what_the_script_writes(copy: Path) -> None:
    for split in SIZES:
        file = f"{split}.tsv"
        assert (copy / file).read_bytes() == (FOLDER / file).read_bytes()
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    tables = (copy / "counts").read_text(encoding="utf-8").split("\n\n")
    assert len(tables) == 2
    assert all(table in card for table in tables)
    assert not list(copy.glob("*.tmp"))


def test_the_check_names_a_changed_and_a_missing_file(copy: Path) -> None:
    changed, missing = copy / "train.tsv", copy / "test.tsv"
    missing.unlink()
    changed.write_bytes(changed.read_bytes().replace(b"Monday", b"Sunday", 1))
    done = run(copy / "make_reports.py", "--check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{changed}: differs from what the script writes; run `python make_reports.py`",
        f"{missing}: is missing; run `python make_reports.py`",
    ]
    assert not missing.exists()


@pytest.mark.parametrize("split", SIZES)
def test_sizes_and_lengths(split: str) -> None:
    rows = read(split)
    assert len(rows) == SIZES[split]
    assert all(30 <= len(row[0].split()) <= 80 for row in rows)
    assert all(5 <= len(text.split()) <= 10 for row in rows for text in row[1:])
    assert all(len(set(row)) == len(row) for row in rows)


def test_no_report_and_no_headline_occurs_twice() -> None:
    for column in (0, 1):
        texts = [row[column].lower() for split in SIZES for row in read(split)]
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_names_and_numbers_are_new_and_all_else_is_known(split: str) -> None:
    other = {"validation": "test", "test": "validation"}[split]
    elsewhere = {word for row in read(other) for text in row for word in words_of(text)}
    for document, *headlines in read(split):
        new = unseen(document)
        assert not set(new) & elsewhere
        # What is written with a capital within a sentence, or in digits, is new; no other word is.
        assert all(word[0].isdigit() or word.capitalize() in document for word in new)
        assert not [word for word in words_of(document) if word[0].isdigit() and word in known()]
        wanted = [sorted(unseen(headline)) for headline in headlines]
        assert len(wanted[0]) >= 2
        assert set(wanted[0]) <= set(new)
        # Other headlines name the same, in words of which train may lack some.
        assert all(set(each) & set(new) == set(wanted[0]) for each in wanted[1:])


def test_names_are_too_rare_in_train_to_be_learned_by_heart() -> None:
    counts = Counter(word for row in read("train") for text in row for word in words_of(text))
    names = [word for word in unseen_in_grammar() if not word[0].isdigit()]
    assert len(names) > 15_000
    assert sum(counts[name] < 5 for name in names) > 0.95 * len(names)
    assert max(counts[name] for name in names) < 10


def unseen_in_grammar() -> set[str]:
    """The words of train that no script spells out: they were invented."""
    texts = (file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py"))
    spelled = {word for text in texts for word in words_of(text)}
    return {word for word in known() if word not in spelled}


def test_the_place_in_a_report_does_not_say_what_its_headline_names() -> None:
    first = total = several = whole = 0
    for document, summary, *_ in read("test"):
        wanted = unseen(summary)
        there = list(dict.fromkeys(unseen(document)))
        several += len(there) > len(set(wanted))
        first += sum(word in there[: len(wanted)] for word in wanted)
        total += len(wanted)
        lead = words_of(split_sentences(document)[0])
        whole += all(word in lead for word in wanted)
    assert first < 0.65 * total
    assert several > 0.97 * SIZES["test"]
    assert whole < 0.2 * SIZES["test"]


def test_the_nearest_report_does_not_help() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"\w+")
    train = vectorizer.fit_transform(row[0] for row in read("train"))
    test = vectorizer.transform(row[0] for row in read("test"))
    nearest = (test @ train.T).toarray().argmax(axis=1)
    answers = "".join(f"{read('train')[i][1]}\n" for i in nearest)
    done = run(FOLDER / "score_copies.py", "-", given=answers)
    assert "unseen names and numbers copied right: 0.0 %\n" in done.stdout
    assert done.stdout.endswith("headlines word by word: 0 of 1,000\n")


def test_copies_are_scored_in_order_and_by_kind(tmp_path: Path) -> None:
    summaries = [row[1] for row in read("test")]
    numbers = sum(word[0].isdigit() for text in summaries for word in unseen(text))
    names = sum(map(len, map(unseen, summaries))) - numbers
    answers = tmp_path / "answers"
    answers.write_text("".join(f"{text.upper()}\n" for text in summaries))
    done = run(FOLDER / "score_copies.py", str(answers))
    assert done.stdout == (
        "unseen names and numbers copied right: 100.0 %\n"
        f"names: {names:,} of {names:,}, 100.0 %\n"
        f"numbers: {numbers:,} of {numbers:,}, 100.0 %\n"
        "headlines word by word: 1,000 of 1,000\n"
    )
    reversed_ = "".join(f"{' '.join(reversed(words_of(text)))}\n" for text in summaries)
    done = run(FOLDER / "score_copies.py", "-", given=reversed_)
    assert f"copied right: {100 * len(summaries) / (names + numbers):.1f} %\n" in done.stdout
    assert done.stdout.endswith("headlines word by word: 0 of 1,000\n")
    done = run(FOLDER / "score_copies.py", "-", "--split", "validation", given="one\ntwo\n")
    assert done.returncode == 2
    assert done.stderr == "- has 2 lines; expected 500, one for each report of validation\n"
    done = run(FOLDER / "score_copies.py", str(tmp_path / "none"))
    assert done.returncode == 2
    assert done.stderr == f"cannot read {tmp_path / 'none'}: No such file or directory\n"


def test_a_whole_report_is_no_headline() -> None:
    documents = "".join(f"{row[0]}\n" for row in read("test"))
    done = run(FOLDER / "score_copies.py", "-", given=documents)
    share = re.search(r"right: (\S+) %", done.stdout)
    assert share is not None
    assert 30 < float(share[1]) < 60


def test_the_examples_of_the_card_are_in_the_files() -> None:
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    text = "\n".join(" ".join(row) for row in read("test"))
    says = card.partition("| what the summary says |")[2].partition("\n\n")[0]
    hard = card.partition("| what makes it hard |")[2].partition("\n\n")[0]
    examples = re.findall(r"^\| [^|]+ \| (\S[^|]+[^|-]) \|$", f"{says}\n{hard}", re.MULTILINE)
    assert len(examples) == 18 + 6
    assert all(example in text for example in examples)
