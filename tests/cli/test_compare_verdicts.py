"""What the last lines of `seqnlp compare` say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from seqnlp.cli.compare_tables import Outcome
from seqnlp.cli.compare_verdicts import limits, summary, verdicts
from seqnlp.comparison.differences import Difference
from seqnlp.comparison.runs import System
from tests.comparison.runs import made_up
from tests.comparison.test_differences import Coin


def outcome(*pairs: Difference) -> Outcome:
    runs = tuple(made_up("a", f"seed={n}") for n in range(len(pairs[0].seeds)))
    systems = [System(name=name, runs=runs) for name in ("a", *(pair.second for pair in pairs))]
    return Outcome(
        corpus="toy", split="test", systems=systems, measured={}, differences=pairs, figure="accuracy", task=cast(Any, Coin()),
    )  # fmt: skip


def pair(second: str, low: float, high: float, p: float, seeds: int, **about: Any) -> Difference:
    change = {"value": (low + high) / 2, "low": low, "high": high}
    figure = {"difference": change, "p_value": p, "p_holm": p, **about}
    paired = tuple((n, n) for n in range(seeds))
    return Difference(first="a", second=second, seeds=paired, figures={"macro_f1": figure})


def test_systems_are_sorted_by_what_was_found() -> None:
    pairs = [pair("b", 0.1, 0.2, 0.01, 8), pair("c", -0.2, -0.1, 0.01, 8),
             pair("d", -0.1, 0.2, 0.5, 8), pair("e", 0.01, 0.2, 0.06, 8)]  # fmt: skip
    assert list(summary(outcome(*pairs))) == [
        "macro-F1 at p < 0.05, against a: better: b; may be chance: d, e; worse: c"
    ]
    assert list(limits(outcome(*pairs))) == []


def test_errors_are_better_when_lower() -> None:
    about = {"better": "lower", "name": "WER"}
    pairs = pair("b", 0.1, 0.2, 0.01, 1, **about), pair("c", -0.2, -0.1, 0.01, 1, **about)
    assert list(summary(outcome(*pairs))) == ["WER at p < 0.05, against a: better: c; worse: b"]


@pytest.mark.parametrize(("others", "needed"), [(1, 6), (3, 7)])
def test_few_seeds_cannot_tell_what_their_interval_shows(others: int, needed: int) -> None:
    pairs = [pair("b", 0.1, 0.2, 0.25, 3), pair("c", -0.2, -0.1, 0.25, 3),
             pair("d", -0.1, 0.2, 0.5, 3)][:others]  # fmt: skip
    (line,) = summary(outcome(*pairs))
    told = ["better by the interval alone: b", "may be chance: d", "worse by the interval alone: c"]
    assert line.endswith("; ".join(told) if others > 1 else told[0])
    assert list(limits(outcome(*pairs))) == [
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
    assert list(verdicts(pair("b", 0.1, 0.2, p, 1))) == [f"macro-F1: {told}"]


def test_seeds_that_one_has_alone_are_told() -> None:
    found = pair("b", -0.1, 0.2, 0.5, 7)
    fewer = replace(outcome(found), differences=[replace(found, seeds=((0, 0), (2, 2)))])
    assert list(limits(fewer))[1:] == [
        "a and b are compared by the seeds 0, 2 alone, which both have; --seeds trains more"
    ]
    other = replace(found, seeds=tuple((n, n + 7) for n in range(7)))
    assert list(limits(replace(fewer, differences=[other]))) == [
        "a and b have no seed in common: their runs are compared in order"
    ]
