"""Trials in processes of their own, several at once.

As where texts are tokenized, the workers are plain child processes that speak JSON over pipes. They
know neither the study nor its database; they train, tell each epoch's figure and ask how to go on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from seqnlp.config import Settings
from seqnlp.errors import StoppedError
from seqnlp.tuning.trial import Outcome, Report


class Worker:
    """A child process that runs trials one after another, and is begun anew where it has ended.

    Args:
        threads: that it computes with, where the settings say nothing.
    """

    def __init__(self, *, threads: int) -> None:
        self.threads = threads
        self.process: subprocess.Popen[str] | None = None
        self.closed = False
        # Whoever closes the worker is another thread than the one that begins its process.
        self.guard = threading.Lock()

    def run(self, settings: Settings, report: Report) -> Outcome:
        """As `Trials.run`; a process that ends early has lost the trial."""
        if (process := self._begun()) is None:
            return Outcome(status="interrupted")
        tables = settings.model_dump(mode="json", exclude_unset=True)
        tables["threads"] = settings.threads or self.threads
        try:
            _send(process, {"settings": tables})
            while told := _receive(process):
                if "outcome" in told:
                    return Outcome(**told["outcome"])
                _send(process, {"verdict": report(told["epoch"], told["figure"])})
        except BrokenPipeError:
            pass
        status = _end(process)
        if self.closed:
            return Outcome(status="interrupted")
        end = f"by signal {-status}" if status < 0 else f"with status {status}"
        return Outcome(status="lost", reason=f"its process ended {end}; was there enough memory?")

    def close(self) -> None:
        """End the process, in whatever it is doing; a trial that it runs is interrupted."""
        with self.guard:
            self.closed = True
            if self.process is not None:
                self.process.kill()

    def forget(self) -> None:
        """Let go of the process once nobody listens to it."""
        if self.process is not None:
            _end(self.process)

    def _begun(self) -> subprocess.Popen[str] | None:
        with self.guard:
            if self.closed:
                return None
            if self.process is not None and self.process.poll() is not None:
                _end(self.process)
                self.process = None
            if self.process is None:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "seqnlp.tuning.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="ascii",
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,  # a Ctrl-C at the terminal is for the caller
                )
            return self.process


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM raise a StoppedError, that no process outlives it; only in the main thread."""

    def stop(number: int, _: FrameType | None) -> None:
        raise StoppedError("terminated; the same command goes on", signal=number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[str]) -> int:
    """Its status; one that has closed its pipes and yet does not end is killed."""
    for pipe in (process.stdin, process.stdout):
        with suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=5)
    process.kill()
    return process.wait()


def _send(process: subprocess.Popen[str], value: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value) + "\n")
    process.stdin.flush()


def _receive(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """What the process says; None where it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line.endswith("\n") else None
