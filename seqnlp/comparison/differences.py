"""How systems differ, and whether that may be chance: of the texts, or of the seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from seqnlp import registry
from seqnlp.comparison.curves import curves_of, monitored
from seqnlp.comparison.measuring import Measured, check_same_examples
from seqnlp.comparison.runs import System
from seqnlp.comparison.statistics import holm, permutation_test, t_interval
from seqnlp.errors import InputError
from seqnlp.tasks.base import Task
from seqnlp.tasks.metrics import Interval, intervals_of

Figures = dict[str, dict[str, Any]]
_ABOUT = ("name", "unit", "better", "digits", "signature")
"""What a figure says of itself."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Two systems by figure.

    figures: as `Task.compare` gives them. Where there are several pairs of seeds, `first` and
    `second` are means over them, `difference` has a t-interval over the pairs, `wins` is the share
    of pairs in which the second is better, `p_value` is of the paired permutation test over them,
    and `p_texts` the median of what the bootstrap over texts gives of each pair. `p_holm` is
    `p_value`, adjusted for all comparisons by the same figure. seeds: of each pair.
    """

    first: str
    second: str
    seeds: tuple[tuple[int, int], ...]
    figures: Figures


def compares(task: Task) -> bool:
    """Whether a task has a test over examples."""
    return type(task).compare is not Task.compare


def best_by_validation(systems: Sequence[System]) -> int:
    """The place of the system whose mean best figure of validation is the best; test is not asked.

    Raises:
        InputError: the runs were validated by different figures, or some by none.
    """
    figure = monitored(systems)
    lower = figure in registry.tasks.get(systems[0].runs[0].settings.task).lower_is_better
    choose = min if lower else max
    means = []
    for system in systems:
        curves = curves_of(system, figure)
        if not curves:
            raise InputError(f"{system.name} has no {figure} on validation; use --against first")
        means.append(fmean(choose(curve.figures) for curve in curves))
    return means.index(choose(means))


def figures_of_system(measured: Sequence[Measured]) -> Figures:
    """The figures of a system: of several seeds the mean with its t-interval, of one its own.

    `seeds` are the values of all.
    """
    reports = [intervals_of(each.report) for each in measured]
    found: Figures = {}
    for name, figure in reports[0].items():
        values = [float(report[name]["value"]) for report in reports if name in report]
        if len(values) < len(reports):
            continue
        spread = _bounded(t_interval(values), figure) if len(values) > 1 else {}
        found[name] = {**figure, **spread, "seeds": values}
    return found


def _bounded(found: Interval, figure: Mapping[str, Any]) -> dict[str, float]:
    """An interval without what the figure cannot be: a share above one, or below zero."""
    most = {None: 1.0, "%": 1.0, "points": 100.0}.get(figure.get("unit"))
    # Errors may be more than the whole.
    if most is None or figure.get("better") == "lower":
        return asdict(found)
    return {"value": found.value, "low": max(0.0, found.low), "high": min(most, found.high)}


def differences(
    systems: Sequence[System],
    measured: Mapping[str, Sequence[Measured]],
    pairs: Sequence[tuple[int, int]],
    task: Task,
    split: str,
) -> list[Difference]:
    """Compare pairs of systems.

    Args:
        systems: those that are compared.
        measured: by name, in the order of the system's runs.
        pairs: which two systems, by their places; the second is compared with the first.
        task: knows how answers are compared.
        split: that was answered.

    Raises:
        InputError: two runs that are compared have answered different examples.
    """
    made = [
        _difference(systems[i].name, systems[j].name,
                    _paired(measured[systems[i].name], measured[systems[j].name]), task, split)
        for i, j in pairs
    ]  # fmt: skip
    names = dict.fromkeys(itertools.chain.from_iterable(each.figures for each in made))
    for name in names:
        own = [each.figures[name] for each in made if name in each.figures]
        own = [figure for figure in own if figure["p_value"] is not None]
        for figure, adjusted in zip(own, holm([each["p_value"] for each in own]), strict=True):
            figure["p_holm"] = adjusted
    return made


def _paired(one: Sequence[Measured], other: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """Runs of the same seeds; where no seed is common, in their order."""
    by_seed = {each.run.seed: each for each in other}
    common = [(each, by_seed[each.run.seed]) for each in one if each.run.seed in by_seed]
    return common or list(zip(one, other, strict=False))


def _difference(
    first: str,
    second: str,
    pairs: Sequence[tuple[Measured, Measured]],
    task: Task,
    split: str,
) -> Difference:
    for one, other in pairs:
        check_same_examples(one, other, split)
    each = [_of_pair(one, other, task) for one, other in pairs]
    seeds = tuple((one.run.seed, other.run.seed) for one, other in pairs)
    figures = each[0] if len(each) == 1 else {name: _over_seeds(name, each) for name in each[0]}
    return Difference(first=first, second=second, seeds=seeds, figures=figures)


def _of_pair(one: Measured, other: Measured, task: Task) -> Figures:
    """By the bootstrap over texts, where the task has one; else the plain difference."""
    if compares(task):
        return task.compare(one.answers, other.answers, one.references)
    first, second = intervals_of(one.report), intervals_of(other.report)
    made: Figures = {}
    for name in first.keys() & second.keys():
        a, b = first[name]["value"], second[name]["value"]
        kept = {key: first[name][key] for key in _ABOUT if key in first[name]}
        change = {"value": b - a, "low": None, "high": None}
        made[name] = {
            **kept, "first": a, "second": b, "difference": change, "wins": None, "p_value": None
        }  # fmt: skip
    return {name: made[name] for name in first if name in made}


def _over_seeds(name: str, pairs: Sequence[Figures]) -> dict[str, Any]:
    own = [each[name] for each in pairs]
    changes = [each["difference"]["value"] for each in own]
    better: Callable[[float], bool] = (
        (lambda change: change < 0) if own[0].get("better") == "lower" else (lambda c: c > 0)
    )
    over_texts = [each["p_value"] for each in own if each["p_value"] is not None]
    return {
        **{key: value for key, value in own[0].items() if key in _ABOUT},
        "first": fmean(each["first"] for each in own),
        "second": fmean(each["second"] for each in own),
        "difference": asdict(t_interval(changes)),
        "wins": fmean(map(better, changes)),
        "p_value": permutation_test(changes),
        "p_texts": median(over_texts) if over_texts else None,
        "pairs": own,
    }
