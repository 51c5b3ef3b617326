"""The models of a run, one a seed, and how their training went."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus
from seqnlp.errors import StoppedError
from seqnlp.tasks.base import Task
from seqnlp.training.checkpoints import FOLDER, Checkpoints
from seqnlp.training.distributed import Group
from seqnlp.training.hooks.base import Hook
from seqnlp.training.preparation import make_hooks
from seqnlp.training.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training went: JSON values."""

    seed: int
    best_epoch: int | None
    epoch: int
    steps: int
    stopped: str | None
    interrupted: bool
    validated: bool
    seconds: float
    epochs: list[dict[str, Any]]
    measured: dict[str, Any]

    @classmethod
    def of(cls, trainer: Trainer) -> Course:
        return cls(
            seed=trainer.seed,
            best_epoch=trainer.best_epoch,
            epoch=trainer.epoch,
            steps=trainer.steps,
            stopped=trainer.stop_reason,
            interrupted=trainer.interrupted,
            validated=bool(trainer.figures),
            seconds=trainer.meter.seconds,
            epochs=trainer.history,
            measured=trainer.meter.total(),
        )

    def told(self) -> dict[str, Any]:
        """What metrics.json has of it."""
        return {
            "seed": self.seed,
            "best_epoch": self.best_epoch,
            "steps": self.steps,
            "stopped": self.stopped,
            "epochs": self.epochs,
            "measured": self.measured,
        }


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run trains: on which device, in which folder, with whom; and whom it tells.

    hooks: more than those that the settings name.
    """

    device: torch.device
    folder: Path | None
    group: Group
    hooks: Sequence[Hook]
    notify: Callable[[str], None]


class Members:
    """The models of a run.

    selected: as validation chose them. refitted: the same, trained again on train and validation.
    """

    def __init__(self, task_class: type[Task], settings: Settings, place: Place) -> None:
        self.task_class, self.settings, self.place = task_class, settings, place
        self.selected: list[Task] = []
        self.refitted: list[Task] = []
        self.courses: list[dict[str, Any]] = []
        self.interrupted = False
        self.earlier = 0.0
        """Seconds that were spent in training before the run was gone on with."""

    def train(self, corpus: Corpus, seed: int) -> None:
        """Add the model of one seed, unless it is interrupted before its first validation."""
        notify = self.place.notify
        task, course, checkpoints = self._train_one(corpus, seed)
        self.courses.append(course.told())
        self.interrupted = course.interrupted
        if course.validated:
            self.selected.append(task)
        _finish(checkpoints, task, course)
        if course.interrupted:
            notify(_interruption(course))
            return
        if self.settings.train.refit:
            last = course.best_epoch or course.epoch
            notify(f"training again on train and validation, up to epoch {last}")
            task, again, checkpoints = self._train_one(corpus.with_all_in_train(), seed, last)
            self.interrupted = again.interrupted
            if again.interrupted:
                notify("interrupted; keeping the weights that validation chose")
            else:
                self.refitted.append(task)
            _finish(checkpoints, task, again)

    def _train_one(
        self, corpus: Corpus, seed: int, last_epoch: int | None = None
    ) -> tuple[Task, Course, Checkpoints | None]:
        """One model of one seed; with `last_epoch`, up to that epoch and without validation.

        What was trained before is loaded, and what was begun before is gone on with. Where the
        checkpoints are, it is to be kept.
        """
        place, settings = self.place, self.settings
        torch.manual_seed(seed)
        task = self.task_class.create(settings, corpus).to(place.device)
        rows = task.read(corpus.split("train"), training=True)
        if seed == settings.seed and last_epoch is None:
            for note in rows.notes:
                place.notify(note)
        checkpoints = None
        if place.folder is not None:
            name = f"seed-{seed}" if last_epoch is None else f"seed-{seed}-refit"
            checkpoints = Checkpoints(place.folder / FOLDER / name, place.notify)
        done = place.group.share_state(None if checkpoints is None else checkpoints.finished())
        if done is not None:
            task.load_state_dict(done["task"])
            course = Course(**done["course"])
            self.earlier += course.seconds
            return task, course, None
        place.group.check_alike(task)
        place.group.part_ways(seed)
        trainer = Trainer(
            task,
            settings.train,
            [*make_hooks(settings, place.folder), *place.hooks],
            seed=seed,
            folder=place.folder,
            checkpoints=checkpoints,
            group=place.group,
            notify=place.notify,
        )
        try:
            if last_epoch is not None:
                trainer.fit(rows, None, last_epoch=last_epoch)
            else:
                validation = corpus.split("validation")
                trainer.fit(rows, task.read(validation), task.references(validation))
        except StoppedError as error:
            raise StoppedError(f"{error}; {self.how_to_go_on()}", signal=signal.SIGTERM) from None
        course = Course.of(trainer)
        self.earlier += trainer.earlier
        return task, course, checkpoints

    def how_to_go_on(self) -> str:
        """What to type after an interruption."""
        folder = self.place.folder
        if folder is None:
            return "nothing was saved, since the run has no folder"
        if self.settings.hooks.get("checkpoint", False) is False:
            return "there is no checkpoint, since hooks.checkpoint is off"
        return f"go on with: seqnlp train --resume {folder}"

    def together(self) -> tuple[Task, Task]:
        """The model of the run, and the one that validation may measure.

        Refitted and selected models differ in vocabulary: one kind alone can be averaged.
        """
        selected = self._combine(self.selected)
        whole = len(self.refitted) == len(self.selected)
        return (self._combine(self.refitted) if whole else selected), selected

    def _combine(self, tasks: list[Task]) -> Task:
        task = tasks[0] if len(tasks) == 1 else self.task_class.combine(tasks)
        task.settings = self.settings.model_copy(update={"ensemble": len(tasks)})
        return task


def _finish(checkpoints: Checkpoints | None, task: Task, course: Course) -> None:
    """Keep a model that is trained to the end."""
    if checkpoints is not None and not course.interrupted:
        checkpoints.finish({"task": task.state_dict(), "course": asdict(course)})


def _interruption(course: Course) -> str:
    if course.best_epoch is None:
        return f"interrupted in epoch {course.epoch}, before its validation"
    return f"interrupted in epoch {course.epoch}; keeping the weights of epoch {course.best_epoch}"
