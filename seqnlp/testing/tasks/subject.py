"""A task under test: with few rows of a corpus, and settings of a network that is small."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from seqnlp.config import (
    ModelSettings,
    Section,
    Settings,
    TextSettings,
    TrainSettings,
    load_settings,
    settings_from,
)
from seqnlp.data import Corpus, Split, open_corpus
from seqnlp.errors import InputError
from seqnlp.tasks import Rows, Task
from seqnlp.testing.contract import Part, Violation
from seqnlp.testing.requiring import borrowed

ROWS = 48
"""Of train; the others have a quarter."""

SMALL: Mapping[str, Mapping[str, Any]] = {
    "model": {"embedding_size": 16, "hidden_size": 16},
    "train": {"epochs": 1, "batch_size": 8},
}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A task under test.

    given: corpus (a name, or one that is open), rows (of train), settings (sections, as in a
    recipe) and, by all other names, options of the task.
    """

    part: Part
    given: Mapping[str, Any]

    @classmethod
    def of(cls, part: Part) -> Subject:
        """Tell the options of the check, and sections of settings, from those of the task."""
        given: dict[str, Any] = {"corpus": None, "rows": ROWS, "settings": {}}
        head, sections = dict[str, Any](), dict[str, dict[str, Any]]()
        for name, value in part.options.items():
            section, dot, key = name.partition(".")
            if name in given:
                given[name] = value
            elif dot:
                sections.setdefault(section, {})[key] = value
            else:
                head[name] = value
        for section, table in given["settings"].items():
            sections[section] = {**sections.get(section, {}), **table}
        return cls(part=part, given={**given, "settings": sections, "head": head})

    @property
    def task_class(self) -> type[Task]:
        """The class."""
        return self.part.factory  # type: ignore[return-value]

    def named(self) -> AbstractContextManager[str]:
        """A context in which the task has a name, under which settings find it."""
        return borrowed(self.part)

    @cached_property
    def settings(self) -> Settings:
        """Complete ones, of a small network."""
        with self.named() as name:
            base = load_settings(None, [f'task="{name}"'], base=self.task_class.defaults)
            settings = self._merged(base, SMALL)
            unread = {key.partition(".")[2] for key in self.task_class.unread(settings)}
            if unread:
                model = {k: v for k, v in SMALL["model"].items() if k not in unread}
                settings = self._merged(base, {**SMALL, "model": model})
        return settings

    def _merged(self, base: Settings, small: Mapping[str, Mapping[str, Any]]) -> Settings:
        tables = base.model_dump(exclude_none=True)
        own: Mapping[str, Any] = self.given["settings"]
        for name in {*small, *own}:
            value = own.get(name, {})
            if isinstance(tables.get(name), dict):
                tables[name] = {**tables[name], **small.get(name, {}), **value}
            else:
                tables[name] = value
        tables["hooks"] = dict.fromkeys(base.hooks, False)
        tables["head"] = {**tables["head"], **self.given["head"]}
        return settings_from({**tables, "threads": 1, "device": "cpu"}, "settings")

    @cached_property
    def corpus(self) -> Corpus:
        """Few rows of the corpus that was given, or else of the task's own."""
        given = self.given["corpus"]
        if not isinstance(given, Corpus):
            chosen = self.settings.corpus
            try:
                given = open_corpus(
                    given or chosen.name,
                    fields=self.task_class.fields,
                    columns=chosen.columns,
                    seed=self.settings.seed,
                    validation_share=chosen.validation_share,
                    test_share=chosen.test_share,
                    languages=(chosen.source, chosen.target),
                    max_ratio=chosen.max_ratio or None,
                )
            except InputError as error:
                raise Violation(
                    f"there is nothing to try it on: {error}",
                    "name a corpus that has its fields in `defaults`, as "
                    '{"corpus": {"name": "reviews"}}, or give one: check_task(NAME, corpus=...)',
                ) from error
        return cut(given, self.given["rows"])

    def split(self, name: str) -> Split:
        """One split of few rows."""
        return self.corpus.split(name)

    @property
    def held_out(self) -> str:
        """What answers are asked of."""
        return "validation" if "validation" in self.corpus.splits else "train"

    def create(self, seed: int = 0) -> Task:
        """A new one, its weights drawn by the seed."""
        torch.manual_seed(seed)
        return self.task_class.create(self.settings, self.corpus)

    @cached_property
    def task(self) -> Task:
        """One that several checks share; none changes it."""
        return self.create().eval()

    @cached_property
    def rows(self) -> Rows:
        """The training rows of `task`."""
        return self.task.read(self.split("train"), training=True)

    @cached_property
    def texts(self) -> list[str]:
        """Inputs as users write them."""
        split = self.split(self.held_out)
        return [self.task_class.example(split.select([n])) for n in range(min(4, len(split)))]


def options_of(factory: Callable[..., Any]) -> list[str]:
    """The names that the check of a task takes: its own, the task's, and keys of settings."""
    own = getattr(getattr(factory, "Options", None), "model_fields", {})
    sections: dict[str, type[Section]] = {
        "model": ModelSettings, "text": TextSettings, "train": TrainSettings,
    }  # fmt: skip
    keys = [f"{name}.{key}" for name, each in sections.items() for key in each.model_fields]
    return ["corpus", "rows", *own, *keys]


def cut(corpus: Corpus, rows: int) -> Corpus:
    """A corpus of few rows, from all over its splits, that has no label in validation alone."""
    splits: dict[str, Split] = {}
    labels: set[str] = set()
    for name, split in corpus.splits.items():
        count = min(len(split), rows if name == "train" else max(1, rows // 4))
        chosen = np.unique(np.linspace(0, len(split) - 1, count).astype(np.int64))
        part = split if len(chosen) == len(split) else split.select(chosen)
        if name == "train" and "label" in part.fields:
            labels = set(part.column("label"))
        elif labels:
            part = part.select(
                [i for i, label in enumerate(part.column("label")) if label in labels]
            )
        splits[name] = part
    return replace(corpus, splits=MappingProxyType(splits))
