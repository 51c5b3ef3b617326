"""What the engines are to reach, and whether they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recurrence.cases import Row
from recurrence.compiling import Cost
from recurrence.contenders import PEEPHOLE


@dataclass(frozen=True, kw_only=True)
class Target:
    """The most that what `auto` picks may take, relative to the peer.

    cells, sizes (begins of names, empty for all), mode ("" for both), threads and case: which rows
    it speaks of. cost: instead of all those, a figure of compilation.
    """

    what: str
    at_most: float
    cells: Sequence[str] = ()
    sizes: Sequence[str] = ()
    mode: str = "training"
    threads: int = 1
    case: str = "cells"
    cost: str = ""

    def speaks_of(self, row: Row) -> bool:
        """Whether the row is held to this target."""
        return (
            not self.cost
            and row.auto
            and (row.case, row.threads) == (self.case, self.threads)
            and row.cell in self.cells
            and self.mode in ("", row.mode)
            and (not self.sizes or any(row.size.startswith(f"{size} ") for size in self.sizes))
        )


SHORT, WIDE, LONG = ("T25", "T50"), ("T100",), ("T400",)

TARGETS = (
    Target(what="peephole LSTM of ten lines, T <= 50", cells=[PEEPHOLE], sizes=SHORT, at_most=1.05),
    Target(what="peephole LSTM of ten lines, T = 400", cells=[PEEPHOLE], sizes=LONG, at_most=0.88),
    Target(what="layer-norm LSTM", cells=["layer_norm_lstm"], at_most=1.20),
    Target(what="GRU, T <= 50", cells=["gru"], sizes=SHORT, at_most=0.78),
    Target(what="GRU, T = 100", cells=["gru"], sizes=WIDE, at_most=0.65),
    Target(what="GRU, T = 400", cells=["gru"], sizes=LONG, at_most=0.36),
    Target(what="RNN, T <= 50", cells=["rnn"], sizes=SHORT, at_most=0.85),
    Target(what="RNN, T = 400", cells=["rnn"], sizes=LONG, at_most=0.42),
    Target(what="LSTM", cells=["lstm"], mode="", at_most=1.02),
    Target(what="two layers, both directions", cells=[PEEPHOLE], case="stacked", at_most=0.95),
    Target(what="ragged, over padded", cells=[PEEPHOLE], case="ragged", at_most=0.90),
    Target(what="ragged, over packed", cells=[PEEPHOLE], case="packed", at_most=0.60),
    Target(what="two threads, T <= 50", cells=[PEEPHOLE], sizes=SHORT, threads=2, at_most=1.05),
    Target(
        what="two threads, T >= 100", cells=[PEEPHOLE], sizes=("T100", "T400", "T2000"), threads=2,
        at_most=0.95,
    ),
    Target(what="minGRU and minLSTM", cells=["min_gru", "min_lstm"], at_most=0.36),
    Target(
        what="LSTM, one row", cells=["lstm"], sizes=("T30",), mode="inference", at_most=0.80
    ),
    Target(what="GRU, one row", cells=["gru"], sizes=("T30",), mode="inference", at_most=0.70),
    Target(what="compile, first time, s", cost="compile, first time", at_most=4),
    Target(what="compile, from the cache, ms", cost="compile, from the cache", at_most=50),
    Target(what="recompiles over lengths and batch sizes", cost="recompiles", at_most=0),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target beside a figure. where: what the row adds to the target."""

    target: Target
    where: str
    found: float

    @property
    def met(self) -> bool:
        """Whether the figure is within the target."""
        return self.found <= self.target.at_most


def check(rows: Sequence[Row], costs: Sequence[Cost]) -> list[Verdict]:
    """A verdict for each row or cost that a target speaks of, in the order of the targets."""
    verdicts = []
    for target in TARGETS:
        for row in rows:
            if target.speaks_of(row):
                where = f"{row.cell} by {row.engine}, {row.mode}, {row.size}"
                found = row.figures.ratio.median
                verdicts.append(Verdict(target=target, where=where, found=found))
        for cost in costs:
            if cost.what == target.cost:
                verdicts.append(Verdict(target=target, where="", found=cost.value))
    return verdicts
