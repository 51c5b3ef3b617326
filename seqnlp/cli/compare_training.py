"""Training what a comparison lacks, with a live display."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from seqnlp.cli.screen import open_screen
from seqnlp.comparison.jobs import Job, train_all
from seqnlp.comparison.runs import Run, System
from seqnlp.comparison.wanted import Wanted
from seqnlp.errors import TrainingError
from seqnlp.training.hooks.reporting import LOG


def train_missing(
    wanted: Sequence[Wanted], *, workers: int, quiet: bool
) -> tuple[list[System], bool]:
    """All systems with their runs, and whether none of their trainings has failed.

    Raises:
        InputError: settings that cannot be trained with.
        TrainingError: no training has ended well.
    """
    jobs = [job for each in wanted for job in each.jobs]
    failed: list[Job] = []
    if jobs:
        screen = open_screen(error=True)
        there = sum(len(each.runs) for each in wanted)
        known = f"; {there} are there already" if there else ""
        screen.print(f"{len(jobs)} to train{known}", markup=False, soft_wrap=True)
        with _Display(screen, jobs, quiet=quiet) as display:
            failed = train_all(
                jobs,
                workers=workers,
                on_start=display.start,
                on_look=display.look,
                on_end=display.end,
                on_failure=display.fail,
            )
    systems = []
    for each in wanted:
        trained = [Run.read(job.folder) for job in each.jobs if job not in failed]
        runs = sorted((*each.runs, *trained), key=lambda run: run.seed)
        if runs:
            systems.append(System(name=each.name, runs=tuple(runs)))
    if not systems:
        raise TrainingError("no training has ended well, so there is nothing to compare")
    return systems, not failed


class _Display:
    """A bar for each training that runs, and a line for each that has ended."""

    def __init__(self, screen: Console, jobs: Sequence[Job], *, quiet: bool) -> None:
        self.screen = screen
        self.total, self.ended = len(jobs), 0
        self.bars: dict[str, TaskID] = {}
        self.read: dict[str, int] = {}
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("epochs  {task.fields[state]}"),
            console=screen,
            transient=True,
            disable=quiet or not screen.is_terminal,
        )

    def __enter__(self) -> _Display:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.progress.stop()

    def start(self, job: Job) -> None:
        name = str(job.folder)
        epochs = job.settings.train.epochs * job.settings.ensemble
        self.bars[name] = self.progress.add_task(job.folder.name, total=epochs, state="")
        self.read[name] = 0

    def look(self, job: Job) -> None:
        """Read what the log of a training has more than before."""
        name = str(job.folder)
        for record in self._more(job):
            if record.get("event") == "epoch":
                figure = record.get(job.settings.train.monitor)
                state = "" if figure is None else f"{job.settings.train.monitor} {figure:.3f}"
                self.progress.update(self.bars[name], advance=1, state=state)

    def _more(self, job: Job) -> list[dict[str, Any]]:
        name, path = str(job.folder), job.folder / LOG
        if not path.is_file():
            return []
        with path.open("rb") as file:
            # A training that goes on takes back what its log has of steps that came to nothing.
            file.seek(max(0, self.read[name] - 1))
            if self.read[name] and file.read(1) != b"\n":
                self.read[name] = file.seek(0)
                self.progress.update(self.bars[name], completed=0)
            # A line may be half written.
            lines = file.read().split(b"\n")[:-1]
        self.read[name] += sum(len(line) + 1 for line in lines)
        return [json.loads(line) for line in lines]

    def end(self, job: Job, seconds: float) -> None:
        self._close(job, f"{job.folder} in {seconds:.0f} s")

    def fail(self, job: Job, reason: str) -> None:
        self._close(job, f"{job.folder} failed: {reason}")

    def _close(self, job: Job, told: str) -> None:
        self.ended += 1
        self.progress.remove_task(self.bars[str(job.folder)])
        self.screen.print(f"{self.ended}/{self.total} {told}", markup=False, soft_wrap=True)
