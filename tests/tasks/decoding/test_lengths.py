"""The prior of lengths: what is measured, and that a search finds the best by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.tasks.decoding import Decoding, StepScores, UsualLength
from seqnlp.tasks.decoding.lengths import LengthPrior
from seqnlp.tasks.decoding.ranking import Ranking
from tests.tasks.decoding.toy import Toy, World

KEYS = st.integers(0, 2**20)
USUAL = UsualLength(intercept=0.5, slope=0.3, spread=0.4)


def _prior(length: int, source: int, weight: float, usual: UsualLength) -> float:
    center = usual.intercept + usual.slope * math.log(source)
    return -weight * 0.5 * ((math.log(length) - center) / usual.spread) ** 2


@settings(max_examples=10)
@given(key=KEYS, weight=st.sampled_from([0.2, 1.0, 30.0]), ratio=st.sampled_from([None, 0.5, 3.0]))
def test_a_wide_beam_finds_the_best_by_the_prior(
    key: int, weight: float, ratio: float | None
) -> None:
    world = World(keys=(key, key + 1, key + 2), lengths=(2, 1, 3), size=5, end=-1.0)
    options = Decoding(
        beam=400, n_best=5, coverage_penalty=0.2, length_penalty=0.6,
        length_prior=weight, length_ratio=ratio, max_ratio=1, max_extra=1,
    )  # fmt: skip
    usual = USUAL
    if ratio is not None:
        usual = UsualLength(intercept=math.log(ratio), slope=1.0, spread=USUAL.spread)
    found = world.find(options, usual_length=USUAL)
    for source, own in enumerate(found):
        every = world.everything(source, world.limit(source, options), options)
        size = world.lengths[source]
        marks = {
            ids: mark + _prior(len(ids) + 1, size, weight, usual) for ids, mark in every.items()
        }
        best = sorted(((mark, ids) for ids, mark in marks.items()), reverse=True)[:5]
        assert [one.ids for one in own] == [ids for _, ids in best]
        assert [one.score for one in own] == pytest.approx([mark for mark, _ in best])


@pytest.mark.parametrize("beam", [{"beam": 4}, {"beam": 6, "diverse_groups": 3}], ids=str)
def test_the_bound_changes_nothing_but_the_time(
    beam: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Decoding(length_prior=2.0, length_penalty=0.0, **beam)
    worlds = [
        World(keys=tuple(range(key, key + 5)), lengths=(3, 1, 4, 2, 2), size=7, end=0.5)
        for key in range(0, 150, 10)
    ]
    steps: list[int] = []
    step = Toy.step

    def counted(self: Toy, ids: torch.Tensor) -> StepScores:
        steps.append(len(ids))
        return step(self, ids)

    monkeypatch.setattr(Toy, "step", counted)
    bounded = [world.find(options, usual_length=USUAL) for world in worlds]
    few = sum(steps)
    # A bound without the prior is one too, and greater.
    bound = Ranking.bound
    greater: list[bool] = []

    def plain(self: Ranking, totals: torch.Tensor, *rest: Any) -> torch.Tensor:
        own = bound(self, totals, *rest)
        other: torch.Tensor = totals / ((6.0 + rest[0]) / 6.0) ** self.alpha
        greater.append(bool((other >= own).all()))
        return other

    monkeypatch.setattr(Ranking, "bound", plain)
    for world, found in zip(worlds, bounded, strict=True):
        again = world.find(options, usual_length=USUAL)
        assert [[one.ids for one in own] for own in found] == [
            [one.ids for one in own] for own in again
        ]
    assert all(greater)
    assert few < sum(steps) - few


@settings(max_examples=40)
@given(
    source=st.integers(1, 500), least=st.integers(1, 40), more=st.integers(-3, 60),
    slope=st.floats(-1, 2, allow_subnormal=False), weight=st.sampled_from([0.0, 1.5]),
)  # fmt: skip
def test_nothing_is_better_than_the_best(
    source: int, least: int, more: int, slope: float, weight: float
) -> None:
    usual = UsualLength(intercept=1.0, slope=slope, spread=0.3)
    prior = LengthPrior(weight=weight, usual=usual)
    lengths = torch.tensor([source])
    best = prior.best(lengths, least, torch.tensor([least + more])).item()
    every = [prior.of(lengths, size).item() for size in range(least, max(least, least + more) + 1)]
    assert every == pytest.approx(
        [_prior(least + place, source, weight, usual) for place in range(len(every))]
    )
    assert best >= max(every) - 1e-9 * abs(max(every))


def test_the_longer_ones_win_where_they_are_usual() -> None:
    world = World(keys=tuple(range(20)), lengths=(5,) * 20, size=7)
    means = []
    for ratio in (0.4, 1.0, 2.0):
        options = Decoding(beam=8, n_best=1, length_prior=20.0, length_ratio=ratio)
        means.append(np.mean([len(own[0].ids) + 1 for own in world.find(options)]))
    assert means[0] == pytest.approx(2, abs=0.5)
    assert means[1] == pytest.approx(5, abs=1)
    assert means[0] < means[1] < means[2]


def test_lengths_are_measured_by_least_squares() -> None:
    generator = np.random.default_rng(5)
    sources = generator.integers(5, 400, 3000)
    outputs = np.exp(0.7 + 0.4 * np.log(sources) + generator.normal(0, 0.3, 3000))
    usual = UsualLength.measured(sources, outputs)
    assert usual.intercept == pytest.approx(0.7, abs=0.05)
    assert usual.slope == pytest.approx(0.4, abs=0.02)
    assert usual.spread == pytest.approx(0.3, abs=0.02)


def test_of_sources_that_are_all_alike_the_ratio_is_measured() -> None:
    usual = UsualLength.measured(np.array([10, 10, 10]), np.array([5, 5, 5]))
    assert (usual.slope, usual.spread) == (1.0, 0.1)
    assert math.exp(usual.intercept) == pytest.approx(0.5)
    assert UsualLength.of_ratio(0.4, usual) == UsualLength(
        intercept=math.log(0.4), slope=1.0, spread=0.1
    )
    assert UsualLength.of_ratio(0.5, None).spread == 0.5


@pytest.mark.parametrize("values", [(math.nan, 1.0, 0.5), (0.0, math.inf, 0.5), (0.0, 1.0, 0.0)])
def test_what_was_measured_must_be_possible(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        UsualLength(intercept=values[0], slope=values[1], spread=values[2])


def test_a_prior_needs_to_know_what_is_usual() -> None:
    world = World(keys=(1,), lengths=(2,))
    with pytest.raises(InputError, match="length_prior needs to know how long outputs usually are, .* set length_ratio"):  # fmt: skip
        world.find(Decoding(length_prior=1.0))
    assert world.find(Decoding(length_prior=1.0, length_ratio=1.0))
