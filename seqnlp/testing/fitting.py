"""Small runs of training with a hook, and what is looked at around them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn import dropout_sites
from seqnlp.testing.contract import Violation
from seqnlp.testing.toys import RECURRENT, toy_corpus, toy_settings, toy_task
from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import Checkpoints

MOMENTS = tuple(name for name in vars(Hook) if name.startswith("on_"))
TEXTS = ("It was fine and then dull .", "It was weak .")


class Watch(Hook):
    """Stands around a hook and looks at the trainer before and after it acts.

    Args:
        hook: what acts.
        before: is called with moment and trainer.
        after: is called with moment, trainer and what `before` gave.
    """

    def __init__(
        self,
        hook: Hook,
        before: Callable[[str, Trainer], Any],
        after: Callable[[str, Trainer, Any], None],
    ) -> None:
        def act(moment: str) -> Callable[[Trainer], None]:
            def acting(trainer: Trainer) -> None:
                found = before(moment, trainer)
                getattr(hook, moment)(trainer)
                after(moment, trainer, found)

            return acting

        for moment in MOMENTS:
            setattr(self, moment, act(moment))


class Failing(Hook):
    """Raises an error of its own at a moment, before any other hook acts there."""

    order = -(10**9)

    def __init__(self, moment: str, *, step: int = 0) -> None:
        def fail(trainer: Trainer) -> None:
            if trainer.steps >= step:
                raise PlannedError(moment)

        setattr(self, moment, fail)


class PlannedError(Exception):
    """What `Failing` raises."""


_SEED = 40_961  # none that a hook would come upon


def fit(
    hooks: Sequence[Hook],
    folder: Path | None,
    *,
    validated: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Trainer:
    """Train the toy task, always the same, with these hooks; go on from a checkpoint, if any.

    Returns:
        The trainer, after its run.
    """
    task, corpus = toy_task(toy_settings(model=RECURRENT)), toy_corpus()
    settings = task.settings.train
    rows = task.read(corpus.split("train"), training=True)
    trainer = Trainer(task, settings, hooks, seed=0, folder=folder, checkpoints=checkpoints)
    validation = corpus.split("validation")
    torch.manual_seed(_SEED)
    if validated:
        trainer.fit(rows, task.read(validation), task.references(validation))
    else:
        trainer.fit(rows, None, last_epoch=settings.epochs)
    return trainer


def weights_of(trainer: Trainer) -> dict[str, Tensor]:
    """Copies of all weights."""
    return {name: value.detach().clone() for name, value in trainer.task.state_dict().items()}


def answers_of(trainer: Trainer) -> list[float]:
    """Probabilities of two texts, in evaluation."""
    found = trainer.task.answer_texts(list(TEXTS), batch_size=2)
    return [share for each in found for share in (each.probabilities or {}).values()]


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """The names of weights that differ."""
    return [
        name for name in one if not torch.allclose(one[name], other[name], rtol=1e-5, atol=1e-6)
    ]


def loop_of(trainer: Trainer) -> dict[str, object]:
    """What is the trainer's alone to change."""
    loss = trainer.loss if math.isfinite(trainer.loss) else None
    return {
        "epoch": trainer.epoch,
        "steps": trainer.steps,
        "batch_number": trainer.batch_number,
        "loss": loss,
        "len(history)": len(trainer.history),
        "task.training": trainer.task.training,
        "torch.is_grad_enabled()": torch.is_grad_enabled(),
        "torch.initial_seed()": torch.initial_seed(),
    }


def changes_left(trainer: Trainer) -> list[str]:
    """What a task has after a run that it had not before, as the author of a hook would say it."""
    task, found = trainer.task, []
    for name, sites in dropout_sites(task).items():
        if any(site.rate for site in sites):
            found.append(f"the dropout site {name!r} has a rate")
    for name, part in task.named_modules():
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            if getattr(part, kind):
                found.append(f"{name or 'the task'} has {kind[1:].replace('_', ' ')}")
    for name, weight in task.named_parameters():
        if not weight.requires_grad:
            found.append(f"{name} is frozen")
    return found


def loose_ends(hook: Hook, threads: set[threading.Thread]) -> list[str]:
    """Files that a hook holds open, and threads that were not there before."""
    found = [
        f"self.{name} is open"
        for name, value in vars(hook).items()
        if getattr(value, "closed", True) is False
    ]
    started = set(threading.enumerate()) - threads
    return found + [f"the thread {each.name} runs" for each in started if each.is_alive()]


def plain(value: object, path: str = "state_dict()") -> None:
    """Insist on JSON values and tensors all through.

    Raises:
        Violation: something else.
    """
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise Violation(f"{path} has the key {key!r}", "let all keys be strings")
            plain(each, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            plain(each, f"{path}[{number}]")
    elif not isinstance(value, Tensor | str | int | float | bool | None):
        raise Violation(
            f"{path} is {type(value).__name__}",
            "return numbers, strings, tensors, and lists and dicts of them: nothing else is saved",
        )


def same(one: object, other: object) -> bool:
    """Whether two states are equal, tensors by value."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list | tuple):
        return (
            isinstance(other, list | tuple)
            and len(one) == len(other)
            and all(map(same, one, other))
        )
    return one == other


def copied(state: dict[str, Any]) -> dict[str, Any]:
    """A state that shares nothing with the hook."""
    return deepcopy(state)
