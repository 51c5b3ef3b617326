"""Figures, reports and baselines of a task."""

from __future__ import annotations

import math
from typing import Any

from seqnlp.errors import InputError, suggest
from seqnlp.testing.contract import Violation
from seqnlp.testing.requiring import require
from seqnlp.testing.tasks.answers import require_json
from seqnlp.testing.tasks.subject import Subject


def check_figures(subject: Subject) -> str | None:
    task, split = subject.task, subject.split(subject.held_out)
    rows, references = task.read(split), task.references(split)
    answers = task.answer(rows, batch_size=4)
    scored = dict(task.score(answers, references))
    _known_figures(subject, set(scored), "score")
    found = dict(task.validate(rows, references, batch_size=4))
    expected = set(task.figures_on(rows))
    require(
        set(found) == expected,
        f"validate gives {', '.join(sorted(found))}, but figures_on says "
        f"{', '.join(sorted(expected))}",
        "let `validate` give all of `figures`, or override figures_on",
    )
    for name, value in (scored | found).items():
        require(
            isinstance(value, float | int) and math.isfinite(value), f"{name} is {value!r}",
            "give finite floats",
        )  # fmt: skip
    report = task.report(answers, task.references_in(subject.corpus, subject.held_out))
    _check_report(report, "report")
    for name, value in scored.items():
        figure = report.get(name)
        if isinstance(figure, dict) and "value" in figure:
            require(
                math.isclose(figure["value"], value, rel_tol=1e-6, abs_tol=1e-9),
                f"{name} is {value:.6g} by score and {figure['value']:.6g} by report",
                "compute both by one function",
            )
    return ", ".join(f"{name} {value:.3g}" for name, value in found.items())


def _check_report(report: Any, where: str) -> None:
    require(isinstance(report, dict), f"{where} gives {type(report).__name__}", "return a dict")
    require_json(report, where)
    figures = [each for each in report.values() if isinstance(each, dict) and "value" in each]
    require(
        bool(figures) and "examples" in report, f"{where} has no figure, or not `examples`",
        'return {"examples": n, name: {"value": ..., "low": ..., "high": ...}}; see '
        "seqnlp.tasks.resampled and bounds",
    )  # fmt: skip
    for each in figures:
        missing = [key for key in ("low", "high") if key not in each]
        require(not missing, f"a figure of {where} lacks {missing}", "see seqnlp.tasks.bounds")


def check_baselines(subject: Subject) -> str | None:
    task = subject.task
    found = task.baselines(subject.corpus)
    for name, report in found.items():
        _check_report(report, f"the baseline {name}")
    split = subject.split(subject.held_out)
    answers, references = task.answer(task.read(split), batch_size=4), task.references(split)
    told = f"baselines: {', '.join(found)}" if found else "no baselines"
    try:
        compared = task.compare(answers, answers, references)
    except InputError:
        return f"{told}; compares no models"
    for name, each in compared.items():
        value = each["difference"]["value"]
        require(
            abs(value) < 1e-9, f"{name} of a model and itself differs by {value:.3g}",
            "draw the same examples for both",
        )  # fmt: skip
    return told


def _known_figures(subject: Subject, names: set[str], where: str) -> None:
    """Insist that figures are among those that the class names."""
    known = subject.task_class.figures
    for name in sorted(names - set(known)):
        raise Violation(
            f"{where} gives {name!r}, which is none of its figures", suggest(name, known)
        )
