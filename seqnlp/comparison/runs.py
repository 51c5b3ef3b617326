"""Saved runs, the systems that they are seeds of, and what their training cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqnlp import registry
from seqnlp.bundle import read_manifest, read_metrics, read_settings
from seqnlp.config import Settings
from seqnlp.errors import InputError

_WATCHING = frozenset({"log", "checkpoint", "tensorboard", "wandb", "mlflow", "diagnose"})
"""Hooks that change nothing of what is learned."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A saved model that has not been loaded."""

    folder: Path
    settings: Settings
    metrics: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """The run in a folder.

        Raises:
            BundleError: no model there, or a damaged one.
            SettingsError: its settings are damaged.
        """
        read_manifest(folder)
        return cls(folder=folder, settings=read_settings(folder), metrics=read_metrics(folder))

    @property
    def seed(self) -> int:
        """The (first) seed of the run."""
        return self.settings.seed

    @property
    def epochs(self) -> list[list[Mapping[str, Any]]]:
        """The records of the epochs of each member."""
        return [list(course.get("epochs", ())) for course in self.metrics.get("training", ())]


@dataclass(frozen=True, kw_only=True)
class System:
    """What is compared: runs that differ in their seeds alone, sorted by seed."""

    name: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the training of a run took; None where its records do not say.

    epochs: of all members. seconds: of their training, without validation.
    peak_memory_mb: of the process, in megabytes of 10^6 bytes.
    """

    epochs: float
    seconds: float | None
    examples_per_second: float | None
    peak_memory_mb: float | None
    peak_gpu_memory_mb: float | None


def cost_of(run: Run) -> Cost:
    """What the training of a run took, from the records of its epochs."""
    records = [record for member in run.epochs for record in member]

    def known(key: str) -> list[float]:
        return [float(record[key]) for record in records if record.get(key) is not None]

    seconds, speeds = known("train_seconds"), known("examples_per_second")
    # By time, and not by epoch: all examples over all seconds.
    weighted = len(speeds) == len(seconds) and sum(seconds) > 0
    speed = sum(s * v for s, v in zip(seconds, speeds, strict=True)) if weighted else 0.0
    return Cost(
        epochs=len(records),
        seconds=sum(seconds) if seconds else None,
        examples_per_second=speed / sum(seconds) if weighted else None,
        peak_memory_mb=max(known("peak_memory_mb"), default=None),
        peak_gpu_memory_mb=max(known("peak_gpu_memory_mb"), default=None),
    )


def learned_from(settings: Settings) -> dict[str, Any]:
    """What of settings decides what is learned, as JSON values: no device, nor what looks on."""
    tables = settings.model_dump(mode="json", exclude={"device", "threads"}, exclude_none=True)
    hooks = tables["hooks"].items()
    tables["hooks"] = {
        name: {} if options is True else options
        for name, options in hooks
        if options is not False and name not in _WATCHING
    }
    return tables


def differing_keys(one: Settings, other: Settings) -> list[str]:
    """The dotted keys of `learned_from` in which two settings differ."""

    def flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
        for key, value in table.items():
            if isinstance(value, Mapping) and value:
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    first, second = dict(flat(learned_from(one))), dict(flat(learned_from(other)))
    absent = object()
    keys = sorted(first | second)
    return [key for key in keys if first.get(key, absent) != second.get(key, absent)]


def systems_of(runs: Sequence[Run], *, apart: bool = True) -> list[System]:
    """Runs that differ in nothing but their seeds, as one system, called by its first folder.

    A seed that occurs again begins another system; and where all runs would be of one system, each
    is one of its own, if they are to be told apart.

    Raises:
        InputError: a folder is named twice.
    """
    places = [run.folder.resolve() for run in runs]
    if twice := [run for run, place in zip(runs, places, strict=True) if places.count(place) > 1]:
        raise InputError(f"{twice[-1].folder} is named twice: it would be compared with itself")
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if run.seed not in {each.seed for each in group} and not (
                set(differing_keys(group[0].settings, run.settings)) - {"seed"}
            ):
                group.append(run)
                break
        else:
            groups.append([run])
    if len(groups) == 1 and apart:
        groups = [[run] for run in runs]
    ordered = (sorted(group, key=lambda run: run.seed) for group in groups)
    return [System(name=str(group[0].folder), runs=tuple(group)) for group in ordered]


def check_comparable(runs: Sequence[Run], *, corpus: str | None) -> None:
    """Raise an InputError, unless all runs answer the same question on the same corpus.

    Args:
        corpus: another one that all are measured on, if any.
    """
    for run in runs[1:]:
        first = runs[0]
        one, other = first.settings, run.settings
        kinds = [registry.tasks.get(each.task) for each in (one, other)]
        # Summaries are compared, whether they are written or picked.
        if one.task != other.task and kinds[0].compare is not kinds[1].compare:
            raise InputError(
                f"{first.folder} is for {one.task} and {run.folder} for {other.task}: models are "
                "compared in one task"
            )
        pairs = [(each.corpus.source, each.corpus.target) for each in (one, other)]
        if None not in (*pairs[0], *pairs[1]) and pairs[0] != pairs[1]:
            told = " and ".join(
                f"{each.folder} translates {source} to {target}"
                for each, (source, target) in zip((first, run), pairs, strict=True)
            )
            raise InputError(f"{told}: models are compared in one direction")
        if corpus is None and one.corpus.name != other.corpus.name:
            raise InputError(
                f"{first.folder} was trained on {one.corpus.name} and {run.folder} on "
                f"{other.corpus.name}: name the corpus to compare them on by --corpus"
            )
