"""Statistics over seeds, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seqnlp.comparison import statistics
from seqnlp.comparison.statistics import (
    holm,
    pairs_needed,
    permutation_test,
    smallest_p,
    t_interval,
)
from seqnlp.tasks.metrics import Floats

NUMBERS = st.lists(
    st.integers(-50, 50).map(lambda n: n / 7), min_size=2, max_size=7
)  # few values, so that sums are often equal


@given(NUMBERS)
def test_the_interval_is_students(values: list[float]) -> None:
    found = t_interval(values)
    error = stats.sem(values)
    assert found.value == pytest.approx(np.mean(values))
    if error > 0:
        expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=error)
        assert (found.low, found.high) == pytest.approx(expected)
    else:
        assert (found.low, found.high) == pytest.approx((values[0], values[0]))


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ValueError, match="^1 values have no interval: expected at least two$"):
        t_interval([0.5])


@given(NUMBERS)
def test_the_exact_test_is_scipys(differences: list[float]) -> None:
    zeros = np.zeros(len(differences))

    def size(one: Floats, other: Floats, axis: int) -> Floats:
        return np.asarray(np.abs(np.sum(one - other, axis=axis)))

    oracle = stats.permutation_test(
        (np.array(differences), zeros), size, permutation_type="samples", vectorized=True,
        n_resamples=np.inf, alternative="greater",
    )  # fmt: skip
    assert permutation_test(differences) == pytest.approx(oracle.pvalue)


def test_all_signs_alike_give_the_smallest_p() -> None:
    for pairs in range(1, statistics.EXACT + 1):
        assert permutation_test([0.25] * pairs) == smallest_p(pairs) == 2 / 2**pairs
    assert permutation_test([0.0, 0.0, 0.0]) == 1.0


def test_many_pairs_are_drawn() -> None:
    generator = np.random.default_rng(5)
    differences = generator.normal(0.3, 1.0, 40)
    drawn = permutation_test(differences.tolist())
    # The sum of forty random signs is nearly normal.
    normal = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert drawn == pytest.approx(normal, rel=0.1)
    assert drawn == permutation_test(differences.tolist())
    assert permutation_test([1.0] * 40) == smallest_p(40) == 1 / 100_001


def test_how_many_pairs_can_decide() -> None:
    assert pairs_needed(0.05) == 6
    assert smallest_p(6) < 0.05 < smallest_p(5)


def test_holm_by_hand() -> None:
    # 4 * 0.01, 3 * 0.02 and no less than it, 0.06 again for 2 * 0.025, 1 * 0.5
    assert holm([0.02, 0.5, 0.01, 0.025]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm([0.04]) == [0.04]
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.integers(0, 99).map(lambda n: n / 99), max_size=8))
def test_adjusted_values_keep_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    for i, p in enumerate(p_values):
        assert all(adjusted[i] <= adjusted[j] for j, q in enumerate(p_values) if p < q)
