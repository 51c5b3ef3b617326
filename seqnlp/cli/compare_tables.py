"""What `seqnlp compare` shows: figures, costs and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from seqnlp.cli.compare_verdicts import limits, summary, verdicts
from seqnlp.cli.report import interval
from seqnlp.cli.tables import plain_table
from seqnlp.comparison.curves import band_of, curves_of
from seqnlp.comparison.differences import Difference, compares, figures_of_system
from seqnlp.comparison.measuring import Measured
from seqnlp.comparison.runs import Cost, System, cost_of
from seqnlp.plotting import sparkline
from seqnlp.tasks.base import Task
from seqnlp.tasks.metrics import digits_of, figures_of, heading, scale_of


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A whole comparison. figure: of validation, that epochs were chosen by."""

    corpus: str
    split: str
    systems: Sequence[System]
    measured: Mapping[str, Sequence[Measured]]
    differences: Sequence[Difference]
    figure: str
    task: Task

    @property
    def examples(self) -> int:
        """How many were answered."""
        return len(next(iter(self.measured.values()))[0].answers)

    @property
    def seeds(self) -> int:
        """The most seeds of a system."""
        return max(len(system.runs) for system in self.systems)


def record(outcome: Outcome) -> dict[str, Any]:
    """Everything as JSON values. `figures` are those of the only pair, where there is one."""
    made: dict[str, Any] = {
        "corpus": outcome.corpus,
        "split": outcome.split,
        "examples": outcome.examples,
        "systems": [_system(outcome, system) for system in outcome.systems],
        "differences": [asdict(each) for each in outcome.differences],
    }
    if len(outcome.differences) == 1:
        made["figures"] = outcome.differences[0].figures
    return made


def _system(outcome: Outcome, system: System) -> dict[str, Any]:
    measured = outcome.measured[system.name]
    curves = curves_of(system, outcome.figure)
    return {
        "name": system.name,
        "runs": [{"folder": str(run.folder), "seed": run.seed, **asdict(cost_of(run))}
                 for run in system.runs],
        "parameters": measured[0].parameters,
        **asdict(_usual_cost(system)),
        "figures": figures_of_system(measured),
        "curve": {"figure": outcome.figure, **(asdict(band_of(curves)) if curves else {})},
    }  # fmt: skip


def show(screen: Console, outcome: Outcome) -> None:
    """All tables, and a line for each figure that says what they mean."""
    pair = outcome.differences[0] if len(outcome.differences) == 1 else None
    if pair is not None and outcome.seeds == 1 and compares(outcome.task):
        screen.print(_pair(outcome, pair))
        for line in verdicts(pair):
            screen.print(line, markup=False, soft_wrap=True)
        _show_costs(screen, outcome)
        return
    screen.print(figures(outcome))
    _show_costs(screen, outcome)
    if outcome.differences:
        _show_differences(screen, outcome)
        for line in (*summary(outcome), *limits(outcome)):
            screen.print(line, markup=False, soft_wrap=True)


def _show_costs(screen: Console, outcome: Outcome) -> None:
    whole = costs(outcome)
    parts = [whole] if _fits(screen, whole) else [costs(outcome, course=False), _courses(outcome)]
    for table in parts:
        screen.print()
        screen.print(table)


def _show_differences(screen: Console, outcome: Outcome) -> None:
    whole = _differences(outcome, outcome.differences)
    apart = [_differences(outcome, [pair], named=False) for pair in outcome.differences]
    for table in [whole] if _fits(screen, whole) else apart:
        screen.print()
        screen.print(table)


def _fits(screen: Console, table: Table) -> bool:
    """Whether a screen is wide enough for a table with no name in it broken."""
    table.title, title = None, table.title
    width = screen.measure(table, options=screen.options.update(max_width=1000)).maximum
    table.title = title
    return width <= screen.width


def figures(outcome: Outcome) -> Table:
    """The figures of each system."""
    found = {system.name: figures_of_system(outcome.measured[system.name])
             for system in outcome.systems}  # fmt: skip
    several, single = outcome.seeds > 1, min(len(each.runs) for each in outcome.systems) == 1
    sources = [*(["over seeds"] if several else []), *(["over texts"] if single else [])]
    table = plain_table(f"{_where(outcome)}, 95 % intervals {' or '.join(sources)}")
    table.add_column("system", overflow="fold")
    if several:
        table.add_column("seeds", justify="right")
    shown = figures_of(list(found.values()))
    for name, figure in shown.items():
        table.add_column(heading(name, figure), justify="right", no_wrap=True)
    for system in outcome.systems:
        own = found[system.name]
        cells = [interval(own[name]) if name in own else "" for name in shown]
        table.add_row(system.name, *([str(len(system.runs))] if several else []), *cells)
    return table


def costs(outcome: Outcome, *, course: bool = True) -> Table:
    """What the training of each system took, of several seeds the median, and its course."""
    known = [_usual_cost(system) for system in outcome.systems]
    on_gpu = any(cost.peak_gpu_memory_mb is not None for cost in known)
    usual = " (median of seeds)" if outcome.seeds > 1 else ""
    table = plain_table(f"parameters, and what a training took{usual}")
    table.add_column("system", overflow="fold")
    for title in ("parameters", "epochs", "seconds", "examples/s", "peak MB"):
        table.add_column(title, justify="right", no_wrap=True)
    if on_gpu:
        table.add_column("peak GPU MB", justify="right", no_wrap=True)
    if course:
        table.add_column(f"{outcome.figure} on validation", no_wrap=True)
    for system, cost in zip(outcome.systems, known, strict=True):
        table.add_row(
            system.name,
            f"{outcome.measured[system.name][0].parameters:,}",
            f"{cost.epochs:g}",
            _number(cost.seconds, ".1f"),
            _number(cost.examples_per_second, ",.0f"),
            _number(cost.peak_memory_mb, ",.0f"),
            *([_number(cost.peak_gpu_memory_mb, ",.0f")] if on_gpu else []),
            *([_course(outcome, system)] if course else []),
        )
    return table


def _courses(outcome: Outcome) -> Table:
    table = plain_table(f"{outcome.figure} on validation, by epoch")
    table.add_column("system", overflow="fold")
    table.add_column("course", no_wrap=True)
    for system in outcome.systems:
        table.add_row(system.name, _course(outcome, system))
    return table


def _course(outcome: Outcome, system: System) -> str:
    curves = curves_of(system, outcome.figure)
    return sparkline(band_of(curves).mean, width=24) if curves else "-"


def _usual_cost(system: System) -> Cost:
    """The median over runs, since the first of a cell waits for a compiler; of memory the most."""
    each = [cost_of(run) for run in system.runs]

    def usual(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    def most(values: Sequence[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    return Cost(
        epochs=median(cost.epochs for cost in each),
        seconds=usual([cost.seconds for cost in each]),
        examples_per_second=usual([cost.examples_per_second for cost in each]),
        peak_memory_mb=most([cost.peak_memory_mb for cost in each]),
        peak_gpu_memory_mb=most([cost.peak_gpu_memory_mb for cost in each]),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _where(outcome: Outcome) -> str:
    return f"{outcome.corpus} {outcome.split} ({outcome.examples:,})"


def _pair(outcome: Outcome, pair: Difference) -> Table:
    table = plain_table(
        f"{_where(outcome)}: {pair.second} against {pair.first}, by paired bootstrap"
    )
    table.add_column("figure")
    for title in ("first", "second", "difference, 95 %", "second better in", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, each in pair.figures.items():
        scale, digits = scale_of(each), digits_of(each) + 1
        table.add_row(
            heading(name, each),
            f"{scale * each['first']:.{digits}f}",
            f"{scale * each['second']:.{digits}f}",
            _change(each),
            f"{100 * each['wins']:.1f} %",
            f"{each['p_value']:.3f}",
        )
    return table


def _change(figure: Mapping[str, Any]) -> str:
    change = {**figure, **figure["difference"]}
    if change["low"] is None:
        return f"{scale_of(change) * change['value']:+.{digits_of(change) + 1}f}"
    return interval(change, signed=True)


def _differences(outcome: Outcome, pairs: Sequence[Difference], *, named: bool = True) -> Table:
    """A row for each pair of systems and figure; of one that is not named, its name on top."""
    several, holm = outcome.seeds > 1, len(outcome.differences) > 1
    how = "permutation of seeds, bootstrap of texts" if several else "paired bootstrap"
    subject = "" if named else f"{pairs[0].second} "
    table = plain_table(f"{subject}against {pairs[0].first}, by {how}")
    if named:
        table.add_column("system", overflow="fold")
    table.add_column("figure", no_wrap=True)
    titles = ["difference, 95 %", "better in", "p", *(["p (Holm)"] if holm else [])]
    for title in (*titles, *(["p of texts"] if several else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in pairs:
        for number, (name, each) in enumerate(pair.figures.items()):
            table.add_row(
                *(["" if number else pair.second] if named else []),
                heading(name, each),
                _change(each),
                _wins(pair, each, of=" seeds" if named else ""),
                _number(each["p_value"], ".3f"),
                *([_number(each.get("p_holm"), ".3f")] if holm else []),
                *([_number(each.get("p_texts"), ".3f")] if several else []),
            )
    return table


def _wins(pair: Difference, figure: Mapping[str, Any], *, of: str) -> str:
    if figure["wins"] is None:
        return "-"
    count = len(pair.seeds)
    if count > 1:
        return f"{round(figure['wins'] * count)} of {count}{of}"
    return f"{100 * figure['wins']:.1f} %"
