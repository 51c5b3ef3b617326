"""What is settled before a run begins: settings completed, hooks made, device and folder chosen."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from seqnlp import registry
from seqnlp.bundle import MANIFEST
from seqnlp.config import DEFAULT_HOOKS, Settings, build, validate_section
from seqnlp.errors import InputError, SettingsError
from seqnlp.nn import engines
from seqnlp.training.checkpoints import FOLDER
from seqnlp.training.hooks.base import Hook
from seqnlp.training.hooks.reporting import LOG
from seqnlp.training.record import begun, forget

LOGS = frozenset({LOG, "tensorboard", "wandb", "mlflow.db"})
"""What the hooks of a run that fails may leave in its folder."""


def complete(settings: Settings) -> Settings:
    """Write out every default that the run depends on, and check every name before work begins.

    Raises:
        UnknownNameError: a part that is not registered.
        SettingsError: an option that the task does not have, or two that exclude each other.
    """
    task_class = registry.tasks.get(settings.task)
    head = validate_section(task_class.Options, settings.head, "head")
    engines.check(settings.model.engine)
    _check_languages(settings, [field.name for field in task_class.fields])
    for kind, name in task_class.named_parts(settings):
        registry.REGISTRIES[kind].get(name)
    hooks = {name: settings.hooks.get(name, False) for name in DEFAULT_HOOKS} | settings.hooks
    for name in hooks:
        registry.hooks.get(name)
    schedule = hooks.get("schedule", False)
    plateau = isinstance(schedule, dict) and schedule.get("kind") == "plateau"
    if settings.train.refit and plateau:
        raise SettingsError(
            "train.refit: the schedule 'plateau' needs a validation after every epoch, which "
            "training again has not; use another kind"
        )
    return settings.model_copy(
        update={
            "head": head.model_dump(mode="json", exclude_none=True),
            "hooks": hooks,
            "corpus": settings.corpus.model_copy(update={"name": _lasting(settings.corpus.name)}),
        }
    )


def _lasting(corpus: str) -> str:
    """A corpus by a name that leads to the same files from wherever saved settings are used."""
    family, _, argument = corpus.partition(":")
    registered = family in registry.corpora.names()
    # nltk:word names no file of the folder one happens to be in.
    looks_like_one = "/" in argument or Path(argument).suffix
    if registered and looks_like_one and Path(argument).exists():
        return f"{family}:{Path(argument).resolve()}"
    if registered or not Path(corpus).exists():
        return corpus
    return str(Path(corpus).resolve())


def _check_languages(settings: Settings, fields: Sequence[str]) -> None:
    for side in ("source", "target"):
        language = getattr(settings.corpus, side)
        if language is not None and side not in fields:
            raise SettingsError(
                f"corpus.{side}: the task {settings.task!r} reads no {side}, so no language "
                f"{language!r}; it reads {' and '.join(fields)}"
            )


def make_hooks(settings: Settings, folder: Path | None) -> list[Hook]:
    """The hooks that the settings name; a run with a folder always has a log."""
    chosen = {
        name: {} if options is True else options
        for name, options in settings.hooks.items()
        if options is not False
    }
    if folder is not None:
        chosen.setdefault("log", {})
    return [
        build(registry.hooks.get(name), options, where=f"hooks.{name}")
        for name, options in chosen.items()
    ]


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
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"the device {name!r} is not supported; expected auto, cpu or cuda")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"the device {name!r} was asked for, but torch finds no GPU; use cpu")
    return device


def in_use(path: Path) -> bool:
    """Whether a path holds anything but what a run leaves that failed or was killed at its ends."""
    if not path.is_dir():
        return path.exists()
    left = LOGS if begun(path) else {*LOGS, FOLDER}
    return any(entry.name not in left for entry in path.iterdir())


def claim_folder(path: Path, *, force: bool) -> None:
    """Make the folder of a run and see that it can be written to, before work begins.

    Raises:
        InputError: it holds something and `force` is false, or it cannot be written to.
    """
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; name a folder")
    if begun(path) and not force:
        raise InputError(
            f"{path} is in use: it holds a run that is not complete; --resume {path} goes on with "
            "it, --force begins anew"
        )
    if in_use(path) and not begun(path) and not (path / MANIFEST).is_file():
        raise InputError(f"{path} is in use: it holds files that are no model; name another folder")
    if in_use(path) and not force:
        raise InputError(f"{path} is in use: it holds a model; --force replaces it")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with (path / LOG).open("ab"):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def leave_folder(path: Path) -> None:
    """Take a claimed folder back where the run was refused before it had anything to keep."""
    if any((path / FOLDER).glob("*/*.checkpoint")):
        return
    forget(path)
    if not in_use(path):
        shutil.rmtree(path)
