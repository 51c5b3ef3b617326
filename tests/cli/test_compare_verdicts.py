"""What the last lines of `seqnlp compare` say."""

from __future__ import annotations

from typing import Any, cast

import pytest

from seqnlp.cli.compare_tables import Outcome, _limits, _summary, _verdicts
from seqnlp.comparison.differences import Difference
from seqnlp.comparison.runs import System
from tests.comparison.runs import made_up
from tests.comparison.test_differences import Coin


def outcome(*pairs: Difference) -> Outcome:
    runs = tuple(made_up("a", f"seed={n}") for n in range(len(pairs[0].seeds)))
    return Outcome(
        corpus="toy", split="test", systems=[System(name="a", runs=runs)], measured={},
        differences=pairs, figure="accuracy", task=cast(Any, Coin()),
    )  # fmt: skip


def pair(second: str, low: float, high: float, p: float, seeds: int, **about: Any) -> Difference:
    change = {"value": (low + high) / 2, "low": low, "high": high}
    figure = {"difference": change, "p_value": p, "p_holm": p, **about}
    paired = tuple((n, n) for n in range(seeds))
    return Difference(first="a", second=second, seeds=paired, figures={"macro_f1": figure})


def test_systems_are_sorted_by_what_was_found() -> None:
    pairs = [pair("b", 0.1, 0.2, 0.01, 8), pair("c", -0.2, -0.1, 0.01, 8),
             pair("d", -0.1, 0.2, 0.5, 8), pair("e", 0.01, 0.2, 0.06, 8)]  # fmt: skip
    assert list(_summary(outcome(*pairs))) == [
        "macro-F1 at p < 0.05, against a: better: b; may be chance: d, e; worse: c"
    ]
    assert list(_limits(outcome(*pairs))) == []


def test_errors_are_better_when_lower() -> None:
    about = {"better": "lower", "name": "WER"}
    pairs = pair("b", 0.1, 0.2, 0.01, 1, **about), pair("c", -0.2, -0.1, 0.01, 1, **about)
    assert list(_summary(outcome(*pairs))) == ["WER at p < 0.05, against a: better: c; worse: b"]


@pytest.mark.parametrize(("others", "needed"), [(1, 6), (3, 7)])
def test_few_seeds_cannot_tell_what_their_interval_shows(others: int, needed: int) -> None:
    pairs = [pair("b", 0.1, 0.2, 0.25, 3), pair("c", -0.2, -0.1, 0.25, 3),
             pair("d", -0.1, 0.2, 0.5, 3)][:others]  # fmt: skip
    (line,) = _summary(outcome(*pairs))
    told = ["better by the interval alone: b", "may be chance: d", "worse by the interval alone: c"]
    assert line.endswith("; ".join(told) if others > 1 else told[0])
    assert list(_limits(outcome(*pairs))) == [
        "3 seeds give no p below 0.25: to tell differences at p < 0.05 from chance, take --seeds "
        f"{needed}"
    ]


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (0.0499, "b is better; p < 0.05"),
        (0.0501, "the difference may be chance; p = 0.050"),
        (0.549, "the difference may be chance; p = 0.55"),
    ],
)
def test_no_p_is_rounded_to_the_level(p: float, told: str) -> None:
    assert list(_verdicts(pair("b", 0.1, 0.2, p, 1))) == [f"macro-F1: {told}"]
