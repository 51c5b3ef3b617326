"""The last lines of `seqnlp compare`: what its tables mean, and what they cannot tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seqnlp.comparison.differences import Difference, compares
from seqnlp.comparison.statistics import pairs_needed, smallest_p
from seqnlp.tasks.metrics import heading

if TYPE_CHECKING:
    from seqnlp.cli.compare_tables import Outcome

LEVEL = 0.05
"""What is called significant."""


def verdicts(pair: Difference) -> Iterator[str]:
    """Of two runs: for each figure, whether one is better."""
    names = pair.first, pair.second
    for name, each in pair.figures.items():
        better = names[(each["difference"]["value"] > 0) != (each.get("better") == "lower")]
        if each["p_value"] < LEVEL:
            told = f"{better} is better; p < {LEVEL}"
        else:
            # Two digits would make 0.05 of what is above it.
            digits = 3 if each["p_value"] < 0.1 else 2
            told = f"the difference may be chance; p = {each['p_value']:.{digits}f}"
        yield f"{heading(name, each)}: {told}"


def summary(outcome: Outcome) -> Iterator[str]:
    """For each figure, which systems are better than the one that all are compared with."""
    pairs = outcome.differences
    names = dict.fromkeys(name for pair in pairs for name in pair.figures)
    for name in names:
        sides: dict[str, list[str]] = {}
        for pair in pairs:
            if name in pair.figures:
                side = _side(pair, pair.figures[name], LEVEL / len(pairs))
                sides.setdefault(side, []).append(pair.second)
        told = "; ".join(f"{side}: {', '.join(sides[side])}" for side in sorted(sides))
        title = heading(name, next(pair.figures[name] for pair in pairs if name in pair.figures))
        yield f"{title} at p < {LEVEL}, against {pairs[0].first}: {told}"


def _side(pair: Difference, figure: Mapping[str, Any], level: float) -> str:
    """On which side of the first the second stands; `level` is what the smallest p must pass."""
    change = figure["difference"]
    side = "better" if (change["value"] > 0) != (figure.get("better") == "lower") else "worse"
    p = figure.get("p_holm", figure["p_value"])
    if p is not None and p < LEVEL:
        return side
    # What no test of so few seeds can tell is no sign of chance.
    if _too_few(pair, level) and (change["low"] > 0 or change["high"] < 0):
        return f"{side} by the interval alone"
    return "may be chance"


def _too_few(pair: Difference, level: float) -> bool:
    return len(pair.seeds) > 1 and smallest_p(len(pair.seeds)) >= level


def limits(outcome: Outcome) -> Iterator[str]:
    """What the tests cannot tell."""
    if outcome.seeds == 1 and not compares(outcome.task):
        yield (
            f"the task {outcome.task.settings.task!r} has no test over examples: take several "
            "seeds, by --seeds"
        )
    level = LEVEL / len(outcome.differences)
    if few := [len(pair.seeds) for pair in outcome.differences if _too_few(pair, level)]:
        yield (
            f"{min(few)} seeds give no p below {smallest_p(min(few)):.3g}: to tell differences "
            f"at p < {LEVEL} from chance, take --seeds {pairs_needed(level)}"
        )
    if outcome.seeds > 1:
        runs = {system.name: len(system.runs) for system in outcome.systems}
        yield from (line for pair in outcome.differences if (line := _left_out(pair, runs)))


def _left_out(pair: Difference, runs: Mapping[str, int]) -> str:
    """A line about seeds that only one of two systems has; empty where there are none."""
    both = f"{pair.first} and {pair.second}"
    if any(one != other for one, other in pair.seeds):
        return f"{both} have no seed in common: their runs are compared in order"
    if len(pair.seeds) == runs[pair.first] == runs[pair.second]:
        return ""
    common = ", ".join(str(seed) for seed, _ in pair.seeds)
    word = "seed" if len(pair.seeds) == 1 else "seeds"
    return f"{both} are compared by the {word} {common} alone, which both have; --seeds trains more"
