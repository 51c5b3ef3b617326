"""The searches against plain ones, in batches against one by one, and what all outputs have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.tasks.decoding import Decoding, Found
from seqnlp.tasks.decoding.ranking import Ranking
from seqnlp.tasks.decoding.wanted import GivenUpError, while_wanted
from tests.tasks.decoding import naive
from tests.tasks.decoding.toy import BOS, EOS, Toy, World, contains, repeats

KEYS = st.integers(0, 2**20)
PREFIXES = ((), (3, 3), (), (4,), ())
PHRASES = (((2, 3), (5,)), (), ((3, 2),), (), ((2,), (4, 4, 3)))
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"beam": 4, "n_best": 3},
    "coverage": {"beam": 5, "n_best": 4, "coverage_penalty": 0.4, "length_penalty": 0.6},
    "diverse": {"beam": 6, "n_best": 5, "diverse_groups": 3},
    "pairs": {"beam": 4, "n_best": 4, "diverse_groups": 2, "no_repeat_ngram": 2},
    "short": {"beam": 3, "n_best": 2, "max_length": 2},
    "long": {"beam": 3, "n_best": 3, "min_length": 6},
    "greedy n-grams": {"no_repeat_ngram": 2, "min_length": 4},
    "beam n-grams": {"beam": 4, "n_best": 2, "no_repeat_ngram": 1},
    "sample": {"sample": True, "n_best": 4},
    "sample cut": {"sample": True, "n_best": 3, "top_k": 4, "top_p": 0.8, "temperature": 1.5},
}


def _world(key: int, **options: Any) -> World:
    return World(keys=tuple(range(key, key + 5)), lengths=(3, 1, 4, 2, 2), size=7, **options)


def _same(found: Sequence[Found], others: Sequence[Found]) -> None:
    assert [one.ids for one in found] == [other.ids for other in others]
    for one, other in zip(found, others, strict=True):
        assert one.score == pytest.approx(other.score, rel=1e-12)
        assert one.log_probability == pytest.approx(other.log_probability, rel=1e-12)


@settings(max_examples=20)
@given(key=KEYS)
def test_greedy_takes_the_best_token_at_each_step(key: int) -> None:
    world, options = _world(key), Decoding()
    for source, (one,) in enumerate(world.find(options)):
        assert one.ids == naive.greedy(world, source, options)


@settings(max_examples=12)
@given(key=KEYS, groups=st.sampled_from([1, 1, 2, 3]), width=st.integers(2, 4), end=st.sampled_from([-1, 0, 1]))  # fmt: skip
def test_a_narrow_beam_finds_what_a_plain_one_does(
    key: int, groups: int, width: int, end: int
) -> None:
    world = _world(key, end=end)
    options = Decoding(
        beam=width * groups, n_best=min(width, 3), diverse_groups=groups,
        diversity=0.7 if groups > 1 else 0.5, coverage_penalty=0.1, max_ratio=1, max_extra=2,
    )  # fmt: skip
    for source, found in enumerate(world.find(options)):
        expected = naive.beam(world, source, options)
        assert [one.ids for one in found] == [ids for _, ids in expected]
        assert [one.score for one in found] == pytest.approx([mark for mark, _ in expected])


@settings(max_examples=20)
@given(key=KEYS)
def test_a_beam_of_one_is_greedy(key: int) -> None:
    world = _world(key)
    greedy = world.find(Decoding())
    # Phrases need the machinery of beams; sources beside theirs have none.
    beam = world.find(Decoding(), constraints=((), (), (), (), ((2,),)))
    for one, other in zip(greedy[:4], beam[:4], strict=True):
        _same(one, other)


@pytest.mark.parametrize("phrases", [False, True], ids=["free", "phrases"])
@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=4)
@given(key=KEYS)
def test_a_batch_finds_what_each_source_does_alone(name: str, phrases: bool, key: int) -> None:
    options = Decoding(**OPTIONS[name])
    if phrases and (options.sample or options.diverse_groups > 1):
        return
    world = _world(key, end=0.5)
    extra: dict[str, Any] = {"prefixes": PREFIXES, "constraints": PHRASES if phrases else None}
    together = world.find(options, want_weights=True, **extra)
    for source, found in enumerate(together):
        (alone,) = world.find(options, only=source, want_weights=True, **extra)
        _same(found, alone)
        for one, other in zip(found, alone, strict=True):
            assert one.weights is not None
            assert other.weights is not None
            assert (one.weights == other.weights).all()


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=5)
@given(key=KEYS, end=st.sampled_from([-2, 0, 2]))
def test_what_is_found_keeps_its_promises(name: str, key: int, end: int) -> None:
    options = Decoding(**OPTIONS[name])
    world = _world(key, end=end)
    found = world.find(options, prefixes=PREFIXES, want_weights=True)
    for source, own in enumerate(found):
        assert 1 <= len(own) <= options.n_best
        assert [one.score for one in own] == sorted((one.score for one in own), reverse=True)
        if options.sample:
            assert len(own) == options.n_best
        else:
            assert len({one.ids for one in own}) == len(own)
        for one in own:
            world.check(source, one, options)
            assert one.ids[: len(PREFIXES[source])] == PREFIXES[source]
            assert len(one.ids) <= max(world.limit(source, options), len(PREFIXES[source]))
            assert BOS not in one.ids
            assert EOS not in one.ids
            size = options.no_repeat_ngram
            if not size:
                assert len(one.ids) >= options.min_length
            elif source != 1 or size > 1:  # whose prefix repeats one
                assert not repeats(one.ids, size)


@settings(max_examples=15)
@given(key=KEYS, beam=st.integers(1, 7), size=st.sampled_from([0, 1, 2]))
def test_phrases_occur_in_all_outputs_of_any_beam(key: int, beam: int, size: int) -> None:
    world = _world(key, end=1.0)
    options = Decoding(beam=beam, n_best=beam, no_repeat_ngram=size, max_length=6)
    found = world.find(options, constraints=PHRASES, prefixes=PREFIXES)
    for source, own in enumerate(found):
        assert own
        for one in own:
            assert all(contains(one.ids, phrase) for phrase in PHRASES[source])
            assert one.ids[: len(PREFIXES[source])] == PREFIXES[source]
            assert len(one.ids) <= 6


@settings(max_examples=5)
@given(key=KEYS)
def test_phrases_may_overlap(key: int) -> None:
    world = _world(key)
    phrases = [((2, 3), (3, 4), (3,))] * 5
    # So short that the beam keeps every output that has the phrases at all.
    found = world.find(Decoding(beam=200, n_best=20, max_length=3), constraints=phrases)
    for own in found:
        assert any(contains(one.ids, (2, 3, 4)) for one in own)


@pytest.mark.parametrize("name", ["beam", "coverage", "diverse", "long", "beam n-grams"])
def test_the_bound_changes_nothing_but_the_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = Decoding(**OPTIONS[name] | {"n_best": 1})
    worlds = [_world(key, end=0.5) for key in range(0, 200, 10)]
    steps = []
    step = Toy.step
    monkeypatch.setattr(Toy, "step", lambda self, ids: (steps.append(len(ids)), step(self, ids))[1])
    bounded = [world.find(options) for world in worlds]
    few = sum(steps)
    alive = torch.tensor(float("inf"), dtype=torch.float64)
    monkeypatch.setattr(
        Ranking, "bound", lambda self, totals, *rest: torch.where(totals.isinf(), totals, alive)
    )
    for world, found in zip(worlds, bounded, strict=True):
        for one, other in zip(found, world.find(options), strict=True):
            _same(one, other)
    assert few < sum(steps) - few


@pytest.mark.parametrize("beam", [1, 4])
def test_sources_that_are_done_leave(beam: int) -> None:
    world = World(keys=tuple(range(40)), lengths=(8,) * 40, scale=3.0)
    options = Decoding(beam=beam)
    toys = []
    toy = World.toy

    def remembered(self: World, only: int | None = None) -> Any:
        toys.append(toy(self, only))
        return toys[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(World, "toy", remembered)
        found = world.find(options)
    rows = toys[0].rows_read[1:]
    assert rows == sorted(rows, reverse=True)
    assert rows[-1] < rows[0] / 2
    if beam == 1:
        assert len(toys[0].rows_read) == max(len(one.ids) for (one,) in found) + 1


@pytest.mark.parametrize("name", ["greedy", "beam", "diverse", "sample"])
def test_a_search_that_nobody_waits_for_ends_before_its_next_step(name: str) -> None:
    world, options, asked = _world(1), Decoding(min_length=5, **OPTIONS[name]), iter([True, False])
    with pytest.raises(GivenUpError), while_wanted(lambda: next(asked)):
        world.find(options)
    assert next(asked, None) is None
    assert len(world.find(options)) == 5
