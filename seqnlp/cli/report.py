"""Tables that a person reads: the end of a training run, an evaluation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.cli import summary_report, training_report
from seqnlp.cli.tables import plain_table
from seqnlp.config import Settings
from seqnlp.tasks.metrics import (
    against_others,
    digits_of,
    figures_of,
    heading,
    in_hundreds,
    intervals_of,
    signatures,
)

MOST_CLASSES = 12
"""Larger confusion matrices do not fit a screen; they are in metrics.json."""


def announce(screen: Console, settings: Settings, recipe: Path | None) -> None:
    """One line of what is about to happen."""
    attention, decoder = settings.head.get("attention"), settings.head.get("decoder", "recurrent")
    reads_text = registry.tasks.get(settings.task).pipeline_names
    parts = [
        f"{settings.task} on {settings.corpus.name}" + _direction(settings),
        _network(settings),
        *([f"decoder {decoder}"] if decoder != "recurrent" else []),
        *([f"{attention} attention"] if attention else []),
        *([f"tokenizer {settings.text.tokenizer}"] if reads_text else []),
        f"seed {settings.seed}",
        *([f"recipe {recipe.stem}"] if recipe is not None else []),
    ]
    screen.print(", ".join(parts), markup=False, soft_wrap=True)


def _network(settings: Settings) -> str:
    model = settings.model
    if model.encoder != "recurrent":
        return f"encoder {model.encoder}"
    both = " in two directions" if model.bidirectional else ""
    return f"{model.layers} x {model.cell} of {model.hidden_size}{both}"


def _direction(settings: Settings) -> str:
    source, target = settings.corpus.source, settings.corpus.target
    return f" from {source} to {target}" if source and target else ""


def notifier(screen: Console) -> Callable[[str], None]:
    """Prints notes of a run."""
    return lambda line: screen.print(f"note: {line}", markup=False, soft_wrap=True)


def training(screen: Console, model: Model, folder: Path) -> None:
    """The figures of a run, its confusion matrix, where it was saved and what to try next."""
    metrics = model.metrics
    rows = [(name, "this model", metrics[name]) for name in ("validation", "test")
            if name in metrics]  # fmt: skip
    split = metrics["baseline_split"]
    rows += [(split, name, report) for name, report in metrics["baselines"].items()]
    screen.print()
    screen.print(figures(rows))
    last = "test" if "test" in metrics else "validation"
    if "confusion" in metrics[last]:
        screen.print(confusion(metrics[last], f"confusion on {last}"))
    training_report.show(screen, metrics["training"])
    if metrics["interrupted"]:
        screen.print("[bold]interrupted[/]: the best weights so far were saved")
    name, text = shlex.quote(str(folder)), shlex.quote(metrics["corpus"]["example"])
    screen.print(
        f"saved in [bold]{name}[/] after {metrics['seconds']:.0f} s; try next:", soft_wrap=True
    )
    screen.print(f"  seqnlp predict {name} {text}", markup=False, soft_wrap=True)
    screen.print(f"  seqnlp evaluate {name} --split {last}", markup=False, soft_wrap=True)
    screen.print(f"  seqnlp show {name}", markup=False, soft_wrap=True)


def figures(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Table:
    """Figures with their intervals, a row for each (split, system, report)."""
    shown = figures_of([report for _, _, report in rows])
    calibrated = any("calibration_error" in report for _, _, report in rows)
    lower = [heading(*each) for each in shown.items() if each[1].get("better") == "lower"]
    remarks = [
        *(["; ECE: expected calibration error"] if calibrated else []),
        *([f"; {' and '.join(lower)} {_is(lower)} better when lower"] if lower else []),
    ]
    table = plain_table(f"figures{_units(shown)}, with 95 % bootstrap intervals{''.join(remarks)}")
    table.add_column("split", min_width=len("validation"), overflow="fold")
    table.add_column("system", overflow="fold")
    for title in (*(heading(*each) for each in shown.items()), *(["ECE"] if calibrated else [])):
        table.add_column(title, justify="right", no_wrap=True)
    for split, system, report in rows:
        found = intervals_of(report)
        cells = [interval(found[name]) if name in found else "" for name in shown]
        if calibrated:
            error = report.get("calibration_error")
            cells.append("" if error is None else f"{100 * error:.1f}")
        table.add_row(f"{split} ({report['examples']:,})", system, *cells)
        for name, others in against_others(report):
            table.add_row(
                "", f"  {name}", *(interval(others[key]) for key in shown if key in others)
            )
    return table


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _units(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """What the numbers of a table are, where that is the same for all."""
    units = {figure.get("unit") or "%" for figure in figures.values()}
    if units == {"plain"}:
        return ""
    if len(units) == 1:
        return f" in {units.pop()}"
    shares = [heading(name, f) for name, f in figures.items() if (f.get("unit") or "%") == "%"]
    return f" ({', '.join(shares)} in %)" if shares else ""


def by_length(report: Mapping[str, Any]) -> Table:
    """Figures of examples by the length of their reference."""
    shown = intervals_of(report)
    table = plain_table("by words of the reference")
    for title in ("words", "examples", *(heading(*each) for each in shown.items()), "length ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    for bucket in report["lengths"]:
        last = bucket["to"]
        words = f"{bucket['from']} and more" if last is None else f"{bucket['from']} to {last}"
        values = [f"{bucket[name]:.1f}" for name in shown]
        table.add_row(words, f"{bucket['examples']:,}", *values, f"{bucket['length_ratio']:.3f}")
    return table


_TABLES: Mapping[str, Callable[[Mapping[str, Any]], Table]] = {
    "lengths": by_length,
    "similarity": summary_report.by_similarity,
    "novelty": summary_report.originality,
}
"""Which table shows what of a report."""


def evaluation(
    screen: Console, corpus: str, split: str, system: str, report: Mapping[str, Any]
) -> None:
    """All that is known of a model's answers to a split of a corpus."""
    screen.print(figures([(f"{corpus} {split}", system, report)]))
    for names, signature in signatures(figures_of([report])).items():
        screen.print(f"{names}: {signature}", markup=False, soft_wrap=True)
    if "length_ratio" in report:
        ratio = report["length_ratio"]
        screen.print(f"length of the answers to that of the references: {ratio:.3f}")
    if "repetition" in report:
        screen.print(summary_report.repetition(report))
    for key, table in _TABLES.items():
        if key in report:
            screen.print()
            screen.print(table(report))
    if "confusion" in report:
        screen.print(confusion(report, f"confusion on {split}"))


def confusion(report: Mapping[str, Any], title: str) -> Table | str:
    """Counts by reference (rows) and prediction (columns), with precision, recall and F1."""
    labels = list(report["classes"])
    if len(labels) > MOST_CLASSES:
        return f"{title}: {len(labels)} classes, in metrics.json"
    table = plain_table(title)
    table.add_column("reference")
    for label in labels:
        table.add_column(f"as {label}", justify="right")
    for column in ("precision", "recall", "F1"):
        table.add_column(column, justify="right")
    for label, counts in zip(labels, report["confusion"], strict=True):
        values = [report["classes"][label][key] for key in ("precision", "recall", "f1")]
        table.add_row(label, *(f"{n:,}" for n in counts), *(f"{100 * v:.1f}" for v in values))
    return table


def interval(figure: Mapping[str, Any], *, signed: bool = False) -> str:
    """87.1 [85.5, 88.6]; of a difference +1.62 [+0.30, +2.91]."""
    digits = digits_of(figure)
    form = f"+.{digits + 1}f" if signed else f".{digits}f"
    value, low, high = (f"{number:{form}}" for number in in_hundreds(figure))
    return f"{value} \\[{low}, {high}]"
