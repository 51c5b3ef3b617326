"""The nearest training examples against scikit-learn's TF-IDF."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from seqnlp.tasks import neighbors
from seqnlp.tasks.neighbors import NeighborIndex

WORDS = ["Gas", "gas", "deal", "Straße", "3:30", "it's", "—", "meeting", "東京", "!"]


def texts(number: int, *, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(0, 12))) for _ in range(number)]


KNOWN, ASKED = texts(60, seed=0), [*texts(25, seed=1), "zebra", "", "gas zebra"]
INDEX = NeighborIndex.fit((text, f"answer {n}") for n, text in enumerate(KNOWN))


def likeness(known: list[str], asked: list[str]) -> np.ndarray:
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    matrix = vectorizer.fit_transform(known)
    return (vectorizer.transform(asked) @ matrix.T).toarray()


def test_the_nearest_are_those_of_scikit_learn() -> None:
    for found, row in zip(INDEX.find(ASKED, 5), likeness(KNOWN, ASKED), strict=True):
        order = sorted(np.flatnonzero(row), key=lambda n: (-round(row[n], 5), n))[:5]
        assert [value for _, value in found] == pytest.approx([row[n] for n in order], abs=1e-5)
        for answer, value in found:
            assert row[int(answer.split()[1])] == pytest.approx(value, abs=1e-5)


def test_of_equals_the_first_in_train_comes_first() -> None:
    index = NeighborIndex.fit([("b", "0"), ("a b", "1"), ("a", "2"), ("a", "3"), ("a", "4")])
    assert [[answer for answer, _ in near] for near in index.find(["A", "b"], 2)] == [
        ["2", "3"], ["0", "1"]
    ]  # fmt: skip


def test_what_shares_no_word_has_no_neighbor() -> None:
    found = list(INDEX.find(ASKED[-3:], 3))
    assert found[:2] == [[], []]
    assert len(found[2]) == 3
    assert INDEX.similarities(["zebra", KNOWN[3]]) == pytest.approx([0, 1], abs=1e-6)
    assert max(INDEX.similarities(KNOWN)) <= 1


def test_texts_in_blocks_have_the_same_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(INDEX.find(ASKED, 4))
    monkeypatch.setattr(neighbors, "_BLOCK", 130)
    assert list(INDEX.find(iter(ASKED), 4)) == whole


def test_an_index_is_its_sizes_and_its_buffers() -> None:
    again = NeighborIndex.restore(INDEX.state())
    again.load_state_dict(INDEX.state_dict())
    assert list(again.find(ASKED, 3)) == list(INDEX.find(ASKED, 3))
    assert not list(INDEX.parameters())


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^neighbors: sizes cannot be negative: \{'words': -1"):
        NeighborIndex.restore({"words": -1, "pairs": 0, "documents": 0, "size": 0})
    with pytest.raises(KeyError, match="pairs"):
        NeighborIndex.restore({"words": 1})


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=4), st.text())
def test_any_texts_and_answers(examples: list[tuple[str, str]], asked: str) -> None:
    index = NeighborIndex.fit(examples)
    (near,) = index.find([asked], 10)
    assert {answer for answer, _ in near} <= {answer for _, answer in examples}
    values = [value for _, value in near]
    assert values == sorted(values, reverse=True)
    assert all(0 < value <= 1 for value in values)


def test_lone_surrogates_and_long_answers_come_back() -> None:
    answers = ["\ud800", "ä" * 1000, ""]
    index = NeighborIndex.fit((word, answer) for word, answer in zip("abc", answers, strict=True))
    found = [near[0][0] for near in index.find("abc", 1)]
    assert found == answers
    assert index.answers.dtype == torch.uint8
