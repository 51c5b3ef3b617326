"""Figures against scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
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
