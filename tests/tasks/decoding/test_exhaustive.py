"""Beam search against all outputs that there are, ranked by formulas of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.tasks.decoding import Decoding, Found
from tests.tasks.decoding.toy import World, contains, repeats

WIDE = 400  # more than there are outputs of up to 5 of 3 tokens
KEYS = st.integers(0, 2**20)


def _check(
    world: World,
    found: Sequence[Sequence[Found]],
    options: Decoding,
    allowed: Callable[[int, tuple[int, ...]], bool] = lambda source, ids: True,
    limits: Sequence[int] | None = None,
) -> None:
    """What was found is the best of all outputs that are allowed."""
    for source, own in enumerate(found):
        limit = limits[source] if limits else world.limit(source, options)
        every = world.everything(source, limit, options).items()
        scored = sorted(((mark, ids) for ids, mark in every if allowed(source, ids)), reverse=True)
        best = scored[: options.n_best]
        assert [one.ids for one in own] == [ids for _, ids in best]
        assert [one.score for one in own] == pytest.approx([score for score, _ in best], rel=1e-9)


@settings(max_examples=15)
@given(
    key=KEYS,
    alpha=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    beta=st.sampled_from([0.0, 0.4]),
    least=st.integers(0, 2),
)
def test_a_wide_beam_finds_the_best_of_all(key: int, alpha: float, beta: float, least: int) -> None:
    world = World(keys=(key, key + 1, key + 2), lengths=(2, 1, 3), size=5, end=-1.0)
    options = Decoding(
        beam=WIDE, n_best=7, length_penalty=alpha, coverage_penalty=beta,
        min_length=least, max_ratio=1, max_extra=1,
    )  # fmt: skip
    found = world.find(options)
    _check(world, found, options, lambda source, ids: len(ids) >= least)


@settings(max_examples=8)
@given(key=KEYS, size=st.integers(1, 2))
def test_n_grams_do_not_repeat(key: int, size: int) -> None:
    world = World(keys=(key, key + 1), lengths=(1, 2), size=5, end=-2.0)
    options = Decoding(beam=WIDE, n_best=5, no_repeat_ngram=size, max_ratio=2, max_extra=0)
    found = world.find(options)
    _check(world, found, options, lambda source, ids: not repeats(ids, size))


@settings(max_examples=8)
@given(key=KEYS)
def test_prefixes_are_kept(key: int) -> None:
    world = World(keys=(key, key + 1, key + 2), lengths=(2, 2, 2), size=5)
    prefixes = ((), (3,), (2, 4, 2))
    options = Decoding(beam=WIDE, n_best=4, max_ratio=1, max_extra=2, coverage_penalty=0.2)
    found = world.find(options, prefixes=prefixes)
    _check(
        world, found, options, lambda source, ids: ids[: len(prefixes[source])] == prefixes[source]
    )


@settings(max_examples=8)
@given(key=KEYS)
def test_phrases_occur(key: int) -> None:
    world = World(keys=(key, key + 1, key + 2, key + 3), lengths=(4, 4, 4, 4), size=5)
    phrases = (((2, 3),), (), ((3,), (2, 4)), ((3,), (4, 2, 2), (2, 2), (4, 2, 2)))
    options = Decoding(beam=WIDE, n_best=4, max_ratio=1, max_extra=0)
    found = world.find(options, constraints=phrases)

    def allowed(source: int, ids: tuple[int, ...]) -> bool:
        return all(contains(ids, phrase) for phrase in phrases[source])

    limits = [4, 4, 4, 4]
    _check(world, found, options, allowed, limits)
