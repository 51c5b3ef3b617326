"""A whole run: settings in, a trained and measured model out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from seqnlp import registry
from seqnlp.bundle import MANIFEST, Model
from seqnlp.config import Settings, build, validate_section
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import InputError, TrainingError
from seqnlp.tasks.base import Task
from seqnlp.training.hooks.base import Hook
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
    folder = claim_folder(Path(output), force=force)
    try:
        return _run(settings, folder, device, hooks, notify)
    except InputError:
        _leave_folder(folder)
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
    )
    for note in corpus.notes:
        notify(note)
    chosen_members: list[Task] = []
    members: list[Task] = []
    courses: list[dict[str, Any]] = []
    for seed in range(settings.seed, settings.seed + settings.ensemble):
        task, trainer = _train_one(task_class, settings, corpus, seed, device, folder, hooks)
        courses.append(_course(trainer))
        if trainer.best_epoch is not None:
            chosen_members.append(task)
            members.append(task)
        if trainer.interrupted:
            notify(_interruption(trainer))
            break
        if settings.train.refit:
            notify(f"training again on train and validation, up to epoch {trainer.best_epoch}")
            whole = corpus.with_all_in_train()
            task, again = _train_one(
                task_class, settings, whole, seed, device, folder, hooks, trainer.best_epoch
            )
            if again.interrupted:
                notify("interrupted; keeping the weights that validation chose")
                courses[-1]["stopped"] = "interrupted"
                break
            members[-1] = task
    if not members:
        raise TrainingError("interrupted before the first validation: there is nothing to save")
    model = Model(_together(task_class, settings, members), {})
    # What validation chose is what validation measures: the final weights may have learned from it.
    selected = Model(_together(task_class, settings, chosen_members), {})
    interrupted = any(course["stopped"] == "interrupted" for course in courses)
    model.metrics = _measure(model, selected, corpus, courses, interrupted=interrupted)
    model.metrics["seconds"] = time.perf_counter() - started
    if folder is not None:
        model.save(folder)
    if not interrupted:
        # After the first save: nothing that a baseline does can lose the model.
        model.metrics["baselines"] = model.task.baselines(corpus)
        if folder is not None:
            model.save(folder)
    return model


def complete(settings: Settings) -> Settings:
    """Fill in the defaults of the task's own options, and check every name before work begins.

    Raises:
        UnknownNameError: a part that is not registered.
        SettingsError: an option that the task does not have.
    """
    task_class = registry.tasks.get(settings.task)
    head = validate_section(task_class.Options, settings.head, "head")
    registry.encoders.get(settings.model.encoder)
    registry.cells.get(settings.model.cell)
    for name in settings.hooks:
        registry.hooks.get(name)
    return settings.model_copy(update={"head": head.model_dump(mode="json", exclude_none=True)})


def make_hooks(settings: Settings, folder: Path | None) -> list[Hook]:
    """The hooks that the settings name; a run with a folder always has a log."""
    chosen = {name: options for name, options in settings.hooks.items() if options is not False}
    if folder is not None:
        chosen.setdefault("log", {})
    places: dict[str, dict[str, object]] = {}
    if folder is not None:
        places = {"log": {"path": folder / "log.jsonl"}, "tensorboard": {"folder": folder}}
    made: list[Hook] = []
    for name, options in chosen.items():
        options = {**places.get(name, {}), **options}
        made.append(build(registry.hooks.get(name), options, where=f"hooks.{name}"))
    return made


def choose_device(name: str) -> torch.device:
    """The device of a name: "auto" is a GPU where there is one.

    Raises:
        InputError: a GPU that is not there, or no device of torch's.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"no device {name!r}; expected auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"the device {name!r} was asked for, but torch finds no GPU; use cpu")
    return device


def in_use(path: Path) -> bool:
    """Whether a path holds anything but the log of a run that failed."""
    return path.exists() and (
        not path.is_dir() or any(entry.name != "log.jsonl" for entry in path.iterdir())
    )


def claim_folder(path: Path, *, force: bool) -> Path:
    """Make the folder of a run and see that it can be written to, before work begins.

    Raises:
        InputError: it holds something and `force` is false, or it cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder")
    if in_use(path) and not force:
        what = "a model" if (path / MANIFEST).exists() else "other files"
        raise InputError(f"{path} is in use: it holds {what}; --force replaces it")
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "log.jsonl").write_bytes(b"")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return path


def _leave_folder(path: Path) -> None:
    """Take a claimed folder back where the run was refused before it had anything to keep."""
    if sorted(entry.name for entry in path.iterdir()) == ["log.jsonl"]:
        (path / "log.jsonl").unlink()
        path.rmdir()


def _train_one(
    task_class: type[Task],
    settings: Settings,
    corpus: Corpus,
    seed: int,
    device: torch.device,
    folder: Path | None,
    hooks: Sequence[Hook],
    last_epoch: int | None = None,
) -> tuple[Task, Trainer]:
    """One model of one seed; with `last_epoch`, up to that epoch and without validation."""
    torch.manual_seed(seed)
    task = task_class.create(settings, corpus).to(device)
    made = [*make_hooks(settings, folder), *hooks]
    rows = task.read(corpus.split("train"), training=True)
    trainer = Trainer(task, settings.train, made, seed=seed)
    if last_epoch is not None:
        trainer.fit(rows, None, last_epoch=last_epoch)
    else:
        validation = corpus.split("validation")
        trainer.fit(rows, task.read(validation), task.references(validation))
    return task, trainer


def _together(task_class: type[Task], settings: Settings, members: list[Task]) -> Task:
    task = members[0] if len(members) == 1 else task_class.combine(members)
    task.settings = settings.model_copy(update={"ensemble": len(members)})
    return task


def _measure(
    model: Model,
    selected: Model,
    corpus: Corpus,
    courses: list[dict[str, Any]],
    *,
    interrupted: bool,
) -> dict[str, Any]:
    """Figures on validation and test (test is looked at here, once, and nowhere else)."""
    held_out = [name for name in ("validation", "test") if name in corpus.splits]
    metrics: dict[str, Any] = {
        name: (selected if name == "validation" else model).evaluate(corpus, name)
        for name in held_out
    }
    metrics["baselines"] = {}
    metrics["baseline_split"] = held_out[-1]
    metrics["training"] = courses
    metrics["interrupted"] = interrupted
    metrics["corpus"] = {
        "name": corpus.name,
        "license": corpus.license,
        "description": corpus.description,
        "rows": {name: len(split) for name, split in corpus.splits.items()},
        "notes": list(corpus.notes),
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
