"""What a search shows: its course while it runs, and its end as tables."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from seqnlp.cli.tables import plain_table
from seqnlp.config import Settings
from seqnlp.plotting import sparkline
from seqnlp.tuning.record import COUNTED, TrialRecord, Tuning
from seqnlp.tuning.search import BEST, Watcher
from seqnlp.tuning.space import Space

MOST_SHOWN = 4
"""Trials in the table of the best."""


def heading(settings: Settings, space: Space, sampler: str, pruner: str, trials: int) -> list[str]:
    """What is about to be searched through."""
    ended = "" if pruner == "none" else f", ended early by {pruner}"
    return [
        f"{settings.task} on {settings.corpus.name}: {trials} trials drawn by {sampler}{ended}, "
        f"for the {settings.train.monitor} on validation",
        *(f"  {key} = {dimension}" for key, dimension in space.items()),
    ]


class Display(Watcher):
    """A bar of the trials, and a line for each that has ended.

    Args:
        lines: shown once there is something to do.
    """

    def __init__(self, screen: Console, trials: int, lines: list[str], *, quiet: bool) -> None:
        self.screen, self.quiet, self.lines = screen, quiet, lines
        self.progress = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=screen,
            transient=True,
            refresh_per_second=4,
            disable=quiet or not screen.is_terminal,
        )
        self.bar: TaskID = self.progress.add_task("trials", total=trials, state="")
        self.running: dict[int, str] = {}
        self.lock = threading.Lock()

    def __enter__(self) -> Display:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def on_begin(self, trial: TrialRecord) -> None:
        with self.lock:
            while self.lines and not self.quiet:
                self.screen.print(self.lines.pop(0), markup=False, soft_wrap=True)
            self.progress.update(self.bar, completed=trial.number)
            self._show(trial.number, "begins")

    def on_epoch(self, trial: TrialRecord, epoch: int, figure: float) -> None:
        with self.lock:
            self._show(trial.number, f"epoch {epoch} {figure:.3f}")

    def on_end(self, trial: TrialRecord) -> None:
        with self.lock:
            self.running.pop(trial.number, None)
            self._show()
        if not self.quiet:
            self.screen.print(_line(trial), markup=False, soft_wrap=True)

    def _show(self, number: int | None = None, state: str = "") -> None:
        if number is not None:
            self.running[number] = state
        told = ", ".join(f"trial {each}: {told}" for each, told in sorted(self.running.items()))
        self.progress.update(self.bar, state=told)


def _line(trial: TrialRecord) -> str:
    figure = "     -" if trial.figure is None else f"{trial.figure:6.4f}"
    ends = {
        "complete": f"epoch {trial.epoch} of {trial.epochs}",
        "pruned": f"ended after epoch {trial.epochs}",
        "failed": f"failed: {trial.reason}",
        "lost": f"lost: {trial.reason}; it is tried again",
    }
    end = ends.get(trial.status, trial.status)
    return f"trial {trial.number:>2}  {figure}  {trial.seconds:5.1f} s  {end}  {_values(trial)}"


def _values(trial: TrialRecord) -> str:
    if trial.as_it_is:
        return "the settings as they are"
    return " ".join(f"{key}={_told(value)}" for key, value in trial.values.items())


def _told(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def result(screen: Console, found: Tuning, folder: Path, page: Path) -> None:
    """The best trials beside the settings as they were, what mattered, and what to type next."""
    screen.print()
    if any(trial.status == "complete" for trial in found.trials):
        screen.print(_table(found))
    if found.importances:
        screen.print(_importances(found.importances))
    figures = [trial.figure for trial in found.trials if trial.figure is not None]
    if len(figures) > 1:
        screen.print(f"figures by trial  {sparkline(figures, width=60)}")
    ended = ", ".join(
        f"{found.count(status)} {status}"
        for status in (*COUNTED, "interrupted", "lost", "running")
        if found.count(status)
    )
    screen.print(f"{ended}; {found.seconds:.0f} s")
    if found.interrupted:
        screen.print("[bold]interrupted[/]: the same command goes on")
    if found.best is not None:
        screen.print(f"report in [bold]{shlex.quote(str(page))}[/]; try next:", soft_wrap=True)
        recipe = shlex.quote(str(folder / BEST))
        screen.print(f"  seqnlp train {recipe}", markup=False, soft_wrap=True)


def _table(found: Tuning) -> Table:
    sign = -1 if found.maximize else 1
    complete = [t for t in found.trials if t.status == "complete" and t.figure is not None]
    best = sorted(complete, key=lambda t: (sign * (t.figure or 0.0), t.number))[:MOST_SHOWN]
    shown = [*best, *(t for t in complete if t.as_it_is and t not in best)]
    # Keys are rows: their names are long, and there may be many.
    table = plain_table(f"the best of {len(found.trials)} trials, by validation")
    table.add_column("", overflow="fold")
    for trial in shown:
        title = "as it was" if trial.as_it_is else f"trial {trial.number}"
        table.add_column(title, justify="right")
    table.add_row(found.monitor, *(f"{trial.figure:.4f}" for trial in shown))
    table.add_row("epoch", *(str(trial.epoch) for trial in shown))
    table.add_row("seconds", *(f"{trial.seconds:.1f}" for trial in shown))
    for key in found.space:
        values = [_told(trial.values[key]) if key in trial.values else "" for trial in shown]
        table.add_row(key, *values)
    return table


def _importances(importances: Mapping[str, float]) -> Table:
    table = plain_table("what the figure varied by")
    table.add_column("key")
    table.add_column("share", justify="right")
    table.add_column("")
    for key, share in sorted(importances.items(), key=lambda each: -each[1]):
        table.add_row(key, f"{100 * share:.0f} %", "█" * round(20 * share))
    return table
