"""Novelty, repetition and copying of summaries, by hand and by plain loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.tasks.originality import copied, length_ratio, novelty, repetition, report

words = st.lists(st.sampled_from("abc"), max_size=8).map(" ".join)


def test_novelty_counts_distinct_ngrams_over_all_summaries() -> None:
    summaries = ["Gas deal signed, gas deal!", "b a"]
    documents = ["The gas-deal was signed.", "a b"]
    found = novelty(summaries, documents)
    # Distinct: gas deal signed; b a. None is new.
    assert found["1"] == 0
    # gas deal (old), deal signed, signed gas; b a.
    assert found["2"] == pytest.approx(3 / 4)
    assert found["3"] == pytest.approx(1)


def test_what_is_too_short_for_an_ngram_has_none() -> None:
    assert novelty(["gas", ""], ["oil", ""]) == {"1": 1.0, "2": 0.0, "3": 0.0}


def test_repetition_by_hand() -> None:
    # Of 6 trigrams the last two stood before; 2 more summaries, one of one trigram.
    found = repetition(["a b c d a b c d", "a b c", "a a"])
    assert found["summaries"] == pytest.approx(1 / 3)
    assert found["trigrams"] == pytest.approx(2 / 7)


def test_case_and_marks_do_not_hide_a_repetition() -> None:
    assert repetition(["Stop the gas. STOP, the gas"])["summaries"] == 1


def test_fragments_by_hand() -> None:
    # "a b c" in one piece, x in none, then "c d".
    found = copied(["a b c x c d"], ["c d, b c; a b c."])
    assert found["rate"] == pytest.approx(5 / 6)
    assert found["length"] == pytest.approx((9 + 4) / 5)


@given(words, words)
def test_fragments_are_the_longest_by_a_plain_search(summary: str, document: str) -> None:
    own, read = summary.split(), document.split()
    sizes, begin = [], 0
    while begin < len(own):
        size = max(
            (n for n in range(1, len(own) - begin + 1)
             if f" {' '.join(own[begin:begin + n])} " in f" {document} "), default=0,
        )  # fmt: skip
        sizes += [size] if size else []
        begin += max(size, 1)
    found = copied([summary], [document])
    assert found["rate"] == pytest.approx(sum(sizes) / max(len(own), 1))
    assert found["length"] == pytest.approx(sum(n * n for n in sizes) / max(sum(sizes), 1))
    assert found["rate"] == pytest.approx(sum(word in read for word in own) / max(len(own), 1))


def test_lengths_are_of_words() -> None:
    assert length_ratio(["one, two", ""], ["one two three", "four"]) == 0.5
    assert length_ratio(["a"], [""]) == 0


def test_references_are_measured_beside() -> None:
    made = report(["new gas"], ["old gas deal"], ["gas deal"])
    assert (made["novelty"]["1"], made["reference_novelty"]["1"]) == (0.5, 0)
    assert (made["copied"]["length"], made["reference_copied"]["length"]) == (1, 2)
    assert made["length_ratio"] == 1


def test_without_documents_nothing_is_said_of_them() -> None:
    assert set(report(["a"], [""], ["a"])) == {"length_ratio", "repetition"}


def test_a_long_document_takes_no_square_of_its_length() -> None:
    document = "the gas " * 50_000
    assert copied(["the deal of the gas"], [document])["rate"] == 0.6
