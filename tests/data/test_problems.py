"""The corpora of problems that ask for a long memory."""

from __future__ import annotations

import re

import numpy as np
import pytest

from seqnlp.data import Corpus, open_corpus
from seqnlp.errors import InputError
from seqnlp.registry import corpora, tasks
from seqnlp.testing import check_corpus

SMALL = "train=60,validation=20,test=30"


def corpus(name: str, seed: int = 0) -> Corpus:
    return open_corpus(name, fields=tasks.get("long_range").fields, seed=seed)


def test_the_sum_is_that_of_one_marked_number_in_each_half() -> None:
    made = corpus(f"adding:9,{SMALL}")
    assert {name: len(split) for name, split in made.splits.items()} == {
        "train": 60, "validation": 20, "test": 30,
    }  # fmt: skip
    places = set()
    for split in made.splits.values():
        for row in split:
            words = row["inputs"].split()
            assert len(words) == 9
            assert all(re.fullmatch(r"[01]\.\d{3}\*?", word) for word in words)
            marked = [place for place, word in enumerate(words) if word.endswith("*")]
            assert [place < 4 for place in marked] == [True, False]
            places |= set(marked)
            assert float(row["targets"]) == pytest.approx(sum(float(words[p][:-1]) for p in marked))
    assert places == set(range(9))


def test_values_are_uniform_and_lengths_those_that_were_asked_for() -> None:
    made = corpus("adding:20-40,train=300,validation=1,test=1").split("train")
    rows = [row.replace("*", "").split() for row in made.column("inputs")]
    assert {len(row) for row in rows} == set(range(20, 41))
    values = np.array([float(word) for row in rows for word in row])
    assert values.min() == 0
    assert values.max() == 1
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.var() == pytest.approx(1 / 12, abs=0.005)


def test_symbols_come_before_a_pause_and_are_what_is_asked_for() -> None:
    for row in corpus(f"copy_memory:5,{SMALL}").split("train"):
        assert re.fullmatch(r"([a-h] ){10}-x4 \?", row["inputs"])
        assert row["targets"] == row["inputs"].removesuffix(" -x4 ?")
    row = corpus(f"copy_memory:1,symbols=3,alphabet=2,{SMALL}").split("test")[0]
    assert re.fullmatch(r"([ab] ){3}\?", row["inputs"])
    pauses = {
        row.split()[-2]
        for row in corpus(f"copy_memory:2-4,{SMALL}").split("train").column("inputs")
    }
    assert pauses == {"-x1", "-x2", "-x3"}


@pytest.mark.parametrize("name", ["adding", "copy_memory"])
def test_a_seed_draws_other_training_sequences_and_the_same_to_be_measured_on(name: str) -> None:
    first, again, other = (corpus(f"{name}:7,{SMALL}", seed) for seed in (1, 1, 2))
    assert first.fingerprint == again.fingerprint
    assert list(first.split("train")) != list(other.split("train"))
    for split in ("validation", "test"):
        assert list(first.split(split)) == list(other.split(split))
    assert list(first.split("validation"))[:5] != list(first.split("test"))[:5]


@pytest.mark.parametrize("name", ["adding", "copy_memory"])
def test_they_keep_the_contract_of_corpora(name: str) -> None:
    report = check_corpus(corpora.get(name), argument=f"10,{SMALL}", task="long_range")
    assert report.ok, "\n".join(report.lines())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adding:1", "length is '1'; expected from 2 upwards, the least first"),
        ("adding:9-5", "length is '9-5'; expected from 2 upwards, the least first"),
        ("adding:many", "length is 'many'; expected such as 100 or 80-100"),
        ("adding:10,train=0", "train must be at least 1, not 0"),
        ("adding:10,20", "'20' is no key=value, such as train=5000"),
        ("adding:10,length=20", "length is given twice"),
        ("adding:10,trian=5", "no key 'trian'; did you mean 'train'"),
        ("adding:9999", r"22,000 sequences of up to 9,999 steps are 219,978,000 steps; "
                        r"expected at most 50,000,000: fewer sequences, as in train=1000"),
        ("copy_memory:0", "delay is '0'; expected from 1 upwards, the least first"),
        ("copy_memory:5,symbols=0", "symbols must be at least 1, not 0"),
        ("copy_memory:5,alphabet=1", "alphabet must be 2 to 26, not 1"),
        ("copy_memory:5,alphabet=many", "alphabet: Input should be a valid integer"),
    ],
)  # fmt: skip
def test_an_argument_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        corpus(name)
    assert "\n" not in str(raised.value)


def test_another_task_is_told_what_they_are_for() -> None:
    with pytest.raises(
        InputError,
        match="sequences and what they ask for, for --task long_range; this task reads text and",
    ):
        open_corpus("adding", fields=tasks.get("sentiment").fields)
    with pytest.raises(InputError, match="copy_memory has no columns to choose among"):
        open_corpus(
            "copy_memory", fields=tasks.get("long_range").fields, columns={"inputs": "text"}
        )
