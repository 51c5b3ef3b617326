"""The runs that a comparison needs and that are not there yet: trained in processes of their own.

A process for each training keeps its peak memory apart from the others', and the cores busy.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO

from seqnlp.comparison.runs import Run, differing_keys
from seqnlp.config import Settings
from seqnlp.errors import InputError, StoppedError, TrainingError
from seqnlp.manifest import MANIFEST
from seqnlp.training.preparation import complete, in_use
from seqnlp.training.record import begun, settings_of

PAUSE = 0.1
"""Seconds between two looks at the trainings."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run that is wanted: settings, completed, and the folder that it is to be in."""

    folder: Path
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, folder: Path) -> Job:
        """A job of settings as a person wrote them.

        Raises:
            InputError: they name what does not exist.
        """
        return cls(folder=folder, settings=complete(settings))


def seeds_of(settings: Settings, count: int) -> list[int]:
    """The first seeds of so many runs: of ensembles, no seed is in two."""
    return [settings.seed + number * settings.ensemble for number in range(count)]


def with_seed(settings: Settings, seed: int) -> Settings:
    """The same settings with another seed."""
    return settings.model_copy(update={"seed": seed})


def finished(job: Job) -> Run | None:
    """The run of a job, where it is in its folder already; None where it is to be trained.

    A run that was begun and not ended will be gone on with.

    Raises:
        InputError: the folder holds something else, or a run of other settings.
    """
    if begun(job.folder):
        _check_settings(job, settings_of(job.folder))
        return None
    if not in_use(job.folder):
        return None
    if not (job.folder / MANIFEST).is_file():
        raise InputError(
            f"{job.folder} is in use: it holds files that are no model; move them away"
        )
    run = Run.read(job.folder)
    _check_settings(job, run.settings)
    if run.metrics.get("interrupted"):
        raise InputError(
            f"{job.folder} holds a run that was interrupted; move it away to train it anew"
        )
    return run


def _check_settings(job: Job, found: Settings) -> None:
    if keys := differing_keys(found, job.settings):
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise InputError(
            f"{job.folder} holds a run of other settings ({', '.join(keys[:3])}{more}); move it "
            "away"
        )


@dataclass
class _Process:
    job: Job
    process: subprocess.Popen[bytes]
    said: IO[bytes]
    started: float = field(default_factory=time.perf_counter)


def train_all(
    jobs: Sequence[Job],
    *,
    workers: int = 1,
    on_start: Callable[[Job], None] = lambda _: None,
    on_look: Callable[[Job], None] = lambda _: None,
    on_end: Callable[[Job, float], None] = lambda *_: None,
    on_failure: Callable[[Job, str], None] = lambda *_: None,
) -> list[Job]:
    """Train runs, each in a process of its own; gives those that failed.

    Args:
        jobs: in the order in which they begin.
        workers: processes at a time, which share the processor's cores.
        on_start, on_look, on_end: are told when a training begins, every `PAUSE` seconds while it
            runs, and when it has ended well, with its seconds.
        on_failure: is told of a training that failed, and why; the others go on.

    Raises:
        InputError: settings that cannot be trained with; all trainings are ended.
        StoppedError: Ctrl-C or SIGTERM; all trainings have saved what they had.
    """
    waiting, failed = list(jobs), list[Job]()
    with tempfile.TemporaryDirectory() as scratch, _ended_with_this() as running:
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                running.append(_start(job, Path(scratch), workers))
                on_start(job)
            time.sleep(PAUSE)
            for each in list(running):
                on_look(each.job)
                status = each.process.poll()
                if status is None:
                    continue
                running.remove(each)
                told = _last_words(each, status)
                if status == 0:
                    on_end(each.job, time.perf_counter() - each.started)
                elif status == InputError.exit_status:
                    raise InputError(told)
                elif status in (TrainingError.exit_status, -signal.SIGKILL):
                    failed.append(each.job)
                    on_failure(each.job, told)
                else:
                    raise TrainingError(f"the training of {each.job.folder} ended: {told}")
    return failed


def _start(job: Job, scratch: Path, workers: int) -> _Process:
    number = len(list(scratch.iterdir()))
    recipe, said = scratch / f"{number}.toml", (scratch / f"{number}.txt").open("w+b")
    recipe.write_text(job.settings.to_toml(), encoding="utf-8")
    anew = [str(recipe), "--output", str(job.folder)]
    what = ["--resume", str(job.folder)] if begun(job.folder) else anew
    command = ["-m", "seqnlp", "train", *what, "--quiet"]
    environment = dict(os.environ)
    if workers > 1:
        # Each would take all cores, and wait for the others.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    process = subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        env=environment,
        # Ctrl-C is for this process, which tells the others once.
        start_new_session=True,
    )
    return _Process(job, process, said)


@contextmanager
def _ended_with_this() -> Iterator[list[_Process]]:
    """Processes that do not outlive the block: whatever ends it, they may save what they have."""
    running: list[_Process] = []
    with _stoppable():
        try:
            yield running
        except BaseException:
            for each in running:
                each.process.terminate()
            for each in running:
                each.process.wait()
            raise
        finally:
            for each in running:
                each.said.close()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise a StoppedError; in a thread other than the main one, nothing."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError("interrupted; the same command goes on where it was", signal=number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    # What is ignored, as Ctrl-C in a job behind a closed terminal, stays so.
    taken = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = [(number, signal.signal(number, stop)) for number in taken]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _last_words(each: _Process, status: int) -> str:
    """The error of a process that failed, or its last line."""
    each.said.seek(0)
    lines = each.said.read().decode(errors="replace").split("\n")
    each.said.close()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1]
    if status < 0:
        return f"signal {signal.Signals(-status).name}"
    return next((line for line in reversed(lines) if line.strip()), f"status {status}")
