"""The figures as a Markdown page, as JSON, and as a plot."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from recurrence.cases import Row
from recurrence.compiling import Cost
from recurrence.targets import Verdict

TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10)
Key = TypeVar("Key", bound=tuple[object, ...])


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was measured, and the machine."""

    machine: Mapping[str, str]
    rows: Sequence[Row]
    costs: Sequence[Cost]
    verdicts: Sequence[Verdict] | None

    def json(self) -> str:
        """Everything, quartiles, both clocks and rounds included."""
        whole = {
            "machine": dict(self.machine),
            "rows": [asdict(row) for row in self.rows],
            "costs": [asdict(cost) for cost in self.costs],
        }
        return json.dumps(whole, indent=1) + "\n"

    def markdown(self) -> str:
        """A table for each case, mode and number of threads."""
        told = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        parts = [
            f"Median time relative to torch's module, and its quartiles; smaller is faster; bold "
            f"where `auto` picks the engine. Machine: {told}.\n"
        ]
        for key, rows in _grouped(self.rows, lambda row: (row.case, row.mode, row.threads)).items():
            parts.append(_table(*key, rows))
        if self.costs:
            lines = [f"| {cost.what} | {cost.value:.3g} {cost.unit} |" for cost in self.costs]
            parts.append("\n".join(["| a new cell | |", "|---|---|", *lines]) + "\n")
        if self.verdicts is not None:
            parts.append(_verdicts(self.verdicts))
        return "\n".join(parts)

    def plot(self, path: Path) -> None:
        """The ratios of one thread as dots, a panel for each size, in the format of the ending."""
        from matplotlib.figure import Figure

        rows = [row for row in self.rows if row.case == "cells" and row.threads == 1]
        rows.sort(key=lambda row: row.mode, reverse=True)  # training first; sorting is stable
        panels = _grouped(rows, lambda row: (row.mode, row.size))
        names = list(dict.fromkeys(row.cell for row in rows))
        engines = list(dict.fromkeys(row.engine for row in rows))
        columns = min(3, len(panels)) or 1
        lines = -(-len(panels) // columns) or 1
        figure = Figure(
            figsize=(4 * columns, (1 + 0.22 * len(names)) * lines), layout="constrained"
        )
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flatten()
        for place in axes[len(panels) :]:
            place.set_axis_off()
        for place, ((mode, size), group) in zip(axes, panels.items(), strict=False):
            place.axvline(1, color="0.6", linewidth=1)
            for engine in engines:
                own = [row for row in group if row.engine == engine]
                ratios = [row.figures.ratio.median for row in own]
                heights = [names.index(row.cell) for row in own]
                place.plot(ratios, heights, "o", label=engine, markersize=4)
            place.set(title=f"{mode}, {size}", xscale="log")
        # All panels share both axes.
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        axes[0].set_xticks(TICKS, map(str, TICKS), minor=False)
        axes[0].set_xticks([], minor=True)
        axes[0].legend(fontsize="small")
        figure.supxlabel("time relative to torch's module")
        figure.savefig(path)


def _grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


TITLES = {
    "cells": "one layer",
    "stacked": "two layers in both directions",
    "ragged": "ragged batches, the peer padded",
    "packed": "ragged batches, the peer packed",
}


def _table(case: str, mode: str, threads: int, rows: Sequence[Row]) -> str:
    """A line for each cell and engine, a column for each size; the peers' milliseconds first."""
    sizes = list(dict.fromkeys(row.size for row in rows))
    measure = "CPU time" if rows[0].figures.measure == "cpu" else "wall time"
    count = "one thread" if threads == 1 else f"{threads} threads"
    lines = [
        f"### {mode.capitalize()}, {TITLES[case]}, {count} ({measure})\n",
        f"| cell | engine | relative to | {' | '.join(sizes)} |",
        "|---|---|---" + "|---" * len(sizes) + "|",
    ]
    for (peer,), group in _grouped(rows, lambda row: (row.peer,)).items():
        by_size = _grouped(group, lambda row: (row.size,))
        spent = [_milliseconds(by_size[size,]) if (size,) in by_size else "" for size in sizes]
        lines.append(f"| {peer} | | | {' | '.join(spent)} |")
    cells = list(dict.fromkeys(row.cell for row in rows))
    # What `auto` picks may be another engine at another size; a cell's lines stand together.
    rows = sorted(rows, key=lambda row: cells.index(row.cell))
    for (cell, engine, peer), group in _grouped(
        rows, lambda row: (row.cell, row.engine, row.peer)
    ).items():
        told = {row.size: _marked(row) for row in group}
        ratios = " | ".join(told.get(size, "") for size in sizes)
        lines.append(f"| {cell} | {engine} | {peer} | {ratios} |")
    return "\n".join(lines) + "\n"


def _milliseconds(rows: Sequence[Row]) -> str:
    """Of the peer of these rows."""
    spent = statistics.median(row.figures.ms[1] for row in rows)
    return f"{spent:.3g} ms" if spent < 100 else f"{spent:.0f} ms"


def _marked(row: Row) -> str:
    """The ratio and its quartiles, bold where `auto` picks that engine."""
    ratio = row.figures.ratio
    median = f"**{ratio.median:.2f}**" if row.auto else f"{ratio.median:.2f}"
    return f"{median} ({ratio.low:.2f} to {ratio.high:.2f})"


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    lines = ["### Targets\n", "| what | where | at most | found | |", "|---|---|---|---|---|"]
    for verdict in verdicts:
        found = f"{verdict.found:.3f}" if verdict.found < 10 else f"{verdict.found:.0f}"
        cells = [
            verdict.target.what, verdict.where, f"{verdict.target.at_most:g}", found,
            "met" if verdict.met else "not met",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
