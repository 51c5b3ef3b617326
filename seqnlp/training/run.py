"""A whole run: settings in, a trained and measured model out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import InputError, TrainingError
from seqnlp.tasks.base import Task
from seqnlp.training.hooks.base import Hook
from seqnlp.training.hooks.reporting import LOG
from seqnlp.training.preparation import (
    choose_device,
    claim_folder,
    complete,
    leave_folder,
    make_hooks,
)
from seqnlp.training.trainer import Trainer


def train(
    settings: Settings,
    output: Path | str | None = None,
    *,
    force: bool = False,
    hooks: Sequence[Hook] = (),
    notify: Callable[[str], None] = lambda _: None,
) -> Model:
    """Train, measure on validation and test, and save.

    Args:
        settings: describe the run completely; the same settings give the same weights on one CPU.
        output: the model's folder; without one nothing is written.
        force: replace what is in the folder.
        hooks: more hooks than the settings name, such as a progress display.
        notify: is told, in one line each, what a person should know.

    Returns:
        The model; `model.metrics` has the figures of validation, test and the baselines.

    Raises:
        InputError: the corpus, the settings or the folder cannot be used.
        TrainingError: the run failed; the message says where and what to try.
    """
    device = choose_device(settings.device)
    settings = complete(settings)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    # Numbers too small for a normal float slow a CPU down tenfold and change nothing.
    torch.set_flush_denormal(True)
    if output is None:
        return _run(settings, None, device, hooks, notify)
    folder = Path(output)
    fresh = not folder.exists()
    claim_folder(folder, force=force)
    try:
        return _run(settings, folder, device, hooks, notify)
    except InputError:
        if fresh:
            leave_folder(folder)
        raise


def _run(
    settings: Settings,
    folder: Path | None,
    device: torch.device,
    hooks: Sequence[Hook],
    notify: Callable[[str], None],
) -> Model:
    started = time.perf_counter()
    task_class = registry.tasks.get(settings.task)
    chosen = settings.corpus
    corpus = open_corpus(
        chosen.name,
        fields=task_class.fields,
        columns=chosen.columns,
        seed=settings.seed,
        validation_share=chosen.validation_share,
        test_share=chosen.test_share,
        languages=(chosen.source, chosen.target),
        max_ratio=chosen.max_ratio or None,
    )
    for note in corpus.notes:
        notify(note)
    if folder is not None:
        (folder / LOG).write_bytes(b"")
    members = _Members(task_class, settings)
    failure: TrainingError | None = None
    try:
        for seed in range(settings.seed, settings.seed + settings.ensemble):
            make = partial(_train_one, task_class, settings, seed, device, folder, hooks, notify)
            members.train(corpus, make, notify)
            if members.interrupted:
                break
    except KeyboardInterrupt:
        members.interrupted = True
    except TrainingError as error:
        if not members.selected:
            raise
        failure = error
        notify(f"{error}; keeping the models that were trained before")
    if not members.selected:
        raise TrainingError("interrupted before the first validation: there is nothing to save")
    final, selected = members.together()
    model = Model(final, {"training": members.courses, "interrupted": members.interrupted})
    if folder is not None:
        # Before anything is measured: nothing that happens from here on can lose the model.
        model.save(folder)
    model.metrics |= _measure(model, Model(selected, {}), corpus)
    model.metrics["seconds"] = time.perf_counter() - started
    if not members.interrupted and failure is None:
        model.metrics["baselines"] = final.baselines(corpus)
    if folder is not None:
        model.save_metrics(folder)
    if failure is not None:
        raise failure
    return model


class _Members:
    """The models of a run, one a seed, and how their training went.

    selected: as validation chose them. refitted: the same, trained again on train and validation.
    """

    def __init__(self, task_class: type[Task], settings: Settings) -> None:
        self.task_class, self.settings = task_class, settings
        self.selected: list[Task] = []
        self.refitted: list[Task] = []
        self.courses: list[dict[str, Any]] = []
        self.interrupted = False

    def train(
        self,
        corpus: Corpus,
        make: Callable[..., tuple[Task, Trainer]],
        notify: Callable[[str], None],
    ) -> None:
        """Add the model of one seed, unless it is interrupted before its first validation."""
        task, trainer = make(corpus)
        self.courses.append(_course(trainer))
        self.interrupted = trainer.interrupted
        if trainer.figures:
            self.selected.append(task)
        if trainer.interrupted:
            notify(_interruption(trainer))
            return
        if self.settings.train.refit:
            last = trainer.best_epoch or trainer.epoch
            notify(f"training again on train and validation, up to epoch {last}")
            task, again = make(corpus.with_all_in_train(), last)
            self.interrupted = again.interrupted
            if again.interrupted:
                notify("interrupted; keeping the weights that validation chose")
            else:
                self.refitted.append(task)

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


def _train_one(
    task_class: type[Task],
    settings: Settings,
    seed: int,
    device: torch.device,
    folder: Path | None,
    hooks: Sequence[Hook],
    notify: Callable[[str], None],
    corpus: Corpus,
    last_epoch: int | None = None,
) -> tuple[Task, Trainer]:
    """One model of one seed; with `last_epoch`, up to that epoch and without validation."""
    torch.manual_seed(seed)
    task = task_class.create(settings, corpus).to(device)
    made = [*make_hooks(settings, folder), *hooks]
    rows = task.read(corpus.split("train"), training=True)
    if seed == settings.seed and last_epoch is None:
        for note in rows.notes:
            notify(note)
    trainer = Trainer(task, settings.train, made, seed=seed, folder=folder)
    if last_epoch is not None:
        trainer.fit(rows, None, last_epoch=last_epoch)
    else:
        validation = corpus.split("validation")
        trainer.fit(rows, task.read(validation), task.references(validation))
    return task, trainer


def _measure(model: Model, selected: Model, corpus: Corpus) -> dict[str, Any]:
    """Figures on validation and test (test is looked at here, once, and nowhere else)."""
    held_out = [name for name in ("validation", "test") if name in corpus.splits]
    metrics: dict[str, Any] = {
        # What validation chose is measured on it: refitted weights have learned from it.
        name: (selected if name == "validation" else model).evaluate(corpus, name)
        for name in held_out
    }
    metrics["baselines"] = {}
    metrics["baseline_split"] = held_out[-1]
    metrics["corpus"] = {
        "name": corpus.name,
        "license": corpus.license,
        "description": corpus.description,
        "rows": {name: len(split) for name, split in corpus.splits.items()},
        "notes": list(corpus.notes),
        "example": model.task.example(corpus.splits[held_out[-1]]),
    }
    return metrics


def _course(trainer: Trainer) -> dict[str, Any]:
    return {
        "seed": trainer.seed,
        "best_epoch": trainer.best_epoch,
        "steps": trainer.steps,
        "stopped": trainer.stop_reason,
        "epochs": trainer.history,
    }


def _interruption(trainer: Trainer) -> str:
    if trainer.best_epoch is None:
        return f"interrupted in epoch {trainer.epoch}, before its validation"
    return (
        f"interrupted in epoch {trainer.epoch}; keeping the weights of epoch {trainer.best_epoch}"
    )
