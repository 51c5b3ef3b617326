"""How the benchmark speaks with its contenders: a line of JSON to each, and one back.

A contender is a process of its own, so that each may run in another environment, pays for its own
memory, and none profits from what another has warmed up. Standard library only: this file runs in
the peers' environments too.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

Answer = dict[str, Any]


class Contender:
    """A contender's process, seen from the benchmark.

    Args:
        name: what tables call it.
        command: starts it; it serves on its standard input and output.
        environment: added to this process's.
        log: what it says besides.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, request: str, **arguments: object) -> Answer:
        """Ask for work, and wait for it.

        Raises:
            RuntimeError: the contender failed; the message has the end of its log.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"request": request, **arguments}) + "\n")
            self._process.stdin.flush()
            answer: Answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            self._process.wait()
            end = Path(self._log.name).read_text(encoding="utf-8")[-1500:]
            raise RuntimeError(f"{self.name} failed at {request!r}:\n{end}") from error
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def serve(handlers: Mapping[str, Callable[..., Answer]]) -> None:
    """Answer requests until the benchmark ends.

    Whatever a handler prints goes to the log. Each answer gets what the work took: `cpu` and `wall`
    seconds, and `peak_mb`, the most memory that the process has held so far.
    """
    with _own_output() as out:
        for line in sys.stdin:
            arguments = json.loads(line)
            handler = handlers[arguments.pop("request")]
            wall, cpu = time.perf_counter(), time.process_time()
            answer = handler(**arguments)
            took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps({**took, "peak_mb": peak, **answer}), file=out, flush=True)


@contextmanager
def _own_output() -> Iterator[TextIO]:
    """The standard output, for answers alone."""
    with os.fdopen(os.dup(1), "w") as out:
        os.dup2(2, 1)
        yield out
