"""Evidence of words and word pairs against formulas counted by hand and scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.evidence import (
    STRENGTHS,
    LinearEvidence,
    bags_of,
    fit_logistic,
    fit_naive_bayes,
)

Fit = Callable[[TokenizedText, np.ndarray, int], tuple[LinearEvidence, np.ndarray]]
TEXTS = ["good film", "bad film", "not good", "good good cast", "dull bad plot"]
LABELS = [1, 0, 0, 1, 0]
FILM_CAFE = [6569835820675580736, -2028992364774525097]


def tokenized(texts: Sequence[str]) -> TokenizedText:
    return TokenizedText.from_tokens([text.split() for text in texts])


def fitted(
    texts: Sequence[str] = TEXTS, labels: Sequence[int] = LABELS
) -> tuple[LinearEvidence, np.ndarray]:
    return fit_naive_bayes(tokenized(texts), np.array(labels), 2)


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


def test_naive_bayes_is_its_formula() -> None:
    odds = fitted()[0](tokenized(["good plot", "not seen before"]))
    for row, text in enumerate(["good plot", "not seen before"]):
        for label in (0, 1):
            expected = by_hand(text, label, TEXTS, LABELS)
            assert odds[row, label] == pytest.approx(expected, rel=1e-5)


def test_a_training_text_is_left_out_of_its_own_counts() -> None:
    _, held_out = fitted()
    for row, text in enumerate(TEXTS):
        others = [t for n, t in enumerate(TEXTS) if n != row]
        labels = [y for n, y in enumerate(LABELS) if n != row]
        refitted = fitted(others, labels)[0](tokenized([text]))
        np.testing.assert_allclose(held_out[row], refitted[0], rtol=1e-5)


def test_a_label_of_a_single_text_is_no_infinity() -> None:
    _, held_out = fit_naive_bayes(tokenized(["a b", "c", "c d"]), np.array([0, 1, 1]), 2)
    assert np.isfinite(held_out).all()


def test_what_was_never_seen_says_nothing() -> None:
    np.testing.assert_array_equal(fitted()[0](tokenized(["entirely unheard of", ""])), 0.0)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6), min_size=1, max_size=5))
@settings(max_examples=50)
def test_a_bag_holds_each_word_and_pair_once_whatever_stands_beside_it(
    rows: list[list[str]],
) -> None:
    texts = [" ".join(row) for row in rows]
    [bags] = bags_of(tokenized(texts))
    assert bags.sizes.tolist() == [len(features(text)) for text in texts]
    ends = np.cumsum(bags.sizes)
    for text, begin, end in zip(texts, ends - bags.sizes, ends, strict=True):
        [alone] = bags_of(tokenized([text]))
        assert bags.ids[begin:end].tolist() == alone.ids.tolist()


@pytest.mark.parametrize("normalized", [False, True])
def test_one_document_alone_has_the_evidence_that_it_has_among_others(normalized: bool) -> None:
    evidence = fitted()[0]
    evidence.normalized = normalized
    evidence.squares.uniform_(1, 2)
    texts = [*TEXTS, "", "good", "good good good plot plot", "entirely unheard of"]
    for text, odds in zip(texts, evidence(tokenized(texts)), strict=True):
        np.testing.assert_allclose(evidence.of_one(text.split())[0], odds, rtol=1e-6)


def test_blocks_of_documents_do_not_change_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence, held_out = fitted()
    whole = evidence(tokenized(TEXTS))
    monkeypatch.setattr("seqnlp.tasks.evidence.BLOCK", 2)
    np.testing.assert_array_equal(evidence(tokenized(TEXTS)), whole)
    np.testing.assert_array_equal(fitted()[1], held_out)


def test_hashes_are_the_same_on_every_machine() -> None:
    # BLAKE2b of eight bytes, read from the lowest.
    [bags] = bags_of(tokenized(["film"]))
    assert bags.ids.tolist() == FILM_CAFE[:1]


MANY = [f"{a} film {b}" for a in ("good", "fine", "bad", "dull") for b in "abcdefgh"] * 2
SIDES = [int(text.split()[0] in ("good", "fine")) for text in MANY]


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_is_scikit_learns(classes: int) -> None:
    labels = np.array(SIDES) if classes == 2 else np.array([n % 3 for n in range(len(MANY))])
    evidence, held_out = fit_logistic(tokenized(MANY), labels, classes)
    rows = [sorted(features(text)) for text in MANY]
    matrix = TfidfVectorizer(analyzer=lambda row: row, binary=True).fit_transform(rows)
    odds = evidence(tokenized(MANY))
    for label in range(classes):
        oracles = [
            LogisticRegression(C=strength, solver="liblinear")
            .fit(matrix, labels == label)
            .decision_function(matrix)
            for strength in STRENGTHS
        ]
        assert min(np.abs(odds[:, label] - oracle).max() for oracle in oracles) < 0.05
    assert held_out.shape == (len(MANY), classes)


def test_logistic_evidence_of_a_training_text_is_from_a_model_without_it() -> None:
    # Words that occur in one text alone cannot be known to a model that never saw it.
    texts = [f"only{n} once{n}" for n in range(40)]
    labels = np.array([n % 2 for n in range(40)])
    evidence, held_out = fit_logistic(tokenized(texts), labels, 2)
    assert (evidence(tokenized(texts)).argmax(1) == labels).all()
    assert (held_out.argmax(1) == labels).mean() < 0.6


def test_a_rare_label_does_not_stop_the_folds() -> None:
    texts, labels = [*MANY, "odd one"], np.array([*SIDES, 2])
    evidence, held_out = fit_logistic(tokenized(texts), labels, 3)
    assert np.isfinite(held_out).all()
    assert np.isfinite(evidence(tokenized(texts))).all()


@pytest.mark.parametrize("fit", [fit_naive_bayes, fit_logistic])
def test_copies_of_a_text_are_held_out_with_it(fit: Fit) -> None:
    # Labels are noise, each text stands there twice: only a copy could give its label away.
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(list("abcdefghijklmnop"), 6)) for _ in range(200)] * 2
    labels = np.tile(generator.integers(0, 2, 200), 2)
    _, held_out = fit(tokenized(texts), labels, 2)
    assert (held_out.argmax(1) == labels).mean() < 0.65


def test_twins_of_the_other_label_are_held_out_too() -> None:
    texts = ["good not bad film", "film bad not good"] * 3 + TEXTS
    texts = [" ".join(sorted(text.split())) for text in texts]
    labels = [1, 0] * 3 + LABELS
    _, held_out = fitted(texts, labels)
    rest = fitted(texts[6:], labels[6:])[0](tokenized(texts[:1]))
    np.testing.assert_allclose(held_out[:6], np.repeat(rest, 6, axis=0), rtol=1e-5)


def test_a_text_of_weight_two_is_the_text_twice() -> None:
    weights = np.array([2.0, 1.0, 3.0, 1.0, 1.0])
    rows = np.repeat(np.arange(5), weights.astype(int))
    labels = np.array(LABELS)
    light, held_out = fit_naive_bayes(tokenized(TEXTS), labels, 2, weights)
    heavy, expected = fit_naive_bayes(tokenized([TEXTS[n] for n in rows]), labels[rows], 2)
    np.testing.assert_allclose(light.weights, heavy.weights, rtol=1e-6)
    np.testing.assert_allclose(held_out[rows], expected, rtol=1e-6)


def test_logistic_evidence_of_weights_is_that_of_repeated_texts() -> None:
    texts = [f"{word} film {n}" for n in range(8) for word in ("good", "bad")]
    labels = np.array([n % 2 for n in range(16)])
    light, held_out = fit_logistic(tokenized(texts), labels, 2, np.full(16, 3.0))
    heavy, expected = fit_logistic(tokenized(texts * 3), np.tile(labels, 3), 2)
    unseen = tokenized(["good plot", "bad plot", "a film"])
    # liblinear ends within its tolerance, and the fold of a text may be another.
    np.testing.assert_allclose(light(unseen), heavy(unseen), atol=0.15)
    np.testing.assert_allclose(held_out, expected[:16], atol=0.3)
    plain, _ = fit_logistic(tokenized(texts), labels, 2)
    assert not np.allclose(plain(unseen), heavy(unseen), atol=0.3)
