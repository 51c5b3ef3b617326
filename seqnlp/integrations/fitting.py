"""Classifiers trained on examples in memory, as by `seqnlp train`, which leave nothing behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp.bundle import Model
from seqnlp.config import CorpusSettings, Settings
from seqnlp.data.corpus import MEMORY, Corpus, CorpusRequest, Split, assemble
from seqnlp.errors import InputError
from seqnlp.tasks.labeled import WEIGHT, class_weights
from seqnlp.tasks.options import options_of
from seqnlp.tasks.pipelines import fit_pipeline
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.tasks.vectors import start_vectors
from seqnlp.training.hooks.base import Hook
from seqnlp.training.members import Course
from seqnlp.training.preparation import choose_device, complete, make_hooks
from seqnlp.training.trainer import Trainer

_WHOLE_RUNS = ("schedule", "early_stopping", "best_checkpoint", "average", "checkpoint", "diagnose")
"""Hooks that mean nothing where nobody knows when the training ends."""


def completed(settings: Settings) -> Settings:
    """Settings with every default written out and every name checked, of a corpus in memory.

    Raises:
        InputError: a task other than sentiment, or see `training.preparation.complete`.
    """
    if settings.task != "sentiment":
        raise InputError(
            f"the settings are of the task {settings.task!r}; a classifier has 'sentiment'"
        )
    share = settings.corpus.validation_share
    corpus = CorpusSettings(validation_share=share)
    whole = complete(settings.model_copy(update={"corpus": corpus}))
    # After `complete`, which would take it for a file that happens to have this name.
    corpus = CorpusSettings(name=MEMORY, validation_share=share)
    return whole.model_copy(update={"corpus": corpus})


def fit(
    settings: Settings,
    texts: Sequence[str],
    labels: Sequence[str],
    weights: NDArray[np.float64] | None = None,
    *,
    validate: bool = True,
) -> Model:
    """Train a model; the state of torch's generators and its threads are as before.

    Args:
        settings: those that `completed` gives.
        texts: N of them, none blank.
        labels: N of them, of at least two kinds.
        weights: float64 [N], above 0; None for 1.
        validate: whether a share of the examples is cut off to choose the epoch by, where there
            are more than labels.

    Raises:
        TrainingError: the run failed.
        KeyboardInterrupt: by Ctrl-C.
    """
    corpus = _corpus(settings, texts, labels, weights, validate=validate)
    with undisturbed(settings):
        seeds = range(settings.seed, settings.seed + settings.ensemble)
        trained = [_train_member(settings, corpus, seed) for seed in seeds]
        tasks = [task for task, _ in trained]
        task = tasks[0] if len(tasks) == 1 else SentimentTask.combine(tasks)
    task.settings = settings
    courses = [course.told() for _, course in trained]
    rows = {name: len(split) for name, split in corpus.splits.items()}
    return Model(task, {"training": courses, "corpus": {"name": MEMORY, "rows": rows}})


def begin(settings: Settings, texts: Sequence[str], labels: Sequence[str]) -> Model:
    """A model that has learned nothing but its vocabulary, to go on with by `go_on`.

    Args:
        settings: those that `completed` gives.
        texts: to take the vocabulary from.
        labels: all that there will ever be, each once.

    Raises:
        InputError: the settings ask for what needs all texts at once.
    """
    options = options_of(settings)
    for key, chosen in (("evidence", options.evidence), ("class_weights", options.class_weights)):
        if chosen in ("naive_bayes", "logistic", "balanced"):
            raise InputError(
                f"head.{key} = {chosen!r} is made of all texts at once, and not part by part; "
                "use 'none', or fit"
            )
    weights = class_weights(options.class_weights, {}, tuple(labels))
    rows = [{"text": text} for text in texts]
    split = Split.from_examples("train", rows, origin=MEMORY, lasting=False)
    corpus = Corpus(name=MEMORY, splits={"train": split})
    with undisturbed(settings):
        torch.manual_seed(settings.seed)
        pipeline = fit_pipeline(settings.text, corpus, "text")
        task = SentimentTask(
            settings, pipeline, labels=tuple(labels), weights=weights, members=settings.ensemble
        )
        embeddings = (member.embedding for member in task.members)
        start_vectors(embeddings, settings.text, corpus, task.pipelines)  # type: ignore[arg-type]
    device = choose_device(settings.device)
    return Model(task.to(device), {"training": [], "corpus": {"name": MEMORY}})


def go_on(
    model: Model,
    texts: Sequence[str],
    labels: Sequence[str],
    weights: NDArray[np.float64] | None = None,
    *,
    state: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a model on for one epoch of these examples, by hooks that do not look to an end.

    Args:
        model: is changed.
        texts, labels, weights: see `fit`; labels are among those of the model.
        state: what the call before has returned.

    Returns:
        Where the optimizer stands.
    """
    task, settings = model.task, model.settings
    split = _split(texts, labels, weights)
    chosen = {name: on for name, on in settings.hooks.items() if name not in _WHOLE_RUNS}
    with undisturbed(settings):
        trainer = Trainer(task, settings.train, _hooks(settings, chosen), seed=settings.seed)
        if state is not None:
            trainer.optimizer.load_state_dict(dict(state["optimizer"]))
            trainer.epoch, trainer.steps = state["epoch"], state["steps"]
        torch.manual_seed(settings.seed + trainer.steps)
        _run(trainer, Corpus(name=MEMORY, splits={"train": split}), trainer.epoch + 1)
    task.eval()
    return {
        "optimizer": trainer.optimizer.state_dict(),
        "epoch": trainer.epoch,
        "steps": trainer.steps,
    }


_lock = threading.RLock()


def _renew_lock() -> None:
    """What another thread holds at a fork is never let go in the new process."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def undisturbed(settings: Settings) -> Iterator[None]:
    """Compute as a run of these settings does; afterwards all is as before.

    Threads wait for one another: torch has one generator for all of them.
    """
    device = choose_device(settings.device)
    threads = torch.get_num_threads()
    # Numbers too small for a normal float slow a CPU down tenfold and change nothing.
    flushed = (torch.full((1,), 1e-38) * 0.1).item() == 0
    devices = [] if device.type == "cpu" else [torch.cuda.current_device()]
    with _lock, torch.random.fork_rng(devices):
        try:
            torch.set_flush_denormal(True)
            if settings.threads is not None:
                torch.set_num_threads(settings.threads)
            yield
        finally:
            torch.set_flush_denormal(flushed)
            torch.set_num_threads(threads)


def _train_member(settings: Settings, corpus: Corpus, seed: int) -> tuple[SentimentTask, Course]:
    task, trainer = _train(settings, corpus, seed)
    course = Course.of(trainer)
    if settings.train.refit and trainer.figures:
        whole = corpus.with_all_in_train()
        whole = Corpus(name=MEMORY, splits={"train": whole.split("train")})
        task, _ = _train(settings, whole, seed, trainer.best_epoch or trainer.epoch)
    return task.eval(), course


def _train(
    settings: Settings, corpus: Corpus, seed: int, last_epoch: int | None = None
) -> tuple[SentimentTask, Trainer]:
    torch.manual_seed(seed)
    task = SentimentTask.create(settings, corpus).to(choose_device(settings.device))
    hooks = _hooks(settings, {**settings.hooks, "checkpoint": False})
    trainer = Trainer(task, settings.train, hooks, seed=seed)
    _run(trainer, corpus, last_epoch)
    return task, trainer


def _run(trainer: Trainer, corpus: Corpus, last_epoch: int | None) -> None:
    task = trainer.task
    rows = task.read(corpus.split("train"), training=True)
    held_out = corpus.splits.get("validation")
    if held_out is None:
        trainer.fit(rows, None, last_epoch=last_epoch)
    else:
        references = task.references(held_out)
        trainer.fit(rows, task.read(held_out), references, last_epoch=last_epoch)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _hooks(settings: Settings, chosen: Mapping[str, Any]) -> list[Hook]:
    return make_hooks(settings.model_copy(update={"hooks": dict(chosen)}), None)


def _corpus(
    settings: Settings,
    texts: Sequence[str],
    labels: Sequence[str],
    weights: NDArray[np.float64] | None,
    *,
    validate: bool,
) -> Corpus:
    """Train and validation, cut as they are cut off a file."""
    # A label of a single example stays in train.
    possible = validate and len(texts) > len(set(labels))
    request = CorpusRequest(
        fields=SentimentTask.fields,
        seed=settings.seed,
        validation_share=settings.corpus.validation_share if possible else 0.0,
    )
    return assemble(MEMORY, {"train": _split(texts, labels, weights)}, request=request)


def _split(
    texts: Sequence[str], labels: Sequence[str], weights: NDArray[np.float64] | None
) -> Split:
    columns: dict[str, Sequence[Any]] = {"text": texts, "label": labels}
    if weights is not None:
        columns[WEIGHT] = weights.tolist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Split.from_examples("train", rows, origin=MEMORY, lasting=False)
