"""The live display of a training run."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from seqnlp.config import Settings
from seqnlp.nn import engines
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class ProgressHook(Hook):
    """Epochs, batches, loss, examples a second and time left, live; one line an epoch stays."""

    order = 95

    def __init__(self, screen: Console, settings: Settings) -> None:
        self.screen, self.settings = screen, settings
        self.progress: Progress | None = None
        self.bar = TaskID(0)
        self.shown = 0.0
        self.epoch = 0
        self.told = False

    def on_fit_start(self, trainer: Trainer) -> None:
        # Once: what follows in an ensemble, or in training again, runs on the same.
        if trainer.seed == self.settings.seed and not self.told:
            self._tell_engines(trainer)
            self.told = True
        if self.settings.ensemble > 1:
            number = trainer.seed - self.settings.seed + 1
            self.screen.print(f"model {number} of {self.settings.ensemble}, seed {trainer.seed}")
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("batches  {task.fields[state]}"),
            TimeRemainingColumn(compact=True),
            console=self.screen,
            transient=True,
            refresh_per_second=4,
        )
        self.bar = self.progress.add_task("starting", total=None, state="")
        self.progress.start()
        self.epoch = 0

    def on_batch_start(self, trainer: Trainer) -> None:
        # Once an epoch, which may be gone on with in its midst.
        if trainer.epoch == self.epoch:
            return
        self.epoch = trainer.epoch
        total = trainer.steps_per_epoch * trainer.settings.epochs
        description = f"epoch {trainer.epoch}/{trainer.settings.epochs}"
        self._update(description=description, total=total)

    def on_step_end(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if now - self.shown < 0.1:
            return
        self.shown = now
        speed = trainer.meter.record()["examples_per_second"]
        state = f"loss {trainer.loss:.3f}  {speed:,.0f} examples/s"
        self._update(completed=trainer.steps, state=state)

    def on_evaluate_start(self, trainer: Trainer) -> None:
        self._update(state="answering validation")

    def on_evaluate_end(self, trainer: Trainer) -> None:
        record = trainer.history[-1]
        figures = " ".join(f"{name} {_digits(value)}" for name, value in trainer.figures.items())
        best = " best" if trainer.best_epoch == trainer.epoch else ""
        self.screen.print(
            f"epoch {trainer.epoch:>2} {record['train_seconds']:5.1f} s  "
            f"train {record['train_loss']:.3f} val {figures}{best}",
            soft_wrap=True,
        )

    def on_fit_end(self, trainer: Trainer) -> None:
        self._stop()
        if trainer.stop_reason not in (None, "interrupted"):
            self.screen.print(f"stopped after epoch {trainer.epoch}: {trainer.stop_reason}")

    def on_fit_error(self, trainer: Trainer) -> None:
        self._stop()

    def _tell_engines(self, trainer: Trainer) -> None:
        chosen = list(trainer.engines())
        if chosen:
            asked = engines.describe(self.settings.model.engine)
            how = "" if [asked] == chosen else f" ({asked})"
            self.screen.print(f"engine {' and '.join(chosen)}{how}", soft_wrap=True)

    def _stop(self) -> None:
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _update(self, **values: object) -> None:
        if self.progress is not None:
            self.progress.update(self.bar, **values)  # type: ignore[arg-type]


def _digits(figure: float) -> str:
    """0.912, 39.12: shares and losses, and points of a hundred."""
    return f"{figure:.3f}" if abs(figure) < 10 else f"{figure:.2f}"
