"""What `seqnlp compare` shows: figures, costs, differences, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from seqnlp.cli.report import interval
from seqnlp.cli.tables import plain_table
from seqnlp.comparison.curves import band_of, curves_of
from seqnlp.comparison.differences import Difference, compares, figures_of_system
from seqnlp.comparison.measuring import Measured
from seqnlp.comparison.runs import Cost, System, cost_of
from seqnlp.comparison.statistics import pairs_needed, smallest_p
from seqnlp.plotting import sparkline
from seqnlp.tasks.base import Task
from seqnlp.tasks.metrics import digits_of, figures_of, heading, scale_of

LEVEL = 0.05
"""What is called significant."""


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
        for line in _verdicts(pair):
            screen.print(line, markup=False, soft_wrap=True)
        screen.print()
        screen.print(costs(outcome))
        return
    screen.print(figures(outcome))
    screen.print()
    screen.print(costs(outcome))
    if outcome.differences:
        screen.print()
        screen.print(_differences(outcome))
        for line in (*_summary(outcome), *_limits(outcome)):
            screen.print(line, markup=False, soft_wrap=True)


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


def costs(outcome: Outcome) -> Table:
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
    table.add_column(f"{outcome.figure} on validation", no_wrap=True)
    for system, cost in zip(outcome.systems, known, strict=True):
        curves = curves_of(system, outcome.figure)
        table.add_row(
            system.name,
            f"{outcome.measured[system.name][0].parameters:,}",
            f"{cost.epochs:g}",
            _number(cost.seconds, ".1f"),
            _number(cost.examples_per_second, ",.0f"),
            _number(cost.peak_memory_mb, ",.0f"),
            *([_number(cost.peak_gpu_memory_mb, ",.0f")] if on_gpu else []),
            sparkline(band_of(curves).mean, width=24) if curves else "-",
        )
    return table


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


def _verdicts(pair: Difference) -> Iterator[str]:
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


def _differences(outcome: Outcome) -> Table:
    """A row for each pair of systems and figure."""
    pairs = outcome.differences
    several, holm = outcome.seeds > 1, len(pairs) > 1
    how = "permutation of seeds, bootstrap of texts" if several else "paired bootstrap"
    table = plain_table(f"against {pairs[0].first}, by {how}")
    table.add_column("system", overflow="fold")
    table.add_column("figure")
    titles = ["difference, 95 %", "better in", "p", *(["p (Holm)"] if holm else [])]
    for title in (*titles, *(["p of texts"] if several else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for pair in pairs:
        for number, (name, each) in enumerate(pair.figures.items()):
            table.add_row(
                "" if number else pair.second,
                heading(name, each),
                _change(each),
                _wins(pair, each),
                _number(each["p_value"], ".3f"),
                *([_number(each.get("p_holm"), ".3f")] if holm else []),
                *([_number(each.get("p_texts"), ".3f")] if several else []),
            )
    return table


def _wins(pair: Difference, figure: Mapping[str, Any]) -> str:
    if figure["wins"] is None:
        return "-"
    count = len(pair.seeds)
    if count > 1:
        return f"{round(figure['wins'] * count)} of {count} seeds"
    return f"{100 * figure['wins']:.1f} %"


def _summary(outcome: Outcome) -> Iterator[str]:
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


def _limits(outcome: Outcome) -> Iterator[str]:
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
