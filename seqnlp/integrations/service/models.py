"""The models of a service: each from a folder that can be loaded again while it answers."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqnlp.bundle import Model, load
from seqnlp.config import validate_section
from seqnlp.errors import InputError
from seqnlp.integrations.service.refusals import RefusedError
from seqnlp.tasks.base import Task

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_VARIANTS = 64
_WARM = "This is it ."


class Served:
    """A model under a name.

    model: that answers now. loaded_at: when it was loaded, in seconds since 1970.
    """

    def __init__(
        self,
        name: str,
        source: str | Path | Model,
        *,
        quantize: str | None = None,
        engine: str | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} cannot be the name of a model here: letters, digits, '.', '_' and '-', "
                "100 at most; NAME=FOLDER gives another"
            )
        self.name, self._quantize, self._engine = name, quantize, engine
        self.folder = None if isinstance(source, Model) else Path(source)
        self._reloading: asyncio.Task[None] | None = None
        self._begun = False  # whether that one has begun to read the folder
        self._set(source if isinstance(source, Model) else self._load())

    @property
    def task(self) -> Task:
        """The task that answers where a request has no options."""
        return self.model.task

    def task_for(self, options: Mapping[str, Any] | None) -> Task:
        """The task that decodes as a request says; the same one for the same options.

        It shares the weights with the model's own, which is not changed.

        Raises:
            InputError: the task does not decode.
            SettingsError: an option that there is not, or a value that it cannot have.
        """
        if not options:
            return self.task
        key = json.dumps(options, sort_keys=True)
        if (made := self._variants.pop(key, None)) is None:
            made = _decoding(self.task, options)
        self._variants[key] = made
        if len(self._variants) > _MOST_VARIANTS:
            self._variants.popitem(last=False)
        return made

    async def reload(self) -> None:
        """Load the folder again; whoever asks meanwhile, for answers or for this, is served.

        Raises:
            RefusedError: 409 or 422, no model could be loaded, and the one before stays.
        """
        if self._reloading is None or self._begun:
            # What is being read may be older than what is asked for now.
            self._reloading = asyncio.create_task(self._reload(self._reloading))
            self._reloading.add_done_callback(self._reloaded)
            self._begun = False
        # What several wait for does not end with one of them.
        await asyncio.shield(self._reloading)

    async def _reload(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._begun = True
        if self.folder is None:
            raise RefusedError(409, "no_folder", f"the model {self.name!r} is not from a folder")
        try:
            model = await asyncio.to_thread(self._load)
        except Exception as error:
            what = str(error)
            if not isinstance(error, InputError):
                what = f"{self.folder}: {type(error).__name__}: {error}"
            raise RefusedError(
                422, "broken_model", f"{what}; the model that was there goes on answering"
            ) from error
        self._set(model)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        if self._reloading is task:
            self._reloading, self._begun = None, False
        if not task.cancelled():
            task.exception()  # whoever waited has been told, and nobody may have

    def _load(self) -> Model:
        assert self.folder is not None
        model = load(self.folder, engine=self._engine)
        if self._quantize is not None:
            model = model.quantize(self._quantize)
        _check(self.name, model)
        try:
            model(_WARM)  # what is compiled at the first answer
        except InputError:
            pass  # a task may read other texts than sentences
        except Exception as error:
            kind = type(error).__name__
            raise InputError(f"{self.folder}: the model cannot answer: {kind}: {error}") from error
        return model

    def _set(self, model: Model) -> None:
        _check(self.name, model)
        self.model = model
        self.loaded_at = time.time()
        self._variants: OrderedDict[str, Task] = OrderedDict()


def _check(name: str, model: Model) -> None:
    if model.task.reads_files:
        raise InputError(
            f"{name}: the task {model.settings.task!r} reads files by their paths, which no "
            "client of a service may name"
        )


def _decoding(task: Task, options: Mapping[str, Any]) -> Task:
    found = task.decoding
    if found is None:
        raise InputError(
            f"options: the task {task.settings.task!r} writes no texts, so there is nothing to "
            f"set by {', '.join(options)}"
        )
    made = copy.copy(task)
    made.decoding = validate_section(type(found), {**found.model_dump(), **options}, "options")
    return made


def names_of(arguments: tuple[str, ...]) -> dict[str, Path]:
    """Folders by name, from `FOLDER` and `NAME=FOLDER`; a folder that exists is one as it stands.

    Raises:
        InputError: two models of one name.
    """
    found: dict[str, Path] = {}
    for argument in arguments:
        name, sign, folder = argument.partition("=")
        path = Path(folder if sign and not Path(argument).exists() else argument)
        if path == Path(argument) or not name:
            name = path.resolve().name
        if name in found:
            raise InputError(
                f"{path}: the model {name!r} is there already, from {found[name]}; "
                f"NAME={path} gives it another name"
            )
        found[name] = path
    return found
