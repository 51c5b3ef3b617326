"""Minimum Bayes risk: of several outputs the one that is expected to be most like a good one.

The most probable output may be an odd one out. What stands in for the unknown reference is the
hypotheses themselves, each as probable as the model says (Kumar and Byrne 2004; Eikema and Aziz
2020, arXiv:2005.10283). It optimizes the figure that the utility is: report it as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Utility: TypeAlias = Callable[[Sequence[str], Sequence[str]], Floats]
"""(C candidates, R references) to float [C, R], how good each is against each; 1 is perfect."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """place: of a text, among the candidates and then the extra ones. expected: its utility."""

    place: int
    expected: float


def choose(
    candidates: Sequence[str],
    log_probabilities: Sequence[float],
    utility: Utility,
    *,
    temperature: float = 1.0,
    extra: Sequence[tuple[str, float]] = (),
) -> list[Choice]:
    """The distinct texts by expected utility, best first; of equals, that which comes first.

        E(c) = sum over r of w(r) u(c, r) / sum over r of w(r)

    c and r go over candidates and extra texts. A candidate weighs exp(log p / temperature), scaled
    so that all of them weigh 1.

    Args:
        candidates: at least one; where a text stands twice, its weights add up.
        log_probabilities: in nats, of each.
        temperature: over 1, improbable candidates count for more.
        extra: texts from elsewhere with their weights, which choose and can be chosen, too.
    """
    logs = np.asarray(log_probabilities, dtype=np.float64) / temperature
    own = np.exp(logs - logs.max())
    weights = [*(own / own.sum()), *(weight for _, weight in extra)]
    places: dict[str, int] = {}
    totals: list[float] = []
    firsts: list[int] = []
    texts = (*candidates, *(text for text, _ in extra))
    for place, (text, weight) in enumerate(zip(texts, weights, strict=True)):
        number = places.setdefault(text, len(places))
        if number == len(totals):
            totals.append(0.0)
            firsts.append(place)
        totals[number] += weight
    distinct = list(places)
    expected = utility(distinct, distinct) @ np.array(totals) / sum(totals)
    # Sums of the same numbers in another order differ in their last bits.
    order = np.argsort(-expected.round(12), kind="stable")
    return [Choice(place=firsts[n], expected=float(expected[n])) for n in order]
