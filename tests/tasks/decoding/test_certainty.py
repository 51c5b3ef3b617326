"""What a search calls certain stays, whatever the model says later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.tasks.decoding import Certain, Decoding, Found, StepScores, searching
from tests.tasks.decoding.toy import BOS, EOS, Toy

KEYS = st.integers(0, 2**20)
OPTIONS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "beam": {"beam": 4},
    "several": {"beam": 4, "n_best": 3, "coverage_penalty": 0.4},
    "diverse": {"beam": 6, "n_best": 2, "diverse_groups": 3},
    "n-grams": {"beam": 3, "no_repeat_ngram": 2},
    "draw": {"sample": True},
    "draws": {"sample": True, "n_best": 3},
}
LENGTHS = (3, 1, 4)


class Changing(Toy):
    """A toy whose answers are others from a step on."""

    def __init__(self, key: int, turn: int | None = None, salt: int = 0) -> None:
        super().__init__([key, key + 1, key + 2], LENGTHS, size=7, scale=4.0)
        self.turn, self.salt, self.time = turn, salt, 0

    def step(self, ids: Tensor) -> StepScores:
        if self.time == self.turn:
            self.states = self.states + 7_919 * (self.salt + 1)
        self.time += 1
        return super().step(ids)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a search said after each step, and in the end."""

    steps: list[list[Certain]]
    found: list[list[Found]]

    def known(self, source: int, steps: int | None = None) -> tuple[int, ...]:
        """All that is certain of a source after so many steps."""
        said = (each for step in self.steps[:steps] for each in step if each.source == source)
        return tuple(token for each in said for token in each.ids)


def watch(toy: Changing, options: Decoding, **given: Any) -> Watched:
    """Go all steps."""
    going = searching(
        toy, options, bos=BOS, eos=EOS, source_lengths=torch.tensor(LENGTHS), forbidden=(BOS,),
        want_weights=True, watched=True, **given,
    )  # fmt: skip
    steps = []
    while True:
        try:
            steps.append(next(going))
        except StopIteration as stop:
            return Watched(steps=steps, found=stop.value)


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=6)
@given(key=KEYS)
def test_all_becomes_certain_and_is_the_best_output(name: str, key: int) -> None:
    options = Decoding(**OPTIONS[name])
    watched = watch(Changing(key), options)
    for source, found in enumerate(watched.found):
        assert watched.known(source) == found[0].ids
        said = [each for step in watched.steps for each in step if each.source == source]
        assert [each.last for each in said] == [False] * (len(said) - 1) + [True]
        rows = [each.weights for each in said if each.weights is not None]
        assert found[0].weights is not None
        width = LENGTHS[source]
        if rows:
            own = np.concatenate(rows)[:, :width]
            np.testing.assert_array_equal(own, found[0].weights[: len(found[0].ids)])


@pytest.mark.parametrize("name", OPTIONS)
@settings(max_examples=4)
@given(key=KEYS, turn=st.integers(1, 8))
def test_what_is_certain_depends_on_no_later_step(name: str, key: int, turn: int) -> None:
    options = Decoding(**OPTIONS[name])
    before = watch(Changing(key), options)
    for salt in range(6):
        after = watch(Changing(key, turn, salt), options)
        for source, found in enumerate(after.found):
            known = before.known(source, turn)
            assert found[0].ids[: len(known)] == known


def test_a_greedy_search_is_certain_of_each_token_at_once() -> None:
    watched = watch(Changing(5), Decoding())
    for source, found in enumerate(watched.found):
        sizes = [len(watched.known(source, steps)) for steps in range(len(found[0].ids) + 1)]
        assert sizes == list(range(len(found[0].ids) + 1))


def test_a_beam_is_certain_of_some_tokens_before_its_end() -> None:
    early = 0
    for key in range(20):
        watched = watch(Changing(key), Decoding(beam=3, length_penalty=0.0))
        early += sum(bool(watched.known(source, -3)) for source in range(3))
    assert early > 10


def test_a_prefix_is_certain_and_phrases_are_no_hindrance() -> None:
    given: dict[str, Any] = {
        "prefixes": [(3, 4), (), (5,)],
        "constraints": [[(2, 3)], [], [(4,), (6, 6)]],
    }
    watched = watch(Changing(9), Decoding(beam=4), **given)
    assert watched.known(0, 2) == (3, 4)
    assert [watched.known(source) for source in range(3)] == [one[0].ids for one in watched.found]


def test_where_any_output_may_be_chosen_all_of_them_share_what_is_certain() -> None:
    options = Decoding(beam=4, n_best=4, mbr=True)
    shared = 0
    for key in range(20):
        watched = watch(Changing(key), options)
        for source, found in enumerate(watched.found):
            known = watched.known(source)
            shared += bool(known)
            assert all(one.ids[: len(known)] == known for one in found)
    assert shared


def test_nothing_is_yielded_unless_it_is_asked_for() -> None:
    going = searching(
        Changing(1), Decoding(beam=2), bos=BOS, eos=EOS, source_lengths=torch.tensor(LENGTHS)
    )
    with pytest.raises(StopIteration) as stop:
        next(going)
    assert len(stop.value.value) == 3


def test_gradients_are_off_between_steps_only_inside() -> None:
    going = searching(
        Changing(1), Decoding(), bos=BOS, eos=EOS, source_lengths=torch.tensor(LENGTHS),
        watched=True,
    )  # fmt: skip
    next(going)
    assert torch.is_grad_enabled()
    going.close()
    with pytest.raises(StopIteration):
        next(going)
