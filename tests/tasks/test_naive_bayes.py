"""Naive Bayes evidence against its formula, counted by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.tasks.naive_bayes import NaiveBayes
from seqnlp.tasks.rows import bag_of, single_row, token_hashes
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import WhitespaceTokenizer
from seqnlp.types import Bag

TEXTS = ["good film", "bad film", "not good", "good good cast", "dull bad plot"]
LABELS = [1, 0, 0, 1, 0]
FILM_CAFE = [6569835820675580736, -2028992364774525097]


def bag(texts: Sequence[str]) -> Bag:
    rows = [text.split() for text in texts]
    width = max(map(len, rows))
    hashes = np.zeros((len(rows), width), dtype=np.int64)
    real = np.zeros((len(rows), width), dtype=np.bool_)
    for number, row in enumerate(rows):
        hashes[number, : len(row)] = token_hashes(row)
        real[number, : len(row)] = True
    return bag_of(hashes, real)


def counted(texts: Sequence[str] = TEXTS, labels: Sequence[int] = LABELS) -> NaiveBayes:
    return NaiveBayes.fit(bag(texts), torch.tensor(labels), 2).double()


def features(text: str) -> set[str]:
    words = text.split()
    return set(words) | {f"{a} {b}" for a, b in itertools.pairwise(words)}


def by_hand(text: str, label: int, texts: Sequence[str], labels: Sequence[int]) -> float:
    own = sum(y == label for y in labels)
    rest = len(labels) - own
    a_own, a_rest = 2 * own / len(labels), 2 * rest / len(labels)
    total = 0.0
    for feature in features(text):
        hits = sum(
            feature in features(t) and y == label for t, y in zip(texts, labels, strict=True)
        )
        other = sum(
            feature in features(t) and y != label for t, y in zip(texts, labels, strict=True)
        )
        total += math.log((hits + a_own) / (other + a_rest)) - math.log(own / rest)
    return total


def test_the_evidence_is_the_formula() -> None:
    odds = counted()(bag(["good plot", "not seen before"]))
    for row, text in enumerate(["good plot", "not seen before"]):
        for label in (0, 1):
            assert odds[row, label].item() == pytest.approx(by_hand(text, label, TEXTS, LABELS))


def test_a_training_text_is_left_out_of_its_own_counts() -> None:
    odds = counted()(bag(TEXTS), torch.tensor(LABELS))
    for row, text in enumerate(TEXTS):
        others = [t for n, t in enumerate(TEXTS) if n != row]
        labels = [y for n, y in enumerate(LABELS) if n != row]
        refitted = counted(others, labels)(bag([text]))
        torch.testing.assert_close(odds[row], refitted[0])


def test_what_was_never_seen_says_nothing() -> None:
    odds = counted()(bag(["entirely unheard of"]))
    torch.testing.assert_close(odds, torch.zeros_like(odds))


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_bag_holds_each_word_and_pair_once(rows: list[list[str]]) -> None:
    texts = [" ".join(row) for row in rows]
    made = bag(texts)
    ends = [*made.offsets.tolist()[1:], len(made.ids)]
    alone = [set(bag([text]).ids.tolist()) for text in texts]
    for begin, end, text, single in zip(made.offsets.tolist(), ends, texts, alone, strict=True):
        ids = made.ids[begin:end].tolist()
        assert len(ids) == len(set(ids)) == len(features(text))
        assert set(ids) == single


def test_hashes_are_the_same_on_every_machine() -> None:
    # BLAKE2b of eight bytes, read from the lowest.
    assert token_hashes(["film", "café"]).tolist() == FILM_CAFE


def test_a_single_text_has_the_same_bag() -> None:
    pipeline = TokenPipeline(tokenizer=WhitespaceTokenizer()).fit(TEXTS)
    for text in TEXTS:
        single = single_row(text.split(), pipeline, bag=True).bag
        assert single is not None
        assert torch.equal(single.ids, bag([text]).ids)
    empty = single_row([], pipeline, bag=True).bag
    assert empty is not None
    assert empty.ids.tolist() == []
