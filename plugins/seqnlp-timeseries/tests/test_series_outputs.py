"""Distributions against those of scipy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from seqnlp_timeseries.outputs import (
    Gaussian,
    Output,
    Quantiles,
    Student,
    make_output,
    quantile_levels,
    student_quantile,
)

LEVELS = quantile_levels([50, 80, 95])


@given(
    st.floats(2.05, 60, allow_subnormal=False),
    st.sampled_from([0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]),
)
def test_quantiles_of_student_are_those_of_scipy(freedom: float, level: float) -> None:
    found = student_quantile(torch.tensor(freedom, dtype=torch.float64), level)
    assert float(found) == pytest.approx(stats.t.ppf(level, freedom), rel=2e-3, abs=1e-9)


def test_the_density_of_student_is_that_of_torch() -> None:
    raw, base, y = torch.randn(50, 3), torch.randn(50), torch.randn(50)
    output = Student()
    loc, scale = output.location_scale(raw, base)
    freedom = 2.05 + torch.nn.functional.softplus(raw[:, 2] + 2)
    oracle = -torch.distributions.StudentT(freedom, loc, scale).log_prob(y)
    torch.testing.assert_close(output.losses(raw, base, y), oracle)


def test_the_density_of_a_gaussian_is_that_of_torch_and_so_are_its_quantiles() -> None:
    raw, base, y = torch.randn(50, 2), torch.randn(50), torch.randn(50)
    loc, scale = Gaussian().location_scale(raw, base)
    normal = torch.distributions.Normal(loc, scale)
    torch.testing.assert_close(Gaussian().losses(raw, base, y), -normal.log_prob(y))
    found = Gaussian().quantiles(raw, base, [0.1, 0.9])
    torch.testing.assert_close(found[:, 0], normal.icdf(torch.tensor(0.1)), atol=1e-5, rtol=1e-5)


@given(st.lists(st.floats(-20, 20, allow_subnormal=False), min_size=7, max_size=7))
def test_learned_quantiles_never_cross(raw: list[float]) -> None:
    found = Quantiles(LEVELS).quantiles(torch.tensor(raw), torch.tensor(0.3), LEVELS)
    assert (found.diff() >= 0).all()


def test_the_loss_of_quantiles_is_twice_the_mean_pinball_loss() -> None:
    from seqnlp_timeseries.figures import quantile_scores

    raw, base, y = torch.randn(20, 7), torch.randn(20), torch.randn(20)
    output = Quantiles(LEVELS)
    values = output.quantiles(raw, base, LEVELS)
    oracle = 2 * quantile_scores(values.numpy(), y.numpy(), LEVELS).mean(-1)
    np.testing.assert_allclose(output.losses(raw, base, y).numpy(), oracle, rtol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "student", "quantiles"])
def test_draws_have_the_quantiles_that_are_said(name: str) -> None:
    torch.manual_seed(0)
    output: Output = make_output(name, LEVELS)
    raw, base = torch.randn(1, output.size).expand(40_000, -1), torch.zeros(40_000)
    drawn = output.sample(raw, base)
    said = output.quantiles(raw[:1], base[:1], [0.25, 0.5, 0.9])[0]
    width = float(said[2] - said[0])
    for level, value in zip([0.25, 0.5, 0.9], said, strict=True):
        assert float(drawn.quantile(level)) == pytest.approx(float(value), abs=0.04 * width)


def test_levels_that_were_not_learned_lie_between_those_that_were() -> None:
    output = Quantiles((0.1, 0.5, 0.9))
    raw, base = torch.randn(3), torch.tensor(1.0)
    low, middle, _ = output.quantiles(raw, base, (0.1, 0.5, 0.9))
    found = output.quantiles(raw, base, [0.3])
    torch.testing.assert_close(found[0], (low + middle) / 2)
