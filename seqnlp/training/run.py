"""A whole run: settings in, a trained and measured model out."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import InputError, OtherFailedError, StoppedError, TrainingError
from seqnlp.files import held, sweep
from seqnlp.training.distributed import Group
from seqnlp.training.hooks.base import Hook
from seqnlp.training.hooks.reporting import LOG
from seqnlp.training.members import Members, Place
from seqnlp.training.preparation import choose_device, claim_folder, complete, leave_folder
from seqnlp.training.record import RunRecord, begun, forget, read_record


def train(
    settings: Settings,
    output: Path | str | None = None,
    *,
    force: bool = False,
    resume: bool = False,
    hooks: Sequence[Hook] = (),
    notify: Callable[[str], None] = lambda _: None,
) -> Model:
    """Train, measure on validation and test, and save.

    Under torchrun, its processes train together; the model's figures are the main one's alone.

    Args:
        settings: describe the run completely; the same settings give the same weights on one CPU.
        output: the model's folder; without one nothing is written.
        force: replace what is in the folder.
        resume: go on with the run that was begun in the folder, to the same weights as if it had
            never stopped; where none was, begin one.
        hooks: more hooks than the settings name, such as a progress display.
        notify: is told, in one line each, what a person should know.

    Returns:
        The model; `model.metrics` has the figures of validation, test and the baselines.

    Raises:
        InputError: the corpus, the settings or the folder cannot be used; or the run was begun with
            others.
        TrainingError: the run failed; the message says where and what to try.
        StoppedError: a signal ended it before there was a model; the message says how to go on.
    """
    group = Group.from_environment(settings.device)
    try:
        return _train(settings, output, group, force=force, resume=resume, hooks=hooks,
                      notify=notify)  # fmt: skip
    except BaseException as error:
        if not group.fails_first():
            status = 130 if isinstance(error, KeyboardInterrupt) else 1
            raise OtherFailedError(getattr(error, "exit_status", status)) from error
        raise
    finally:
        group.close()


def _train(
    settings: Settings,
    output: Path | str | None,
    group: Group,
    *,
    force: bool,
    resume: bool,
    hooks: Sequence[Hook],
    notify: Callable[[str], None],
) -> Model:
    device = choose_device(settings.device)
    settings = complete(settings)
    if settings.threads is not None or group.size > 1:
        torch.set_num_threads(settings.threads or group.cores)
    # Numbers too small for a normal float slow a CPU down tenfold and change nothing.
    torch.set_flush_denormal(True)
    folder = None if output is None or not group.main else Path(output)
    place = Place(device=device, folder=folder, group=group, hooks=hooks, notify=notify)
    if folder is None:
        return _run(settings, place, resumed=False)
    fresh = not folder.exists()
    resumed = resume and begun(folder)
    if not resumed:
        claim_folder(folder, force=force)
    with held(folder) as free:
        if not free:
            raise InputError(
                f"{folder} is in use: another process trains there; wait for its end, or name "
                "another folder"
            )
        sweep(folder)
        try:
            return _run(settings, place, resumed=resumed)
        except InputError:
            if fresh:
                leave_folder(folder)
            raise


def _run(settings: Settings, place: Place, *, resumed: bool) -> Model:
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
        place.notify(note)
    if place.folder is not None:
        _begin(settings, corpus, place, resumed=resumed)
    # Sums over another number of threads differ in last bits.
    torch.set_num_threads(place.group.share_state(torch.get_num_threads()))
    members = Members(task_class, settings, place)
    failure: TrainingError | None = None
    try:
        for seed in range(settings.seed, settings.seed + settings.ensemble):
            members.train(corpus, seed)
            if members.interrupted:
                break
    except KeyboardInterrupt:
        members.interrupted = True
    except TrainingError as error:
        if not members.selected:
            _end(place)
            raise
        failure = error
        place.notify(f"{error}; keeping the models that were trained before")
    if not members.selected:
        raise StoppedError(
            f"interrupted before the first validation: no model to save; {members.how_to_go_on()}",
            signal=signal.SIGINT,
        )
    final, selected = members.together()
    model = Model(final, {"training": members.courses, "interrupted": members.interrupted})
    if not place.group.main:
        return model
    if place.folder is not None:
        # Before anything is measured: nothing that happens from here on can lose the model.
        _save(model, place.folder, members)
    model.metrics |= _measure(model, Model(selected, {}), corpus)
    model.metrics["seconds"] = time.perf_counter() - started + members.earlier
    if not members.interrupted and failure is None:
        model.metrics["baselines"] = final.baselines(corpus)
    if place.folder is not None:
        model.save_metrics(place.folder)
    if members.interrupted:
        place.notify(members.how_to_go_on())
    else:
        _end(place)
    if failure is not None:
        raise failure
    return model


def _save(model: Model, folder: Path, members: Members) -> None:
    try:
        model.save(folder)
    except InputError as error:
        raise InputError(f"{error}; {members.how_to_go_on()}") from error


def _begin(settings: Settings, corpus: Corpus, place: Place, *, resumed: bool) -> None:
    """Write down what the run is begun with, or see that it goes on with the same."""
    folder = place.folder
    assert folder is not None
    now = RunRecord.of(settings, corpus, place.group.size)
    if not resumed:
        forget(folder)
        now.write(folder)
        (folder / LOG).write_bytes(b"")
        return
    then = read_record(folder)
    for note in then.check(now, folder):
        place.notify(note)
    torch.set_num_threads(then.threads)


def _end(place: Place) -> None:
    """The run is over, and there is nothing left to go on with."""
    if place.folder is not None:
        forget(place.folder)


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
