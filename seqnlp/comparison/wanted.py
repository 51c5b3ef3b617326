"""What a comparison asks for: runs that are there, and runs that are still to be trained."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqnlp.comparison.jobs import Job, finished, seeds_of, with_seed
from seqnlp.comparison.runs import Run, System
from seqnlp.config import Settings
from seqnlp.errors import InputError, SettingsError

FIXED = ("task", "seed", "ensemble", "device", "threads")
"""Keys that no variants of one comparison differ in."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A system that is to be compared. jobs: its runs that are not there yet."""

    name: str
    runs: tuple[Run, ...] = ()
    jobs: tuple[Job, ...] = ()

    @property
    def settings(self) -> Settings:
        """Of one of its runs."""
        return self.runs[0].settings if self.runs else self.jobs[0].settings


def more_seeds(system: System, count: int) -> Wanted:
    """A system of saved runs with `count` seeds, from the first one's on.

    Those that are missing are to be `FOLDER-seed-N`, unless they are there.

    Raises:
        InputError: something else is in such a folder.
    """
    first = system.runs[0]
    # "." and ".." have no name that another could stand beside.
    place = first.folder if first.folder.name not in ("", "..") else first.folder.resolve()
    base = re.sub(r"-seed-\d+$", "", place.name)
    known = {run.seed: run for run in system.runs}
    runs, jobs = list(system.runs), list[Job]()
    for seed in seeds_of(first.settings, count):
        if seed in known:
            continue
        folder = place.with_name(f"{base}-seed-{seed}")
        job = Job.of(with_seed(first.settings, seed), folder)
        run = finished(job)
        if run is None:
            jobs.append(job)
        else:
            runs.append(run)
    runs.sort(key=lambda run: run.seed)
    return Wanted(name=system.name, runs=tuple(runs), jobs=tuple(jobs))


def wanted_variants(
    variants: Sequence[tuple[str, Settings]],
    keys: Sequence[str],
    count: int,
    output: Path | None,
) -> list[Wanted]:
    """Variants by name, each with `count` seeds, as folders NAME-seed-N in one.

    Args:
        variants: their names and settings.
        keys: what they differ in.
        count: of the seeds of each.
        output: the folder; without one the first of `runs/CORPUS-by-KEYS`, `-2`, ... that holds
            nothing else.

    Raises:
        SettingsError: a key that says what is learned and not how.
        InputError: something else is in a folder.
    """
    for key in keys:
        if key in FIXED or key.startswith("corpus."):
            raise SettingsError(f"--vary {key}: variants are of one {key.partition('.')[0]}")
    jobs = {
        name: [(with_seed(settings, seed), f"{name}-seed-{seed}")
               for seed in seeds_of(settings, count)]
        for name, settings in variants
    }  # fmt: skip
    if output is not None:
        return _wanted(jobs, output)
    corpus = re.sub(r"[^\w.-]+", "-", Path(variants[0][1].corpus.name).name).strip("-") or "corpus"
    base = Path("runs") / f"{corpus}-by-{'-'.join(key.rpartition('.')[2] for key in keys)}"
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            return _wanted(jobs, folder)
        except _OtherError:
            continue
    raise AssertionError  # there is always another number


class _OtherError(InputError):
    """A folder that holds something else."""


def _wanted(jobs: dict[str, list[tuple[Settings, str]]], folder: Path) -> list[Wanted]:
    wanted = []
    for name, own in jobs.items():
        made = [Job.of(settings, folder / place) for settings, place in own]
        try:
            found = [finished(job) for job in made]
        except InputError as error:
            raise _OtherError(str(error)) from error
        runs = tuple(run for run in found if run is not None)
        missing = tuple(job for job, run in zip(made, found, strict=True) if run is None)
        wanted.append(Wanted(name=name, runs=runs, jobs=missing))
    return wanted
