"""What trackers have in common: when one is opened, what it is given, and how it is left."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from seqnlp.errors import InputError, MissingPackageError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer

Points = Mapping[str, float]
Status = Literal["finished", "interrupted", "failed"]


class TrackingHook(Hook):
    """Gives a tracker points: of a step every so often, of an epoch when it is validated.

    Where a run is resumed, the tracker goes on where it was. One that fails in the midst, as a
    server may, is given up with a note, and the training goes on without it. Of several processes
    the main one alone tracks.

    Args:
        every: steps between two points.
    """

    order = 90
    errors: tuple[type[Exception], ...] = (OSError,)
    """What a tracker raises where it cannot be reached, written to, or used so."""

    def __init__(self, name: str, *, every: int) -> None:
        if every < 1:
            raise InputError(f"every must be at least 1, not {every}")
        self.name, self.every = name, every
        self.trainer: Trainer | None = None
        self.open = False
        self.status: Status = "finished"
        self.steps = 0

    @abstractmethod
    def begin(self, trainer: Trainer) -> None:
        """Open the tracker, where it was left if there is a state of it."""

    @abstractmethod
    def track(self, points: Points, step: int) -> None:
        """Give it points of a step."""

    @abstractmethod
    def end(self, status: Status) -> None:
        """Close it."""

    def flush(self) -> None:
        """See that what was given is kept, whatever becomes of this process."""

    def on_fit_start(self, trainer: Trainer) -> None:
        self.trainer, self.status, self.steps = trainer, "finished", 0
        if not trainer.resumed:
            self._open()

    def on_step_end(self, trainer: Trainer) -> None:
        self.steps = trainer.steps
        if self.open and trainer.steps % self.every == 0:
            self._attempt(lambda: self.track(step_points(trainer), trainer.steps))

    def on_evaluate_end(self, trainer: Trainer) -> None:
        if self.open:
            self._attempt(lambda: self.track(epoch_points(trainer), trainer.steps))

    def on_interrupt(self, trainer: Trainer) -> None:
        self.status = "interrupted"

    def on_fit_end(self, trainer: Trainer) -> None:
        if trainer.interrupted:
            self.status = "interrupted"
        self._close()

    def on_fit_error(self, trainer: Trainer) -> None:
        if self.status == "finished":
            self.status = "failed"
        self._close()

    def state_dict(self) -> dict[str, Any]:
        if self.open:
            self._attempt(self.flush)
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back where it was, and open the tracker there."""
        self.steps = state["steps"]
        self._open()

    def _open(self) -> None:
        if self.trainer is None or not self.trainer.group.main:
            return
        try:
            self.begin(self.trainer)
        except self.errors as error:
            raise InputError(f"hooks.{self.name}: {_first_line(error)}") from error
        self.open = True

    def _attempt(self, act: Callable[[], None]) -> None:
        assert self.trainer is not None
        try:
            act()
        except self.errors as error:
            self.open = False
            self.trainer.notify(
                f"hooks.{self.name}: nothing more is tracked after step {self.steps}: "
                f"{_first_line(error)}"
            )

    def _close(self) -> None:
        if self.open:
            self._attempt(lambda: self.end(self.status))
        self.trainer, self.open = None, False


def step_points(trainer: Trainer) -> dict[str, float]:
    """What is known after a step: its loss, learning rate, and the gradient's norm if it is."""
    points = {"train/loss": trainer.loss, "train/lr": trainer.lr}
    if trainer.gradient_norm is not None:
        points["train/gradient_norm"] = float(trainer.gradient_norm)
    return points


def epoch_points(trainer: Trainer) -> dict[str, float]:
    """The record of an epoch: figures as validation/NAME, all else as epoch/NAME."""
    return {
        f"{'validation' if name in trainer.figures else 'epoch'}/{name}": value
        for name, value in _numbers(trainer.history[-1])
    }


def _numbers(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a table and of those within it, as "table/name"."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)


def folder_of(trainer: Trainer) -> Path:
    """Where a tracker may write: the run's folder, or this one."""
    return trainer.folder or Path()


def label_of(trainer: Trainer) -> str:
    """Which training of a run this is: "seed-1", or "seed-1-refit" on train and validation."""
    if trainer.checkpoints is not None:
        return trainer.checkpoints.folder.name
    return f"seed-{trainer.seed}"


def name_of(trainer: Trainer) -> str:
    """A name for a training among others, after its folder."""
    run = trainer.folder.resolve().name if trainer.folder else "run"
    return f"{run}-{label_of(trainer)}"


def missing(extra: str, package: str = "") -> MissingPackageError:
    """The error of a hook whose extra is not installed."""
    return MissingPackageError(
        f"the hook {extra} needs the package {package or extra}; pip install 'seqnlp[{extra}]'"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
