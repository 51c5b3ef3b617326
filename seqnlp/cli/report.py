"""Tables that a person reads: the end of a training run, an evaluation."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.tasks.metrics import intervals_of

MOST_CLASSES = 12
"""Larger confusion matrices do not fit a screen; they are in metrics.json."""


def announce(screen: Console, settings: Settings, recipe: Path | None) -> None:
    """One line of what is about to happen."""
    model = settings.model
    attention = settings.head.get("attention")
    parts = [
        f"{settings.task} on {settings.corpus.name}",
        f"{model.layers} x {model.cell} of {model.hidden_size}"
        + (" in two directions" if model.bidirectional else ""),
        *([f"{attention} attention"] if attention else []),
        f"tokenizer {settings.text.tokenizer}",
        f"seed {settings.seed}",
        *([f"recipe {recipe.stem}"] if recipe is not None else []),
    ]
    screen.print(", ".join(parts), markup=False, soft_wrap=True)


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
    if metrics["interrupted"]:
        screen.print("[bold]interrupted[/]: the best weights so far were saved")
    name, text = shlex.quote(str(folder)), shlex.quote(metrics["corpus"]["example"])
    screen.print(
        f"saved in [bold]{name}[/] after {metrics['seconds']:.0f} s; try next:", soft_wrap=True
    )
    screen.print(f"  seqnlp predict {name} {text}", markup=False, soft_wrap=True)
    screen.print(f"  seqnlp evaluate {name} --split {last}", markup=False, soft_wrap=True)
    screen.print(f"  seqnlp show {name}", markup=False, soft_wrap=True)


def plain_table(title: str) -> Table:
    """A table without upright lines, which fits a terminal of 80 columns."""
    return Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )


def figures(rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Table:
    """Figures with their intervals, a row for each (split, system, report)."""
    title = "figures in %, with 95 % bootstrap intervals; ECE: expected calibration error"
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for heading in ("split", "system"):
        table.add_column(heading)
    names = list(intervals_of(rows[0][2])) if rows else []
    calibrated = any("calibration_error" in report for _, _, report in rows)
    extra = ["ECE"] if calibrated else []
    for heading in (*(name.replace("_f1", "-F1") for name in names), *extra):
        table.add_column(heading, justify="right", no_wrap=True)
    for split, system, report in rows:
        found = intervals_of(report)
        cells = [interval(found[name]) for name in names]
        if calibrated:
            error = report.get("calibration_error")
            cells.append("" if error is None else f"{100 * error:.1f}")
        table.add_row(f"{split} ({report['examples']:,})", system, *cells)
    return table


def confusion(report: Mapping[str, Any], title: str) -> Table | str:
    """Counts by reference (rows) and prediction (columns), with precision, recall and F1."""
    labels = list(report["classes"])
    if len(labels) > MOST_CLASSES:
        return f"{title}: {len(labels)} classes, in metrics.json"
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    table.add_column("reference")
    for label in labels:
        table.add_column(f"as {label}", justify="right")
    for heading in ("precision", "recall", "F1"):
        table.add_column(heading, justify="right")
    for label, counts in zip(labels, report["confusion"], strict=True):
        values = [report["classes"][label][key] for key in ("precision", "recall", "f1")]
        table.add_row(label, *(f"{n:,}" for n in counts), *(f"{100 * v:.1f}" for v in values))
    return table


def interval(figure: Mapping[str, float]) -> str:
    """87.1 [85.5, 88.6]."""
    value, low, high = (100 * figure[key] for key in ("value", "low", "high"))
    return f"{value:.1f} \\[{low:.1f}, {high:.1f}]"
