"""Utilities against the libraries that compute them pair by pair."""

from __future__ import annotations

from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.chrf import CHRF

from seqnlp.tasks.utilities import chrf, common_lengths, rouge

WORDS = ["meeting", "meetings", "Gas", "gas", "on", "12,000", "it's", "—", "", "\n"]
texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
sides = st.tuples(st.lists(texts, min_size=1, max_size=4), st.lists(texts, min_size=1, max_size=4))


@given(sides)
def test_rouge_of_all_pairs_is_that_of_rouge_score(both: tuple[list[str], list[str]]) -> None:
    candidates, references = both
    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds, use_stemmer=True)
    found = rouge(candidates, references)
    assert found.shape == (len(candidates), len(references))
    for candidate, row in zip(candidates, found, strict=True):
        for reference, value in zip(references, row, strict=True):
            expected = scorer.score(reference, candidate)
            assert value == pytest.approx(mean(expected[kind].fmeasure for kind in kinds))


@given(sides)
def test_chrf_of_all_pairs_is_that_of_sacrebleu(both: tuple[list[str], list[str]]) -> None:
    candidates, references = both
    metric = CHRF()
    found = chrf(candidates, references)
    for candidate, row in zip(candidates, found, strict=True):
        for reference, value in zip(references, row, strict=True):
            expected = metric.sentence_score(candidate, [reference]).score
            assert 100 * value == pytest.approx(expected)


@given(st.text("abc", max_size=7), st.lists(st.text("abcd", max_size=7), max_size=3))
def test_the_longest_common_subsequence_by_trying_all(text: str, others: list[str]) -> None:
    def parts(whole: str) -> set[tuple[str, ...]]:
        return {part for size in range(8) for part in combinations(whole, size)}

    expected = [max(map(len, parts(text) & parts(other))) for other in others]
    assert common_lengths(text, others) == expected


def test_subsequences_of_more_than_a_machine_word() -> None:
    text = "ab" * 300
    assert common_lengths(text, ["a" * 200, text[::-1], "b" + text]) == [200, 599, 600]


def test_words_of_another_script_are_compared() -> None:
    assert rouge(["сеть газа"], ["сеть газа", "сеть"])[0] == pytest.approx(
        [1, (2 / 3 + 0 + 2 / 3) / 3]
    )
