"""Trials in processes of their own, several at once.

As where texts are tokenized, the workers are plain child processes that speak JSON over pipes. They
know neither the study nor its database; they train, tell each epoch's figure and ask how to go on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

from seqnlp.config import Settings, settings_from
from seqnlp.tuning.trial import Outcome, Report, Trials


class Worker:
    """A child process that runs trials one after another, and is begun anew where it has ended."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.closed = False
        # Whoever closes the worker is another thread than the one that begins its process.
        self.guard = threading.Lock()

    def run(self, settings: Settings, report: Report) -> Outcome:
        """As `Trials.run`; a process that ends early has lost the trial."""
        if (process := self._begun()) is None:
            return Outcome(status="interrupted")
        tables = settings.model_dump(mode="json", exclude_unset=True)
        try:
            _send(process, {"settings": tables})
            while told := _receive(process):
                if "outcome" in told:
                    return Outcome(**told["outcome"])
                _send(process, {"verdict": report(told["epoch"], told["figure"])})
        except BrokenPipeError:
            pass
        process.kill()
        status = process.wait()
        if self.closed:
            return Outcome(status="interrupted")
        end = f"by signal {-status}" if status < 0 else f"with status {status}"
        return Outcome(status="lost", reason=f"its process ended {end}; was there enough memory?")

    def close(self) -> None:
        """End the process, in whatever it is doing."""
        with self.guard:
            self.closed = True
            if self.process is not None:
                self.process.kill()
                self.process.wait()

    def _begun(self) -> subprocess.Popen[str] | None:
        with self.guard:
            if self.closed:
                return None
            if self.process is None or self.process.poll() is not None:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "seqnlp.tuning.workers"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    encoding="ascii",
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                    start_new_session=True,  # a Ctrl-C at the terminal is for the caller
                )
            return self.process


def _send(process: subprocess.Popen[str], value: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value) + "\n")
    process.stdin.flush()


def _receive(process: subprocess.Popen[str]) -> dict[str, Any] | None:
    """What the process says; None where it has ended."""
    assert process.stdout is not None
    line = process.stdout.readline()
    return json.loads(line) if line.endswith("\n") else None


def main() -> None:
    """Run the trials that come on standard input, until it ends."""
    # Whatever else is printed must not come between the lines.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    trials = Trials()

    def tell(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    def report(epoch: int, figure: float) -> str | None:
        tell({"epoch": epoch, "figure": figure})
        line = sys.stdin.readline()
        if not line:
            # Whoever asked has gone, and nobody waits for the rest.
            raise SystemExit(1)
        verdict: str | None = json.loads(line)["verdict"]
        return verdict

    for line in sys.stdin:
        settings = settings_from(json.loads(line)["settings"], "settings")
        tell({"outcome": trials.run(settings, report).as_dict()})


if __name__ == "__main__":
    main()
