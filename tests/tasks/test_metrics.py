"""Figures against scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn import metrics as oracle

from seqnlp.tasks import metrics

CLASSES = 4
pairs = st.integers(1, 60).flatmap(
    lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, CLASSES - 1))] * 2)
)


@given(pairs)
@settings(max_examples=60, deadline=None)
def test_figures_equal_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, guess = pair
    counts = metrics.confusion(truth, guess, CLASSES)
    labels = list(range(CLASSES))
    np.testing.assert_array_equal(counts, oracle.confusion_matrix(truth, guess, labels=labels))
    assert metrics.accuracy(counts) == pytest.approx(oracle.accuracy_score(truth, guess))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert metrics.macro_f1(counts) == pytest.approx(
            oracle.f1_score(truth, guess, average="macro", zero_division=0)
        )
        expected = oracle.precision_recall_fscore_support(
            truth, guess, labels=labels, zero_division=0
        )
    precision, recall = metrics.precision_recall(counts)
    np.testing.assert_allclose(precision, expected[0])
    np.testing.assert_allclose(recall, expected[1])
    np.testing.assert_allclose(metrics.f1(counts), expected[2])


@given(pairs)
@settings(max_examples=20, deadline=None)
def test_an_interval_holds_its_figure_and_stays_in_range(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    counts = metrics.confusion(*pair, CLASSES)
    interval = metrics.bootstrap(counts, metrics.accuracy, resamples=200)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1


def test_the_bootstrap_has_the_width_of_the_binomial() -> None:
    counts = np.array([[400, 100], [100, 400]])
    interval = metrics.bootstrap(counts, metrics.accuracy)
    half = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert interval.high - interval.low == pytest.approx(2 * half, rel=0.1)
    assert metrics.bootstrap(counts, metrics.accuracy) == interval


def test_calibration_error_is_the_gap_of_each_bin_by_its_weight() -> None:
    # Two bins: confidence 0.95 right half the time, confidence 0.55 always right.
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, False, True, True])
    expected = 0.5 * abs(0.95 - 0.5) + 0.5 * abs(0.55 - 1.0)
    assert metrics.calibration_error(confidence, correct) == pytest.approx(expected)
    assert metrics.calibration_error(np.ones(5), np.ones(5, dtype=bool)) == 0.0


def test_a_confidence_on_the_edge_belongs_to_the_bin_below() -> None:
    # With two bins 0.5 stands with 0.4, apart from 0.9: (m - 1, m] in Guo et al.
    confidence, correct = np.array([0.5, 0.4, 0.9]), np.array([True, False, True])
    expected = (abs(0.9 - 1.0) + abs(0.9 - 1.0)) / 3
    assert metrics.calibration_error(confidence, correct, bins=2) == pytest.approx(expected)
    assert metrics.calibration_error(np.array([0.52, 0.55]), np.array([True, False]), bins=10) == (
        pytest.approx(abs(1.07 - 1) / 2)
    )


def test_nothing_to_count_is_zero_and_no_warning() -> None:
    none = np.zeros((2, 2), dtype=np.int64)
    assert metrics.accuracy(none) == 0
    assert metrics.macro_f1(none) == 0
    assert metrics.bootstrap(none, metrics.accuracy).high == 0


def test_the_report_names_every_class() -> None:
    report = metrics.classification_report(
        np.array([0, 0, 1]), np.array([0, 1, 1]), ("bad", "good"), np.array([0.9, 0.6, 0.8])
    )
    assert report["examples"] == 3
    assert report["accuracy"]["value"] == pytest.approx(2 / 3)
    assert report["confusion"] == [[1, 1], [0, 1]]
    assert report["classes"]["bad"] == pytest.approx(
        {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}
    )
    assert 0 < report["calibration_error"] < 1


def test_a_pair_of_classifiers_is_compared_on_the_same_resamples() -> None:
    generator = np.random.default_rng(1)
    truth = generator.integers(0, CLASSES, 400)
    guesses = [np.where(generator.random(400) < share, truth, 0) for share in (0.6, 0.75)]
    made = metrics.paired_comparison(truth, *guesses, CLASSES)
    first, second = (oracle.accuracy_score(truth, guess) for guess in guesses)
    found = made["accuracy"]
    assert (found["first"], found["second"]) == pytest.approx((first, second))
    gains = (guesses[1] == truth).astype(float) - (guesses[0] == truth)
    # The paired difference has the spread of its mean over the examples.
    half = 1.96 * gains.std() / 400**0.5
    difference = found["difference"]
    assert difference["value"] == pytest.approx(gains.mean())
    assert difference["high"] - difference["low"] == pytest.approx(2 * half, rel=0.1)
    assert found["wins"] > 0.95
    assert found["p_value"] < 0.05
    assert made["macro_f1"]["first"] == pytest.approx(
        oracle.f1_score(truth, guesses[0], average="macro")
    )


@pytest.mark.parametrize("more", [6, 12, 18, 22, 26])
def test_the_p_value_is_of_both_signs(more: int) -> None:
    # Of 1,000 texts 100 are answered by one alone, `more` of them rather by the second.
    truth = np.zeros(1000, dtype=np.int64)
    first, second = truth.copy(), truth.copy()
    half = (100 - more) // 2
    first[:100], second[:half], first[:half] = 1, 1, 0
    gains = (second == truth).astype(float) - (first == truth)
    # Ties count: half a text less is as far.
    expected = 2 * stats.norm.sf((gains.mean() - 0.0005) / (gains.std() / 1000**0.5))
    found = metrics.paired_comparison(truth, first, second, 2)["accuracy"]
    turned = metrics.paired_comparison(truth, second, first, 2)["accuracy"]
    assert found["p_value"] == pytest.approx(expected, abs=0.08 * expected**0.5)
    assert found["p_value"] == turned["p_value"]
    # What an interval of 95 % leaves out is what p < 0.05 says.
    assert (found["p_value"] < 0.05) == (found["difference"]["low"] > 0)


def test_equal_answers_do_not_differ() -> None:
    truth, guess = np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    made = metrics.paired_comparison(truth, guess, guess, 2)["accuracy"]
    assert made["difference"] == {"value": 0, "low": 0, "high": 0}
    assert (made["wins"], made["p_value"]) == (0, 1)


def test_figures_are_read_in_hundreds() -> None:
    share = {"value": 0.5, "low": 0.25, "high": 0.75}
    points = {**share, "unit": "points", "name": "BLEU"}
    assert metrics.in_hundreds(share) == (50, 25, 75)
    assert metrics.in_hundreds(points) == (0.5, 0.25, 0.75)
    assert metrics.heading("macro_f1", share) == "macro-F1"
    assert metrics.heading("bleu", points) == "BLEU"
    assert metrics.intervals_of({"a": share, "b": points, "c": {"value": 1}, "d": 2}) == {
        "a": share, "b": points
    }  # fmt: skip
