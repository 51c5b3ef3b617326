"""The choice among hypotheses against all expected utilities, summed one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from seqnlp.tasks.decoding.mbr import choose


def likeness(a: str, b: str) -> float:
    """Of two sets of letters; not symmetric."""
    return len(set(a) & set(b)) / (len(set(a)) + 0.5 * len(set(b)) or 1)


def utility(candidates: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[likeness(c, r) for r in references] for c in candidates])


texts = st.text("abcd", max_size=3)
pairs = st.tuples(texts, st.floats(-30, 0, allow_subnormal=False))


@given(
    st.lists(pairs, min_size=1, max_size=6),
    st.floats(0.1, 5),
    st.lists(st.tuples(texts, st.floats(0, 3, allow_subnormal=False)), max_size=3),
)
def test_the_choice_is_that_of_the_plain_definition(
    own: list[tuple[str, float]], temperature: float, extra: list[tuple[str, float]]
) -> None:
    candidates, logs = zip(*own, strict=True)
    best = max(logs)
    weights = [math.exp((log - best) / temperature) for log in logs]
    evidence = [(t, w / sum(weights)) for t, w in zip(candidates, weights, strict=True)] + extra
    everything = [text for text, _ in evidence]
    expected = {
        text: sum(w * likeness(text, other) for other, w in evidence) / sum(w for _, w in evidence)
        for text in everything
    }
    found = choose(candidates, logs, utility, temperature=temperature, extra=extra)
    assert len(found) == len(expected)
    values = [choice.expected for choice in found]
    assert values == pytest.approx(sorted(expected.values(), reverse=True))
    for choice in found:
        text = everything[choice.place]
        assert choice.expected == pytest.approx(expected[text])
        assert choice.place == everything.index(text)


def test_the_odd_one_out_is_not_chosen_though_most_probable() -> None:
    logs = [math.log(share) for share in (0.4, 0.3, 0.3)]
    found = choose(["x", "ab", "abc"], logs, utility)
    assert [choice.place for choice in found] == [1, 2, 0]


def test_a_low_temperature_trusts_the_model() -> None:
    logs = [math.log(share) for share in (0.4, 0.3, 0.3)]
    found = choose(["x", "ab", "abc"], logs, utility, temperature=0.1)
    assert found[0].place == 0


def test_a_text_from_elsewhere_can_be_chosen() -> None:
    found = choose(["ab", "cd"], [0.0, -1.0], utility, extra=[("b", 0.2), ("abcd", 3.0)])
    assert found[0].place == 3


def test_equals_keep_the_order_of_the_model() -> None:
    found = choose(["a", "b", "a", "c"], [-5.0, -5.0, -50.0, -5.0], utility)
    assert [choice.place for choice in found] == [0, 1, 3]


def test_texts_without_anything_in_common() -> None:
    found = choose(["", ""], [-1.0, -2.0], utility)
    assert [(choice.place, choice.expected) for choice in found] == [(0, 0.0)]
