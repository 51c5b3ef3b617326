"""Where a training stands, as a value, and back: what a checkpoint holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.training.randomness import random_state, set_random_state

if TYPE_CHECKING:
    from seqnlp.training.hooks.base import Hook
    from seqnlp.training.trainer import Trainer

PLAIN = (
    "epoch", "steps", "batch_number", "stage", "loss", "figures", "goodness", "history",
    "best_epoch", "examples_seen", "stop_reason", "stops_now", "total", "units", "train_seconds",
    "steps_per_epoch",
)  # fmt: skip
"""The trainer's own values that are JSON."""


def state_of(trainer: Trainer) -> dict[str, Any]:
    """All that the rest of a training depends on; a call that all processes of a group make.

    While validation is looked at, the generators are given as they stood before: it is begun anew.
    """
    own = trainer.random if trainer.stage == "validating" else random_state()
    assert own is not None
    return {
        "trainer": {name: getattr(trainer, name) for name in PLAIN},
        "task": trainer.task.state_dict(),
        "optimizer": _with_text_keys(trainer.optimizer.state_dict()),
        "hooks": {name: state for name, hook in _named(trainer.hooks)
                  if (state := hook.state_dict())},
        "precision": trainer.precision.state_dict(),
        "meter": trainer.meter.state_dict(),
        "random": trainer.group.gather(own),
    }  # fmt: skip


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put a trainer, just begun, to where `state_of` found one of the same settings.

    Raises:
        InputError: the state is of other hooks, or of another number of processes.
    """
    hooks = dict(_named(trainer.hooks))
    missing = sorted(state["hooks"].keys() - hooks.keys())
    # The log and the display are the main process's alone.
    if missing and trainer.group.main:
        raise InputError(
            f"the checkpoint has the state of {', '.join(missing)}, which this run does not have; "
            "give it the hooks that it was begun with"
        )
    if len(state["random"]) != trainer.group.size:
        raise InputError(
            f"the checkpoint is of {len(state['random'])} processes, and this run of "
            f"{trainer.group.size}; start as many as before"
        )
    for name in PLAIN:
        setattr(trainer, name, state["trainer"][name])
    device = trainer.task.device
    trainer.task.load_state_dict(state["task"])
    trainer.optimizer.load_state_dict(_as_before(state["optimizer"], trainer.optimizer))
    for name, hook in hooks.items():
        if name in state["hooks"]:
            hook.load_state_dict(_moved(state["hooks"][name], device))
    trainer.precision.load_state_dict(state["precision"])
    trainer.meter.load_state_dict(state["meter"])
    # Last, since all of the above may draw.
    set_random_state(state["random"][trainer.group.rank])


def _named(hooks: Sequence[Hook]) -> Iterator[tuple[str, Hook]]:
    """Each hook by its class, and a number where there are several of it."""
    seen: Counter[str] = Counter()
    for hook in hooks:
        name = type(hook).__name__
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} {seen[name]}"), hook


def _with_text_keys(state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's state, whose parameters have numbers for names."""
    by_name = {str(number): each for number, each in state["state"].items()}
    return {"state": by_name, "param_groups": state["param_groups"]}


def _as_before(state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What `_with_text_keys` was given; pairs that have become lists are pairs again."""
    groups = [
        {key: tuple(value) if isinstance(old.get(key), tuple) else value
         for key, value in new.items()}
        for new, old in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]  # fmt: skip
    by_number = {int(name): each for name, each in state["state"].items()}
    return {"state": by_number, "param_groups": groups}


def _moved(value: Any, device: torch.device) -> Any:
    """A hook's state with its tensors on the device of the weights."""
    match value:
        case Tensor():
            return value.to(device)
        case Mapping():
            return {name: _moved(each, device) for name, each in value.items()}
        case list():
            return [_moved(each, device) for each in value]
    return value
