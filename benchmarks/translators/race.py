"""Contenders that take turns, and the ratios of what they are measured by."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recurrence.timing import describe_machine

from translators.protocol import Contender

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A figure of one contender over that of another, and what it should be."""

    what: str
    value: float
    most: float | None = None
    least: float | None = None
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether it is as asked."""
        low = self.least is None or self.value >= self.least
        return low and (self.most is None or self.value <= self.most)

    def row(self) -> str:
        """A line of a Markdown table."""
        asked = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return f"| {self.what} | {self.value:.2f} | {asked} | {self.detail} |"


class Bench:
    """Starts contenders and lets them take turns.

    Args:
        scratch: for their files and logs.
        steps: of training a turn.
        rounds: turns of each, after one to warm up.
    """

    def __init__(self, scratch: Path, *, steps: int, rounds: int) -> None:
        self.scratch, self.steps, self.rounds = scratch, steps, rounds
        self._started: list[Contender] = []

    def start(self, name: str, command: Sequence[str], threads: int) -> Contender:
        """A contender on as many cores as threads, where the system can bind it to them."""
        cores = ["taskset", "-c", ",".join(map(str, range(threads)))] if threads == 1 else []
        environment = {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "PYTHONPATH": str(HERE.parent),
        }
        log = self.scratch / f"{name.replace(' ', '-')}.log"
        contender = Contender(name, [*cores, *command], environment, log)
        self._started.append(contender)
        return contender

    def seqnlp(
        self,
        name: str,
        overrides: Sequence[str],
        *,
        recipe: Path | None = None,
        threads: int = 1,
        unknown: float | None = None,
    ) -> Contender:
        """A seqnlp task on settings of its own; `unknown` as of `peer_seqnlp.Seqnlp`."""
        given = {
            "recipe": None if recipe is None else str(recipe),
            "overrides": list(overrides),
            "threads": threads,
            "unknown": unknown,
        }
        script = str(HERE / "peer_seqnlp.py")
        return self.start(name, [sys.executable, script, json.dumps(given)], threads)

    def race(
        self, contenders: Sequence[Contender], *, wall: bool = False, unit: str = "tokens"
    ) -> list[list[float]]:
        """Target tokens (or steps) a second of each contender in each round, the first left out."""
        speeds: list[list[float]] = [[] for _ in contenders]
        for turn in range(self.rounds + 1):
            for found, contender in zip(speeds, contenders, strict=True):
                answer = contender.ask("train", steps=self.steps)
                if turn:
                    found.append(answer[unit] / answer["wall" if wall else "cpu"])
        return speeds

    def close(self) -> None:
        """End all contenders."""
        for contender in self._started:
            contender.close()
        self._started.clear()


def compare(
    what: str,
    one: Sequence[float],
    other: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
    unit: str = "",
) -> Ratio:
    """The median of ratios within rounds."""
    ratios = [first / second for first, second in zip(one, other, strict=True)]
    medians = statistics.median(one), statistics.median(other)
    return Ratio(
        what=what,
        value=statistics.median(ratios),
        least=least,
        most=most,
        detail=f"{', '.join(map(_number, medians))} {unit}".rstrip() + " a second",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def find_corpus(name: str) -> Path:
    """The folder of a corpus on SEQNLP_DATA.

    Raises:
        SystemExit: it is not there.
    """
    for root in os.environ.get("SEQNLP_DATA", "").split(os.pathsep):
        if root and (Path(root) / name).is_dir():
            return Path(root) / name
    raise SystemExit(f"SEQNLP_DATA names no folder with {name}")


def table_of(ratios: Sequence[Ratio]) -> str:
    """A Markdown table under a line on the machine."""
    head = ["| what | ratio | asked | detail |", "|---|---|---|---|"]
    machine = "; ".join(f"{name} {value}" for name, value in describe_machine().items())
    return "\n".join([machine, "", *head, *(ratio.row() for ratio in ratios)]) + "\n"
