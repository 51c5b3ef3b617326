"""Outputs of so many words at most, against all outputs that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.tasks.decoding import Decoding, WordMarks
from seqnlp.tasks.decoding.words import WordLimit
from tests.tasks.decoding.toy import EOS, World, contains

KEYS = st.integers(0, 2**20)
WIDE = 400
BEGINS, JOINS = (2, 3, 5), (4, 5)
"""2 and 3 are words, 4 is a hyphen, 5 an opening bracket, 6 the end of a word."""


def _marks(size: int, joins: Sequence[int] = JOINS) -> WordMarks:
    return WordMarks.of(
        [token in BEGINS for token in range(size)],
        [token in joins for token in range(size)],
        torch.device("cpu"),
    )


def _words(ids: Sequence[int]) -> int:
    """How many words a text of the tokens has, counted in the text."""
    written = {2: " two", 3: " three", 4: "-", 5: " (", 6: "s"}
    text = ""
    for token in ids:
        piece = written[token]
        text += piece.lstrip() if text[-1:] in ("-", "(") else piece
    return len(text.split())


@settings(max_examples=60)
@given(ids=st.lists(st.integers(2, 6), max_size=7))
def test_words_are_counted_as_in_a_text(ids: list[int]) -> None:
    limit = WordLimit.of(_marks(7), 3, [()], [()])
    words, last, source = torch.zeros(1, dtype=torch.long), torch.tensor([0]), torch.tensor([0])
    for place, token in enumerate(ids):
        new = torch.tensor([token])
        words = limit.count(words, last, new, source, first=place == 0)
        last = new
        assert words.item() == _words(ids[: place + 1])
        assert limit.full(words, last, source).item() == (words.item() >= 3 and token not in JOINS)
    assert WordLimit.of(_marks(7), 1, [ids], [[ids, ids]]).most.item() == max(1, 3 * _words(ids))


@settings(max_examples=10)
@given(key=KEYS, most=st.integers(1, 3), least=st.integers(0, 3))
def test_a_wide_beam_finds_the_best_of_few_words(key: int, most: int, least: int) -> None:
    world = World(keys=(key, key + 1), lengths=(1, 2), size=6, end=-1.0)
    options = Decoding(
        beam=WIDE, n_best=6, max_words=most, max_ratio=1, max_extra=2, min_length=least
    )
    found = world.find(options, words=_marks(6))
    for source, own in enumerate(found):
        every = world.everything(source, world.limit(source, options), options)

        def allowed(ids: tuple[int, ...]) -> bool:
            full = _words(ids) == most and ids[-1] not in JOINS
            return _words(ids) <= most and (len(ids) >= least or full)

        best = sorted(((mark, ids) for ids, mark in every.items() if allowed(ids)), reverse=True)
        assert [one.ids for one in own] == [ids for _, ids in best[: options.n_best]]
        assert [one.score for one in own] == pytest.approx([mark for mark, _ in best[:6]])


@settings(max_examples=15)
@given(key=KEYS, most=st.integers(1, 3), end=st.sampled_from([-3, 0, 1]))
def test_greedy_ends_where_it_would_begin_another_word(key: int, most: int, end: int) -> None:
    world = World(keys=tuple(range(key, key + 5)), lengths=(3, 1, 4, 2, 2), size=7, end=end)
    free = world.find(Decoding())
    found = world.find(Decoding(max_words=most), words=_marks(7))
    for source, ((one,), (whole,)) in enumerate(zip(found, free, strict=True)):
        ids = whole.ids
        while _words(ids) > most:
            ids = ids[:-1]
        # What would have ended in a joint ends by its limit.
        assert one.ids[: len(ids)] == ids
        if not ids or ids[-1] not in JOINS:
            assert one.ids == ids
        world.check(source, one, Decoding())


OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sample": {"sample": True, "n_best": 3, "temperature": 2.0},
    "beam": {"beam": 4, "n_best": 3},
    "diverse": {"beam": 6, "n_best": 4, "diverse_groups": 2},
    "long": {"beam": 3, "min_length": 5},
    "n-grams": {"beam": 3, "no_repeat_ngram": 2, "min_length": 3},
}
PREFIXES = ((), (3, 3), (), (4,), (2, 2, 2))
PHRASES = (((2, 3), (6,)), (), ((3, 4, 2),), (), ((2,), (5, 4, 3)))


@pytest.mark.parametrize("phrases", [False, True], ids=["free", "phrases"])
@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=5)
@given(key=KEYS, most=st.integers(1, 3), end=st.sampled_from([-2, 1]))
def test_no_output_has_more_words(name: str, phrases: bool, key: int, most: int, end: int) -> None:
    options = Decoding(max_words=most, **OPTIONS[name])
    if phrases and (options.sample or options.diverse_groups > 1):
        return
    world = World(keys=tuple(range(key, key + 5)), lengths=(3, 1, 4, 2, 2), size=7, end=end)
    extra: dict[str, Any] = {"prefixes": PREFIXES, "constraints": PHRASES if phrases else None}
    found = world.find(options, words=_marks(7), **extra)
    for source, own in enumerate(found):
        assert own
        needed = PHRASES[source] if phrases else ()
        forced = _words(PREFIXES[source]) + sum(map(_words, needed))
        (alone,) = world.find(options, only=source, words=_marks(7), **extra)
        assert [one.ids for one in own] == [one.ids for one in alone]
        for one in own:
            assert _words(one.ids) <= max(most, forced)
            assert all(contains(one.ids, phrase) for phrase in needed)
            assert one.ids[: len(PREFIXES[source])] == PREFIXES[source]
            world.check(source, one, options)


@settings(max_examples=8)
@given(key=KEYS)
def test_words_and_phrases_leave_the_best_that_has_both(key: int) -> None:
    world = World(keys=(key, key + 1), lengths=(4, 4), size=6)
    phrases = (((3, 4),), ((5,), (2, 3)))
    options = Decoding(beam=WIDE, n_best=3, max_ratio=1, max_extra=0, max_words=2)
    found = world.find(options, constraints=phrases, words=_marks(6, joins=()))
    for source, own in enumerate(found):
        most = (2, 3)[source]
        every = world.everything(source, 4, options)
        best = sorted(
            (
                (mark, ids)
                for ids, mark in every.items()
                if sum(token in BEGINS for token in ids[1:]) < most
                and all(contains(ids, each) for each in phrases[source])
            ),
            reverse=True,
        )
        assert [one.ids for one in own] == [ids for _, ids in best[:3]]


def test_tokens_of_a_source_s_own_have_marks_of_their_own() -> None:
    world = World(keys=(1, 2), lengths=(3, 3), size=6, end=-5.0)
    own = torch.tensor([[True], [False]])
    marks = _marks(5, joins=()).extended(own, torch.zeros_like(own))
    assert marks.begins.tolist() == [
        [False, False, True, True, False, True],
        [False, False, True, True, False, False],
    ]
    options = Decoding(max_words=1, beam=8, n_best=8)
    first, second = world.find(options, words=marks, prefixes=[(2,), (2,)])
    assert not any(5 in one.ids for one in first)
    assert any(5 in one.ids for one in second)


def test_a_limit_needs_to_know_the_words() -> None:
    world = World(keys=(1,), lengths=(2,))
    with pytest.raises(InputError, match="max_words needs to know which tokens begin a word"):
        world.find(Decoding(max_words=2))


@pytest.mark.parametrize("options", [{}, {"beam": 3, "n_best": 3}], ids=str)
def test_what_was_cut_says_how_it_would_go_on(options: dict[str, Any]) -> None:
    world = World(keys=tuple(range(30)), lengths=(2,) * 30, size=7, end=1.0)
    found = world.find(Decoding(max_length=3, **options))
    seen = set()
    for source, own in enumerate(found):
        for one in own:
            best = int(world.read(source, one.ids)[0][-1].argmax())
            cut = len(one.ids) == 3 and best != EOS
            seen.add(cut)
            assert one.cut == (best if cut else None)
    assert seen == {True, False}
