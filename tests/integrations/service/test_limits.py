"""Values of limits, and how often a client may ask."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.integrations.service.limits import Limits, Rates


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_body": 0}, "max_body: must be at least 1, not 0"),
        ({"batch_size": -3}, "batch_size: must be at least 1, not -3"),
        ({"timeout": 0.0}, "timeout: must be over 0, not 0.0"),
        ({"timeout": float("nan")}, "timeout: must be over 0, not nan"),
        ({"max_wait": -0.1}, "max_wait: must be at least 0, not -0.1"),
        ({"max_wait": float("inf")}, "max_wait: must be at least 0, not inf"),
        ({"rate": 0.0}, "rate: must be over 0, not 0.0"),
        (
            {"max_texts": 9, "max_queue": 8},
            "max_texts: a request of 9 texts would never find room in a queue of max_queue = 8",
        ),
    ],
)
def test_a_value_that_nothing_could_work_with_is_refused(
    limits: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        Limits(**limits)
    assert str(caught.value) == message


def test_a_client_may_ask_for_two_seconds_at_once_and_then_at_its_rate() -> None:
    now = 0.0
    rates = Rates(2.0, clock=lambda: now)
    assert [rates.wait("a") for _ in range(5)] == [0, 0, 0, 0, 0.5]
    assert rates.wait("b") == 0
    now = 0.25
    assert rates.wait("a") == pytest.approx(0.25)
    now = 0.5
    assert rates.wait("a") == 0


@given(st.floats(0.1, 50), st.lists(st.floats(0, 3), max_size=20))
def test_no_client_gets_more_than_its_rate(rate: float, pauses: list[float]) -> None:
    now = 0.0
    rates = Rates(rate, clock=lambda: now)
    allowed = 0
    for pause in pauses:
        now += pause
        wait = rates.wait("a")
        allowed += wait == 0
        if wait:
            # And who waits as long as it is told is let in.
            now += wait + 1e-9
            assert rates.wait("a") == 0
            allowed += 1
    assert allowed <= max(1.0, 2 * rate) + now * rate + 1e-6


def test_of_clients_without_number_the_latest_are_remembered() -> None:
    rates = Rates(1.0, clock=lambda: 0.0)
    assert [rates.wait("first") for _ in range(3)][-1] == 1
    for number in range(10_001):
        rates.wait(str(number))
    assert rates.wait("first") == 0
