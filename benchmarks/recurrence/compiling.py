"""What a new cell costs before its first step: compilation, or a look into the cache."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from recurrence.contenders import MyPeepholeLSTM
from seqnlp.nn import Cell, unroll
from seqnlp.nn.engines.build import built


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A figure that is no ratio. what: a key of the targets; value in `unit`."""

    what: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.what}: {self.value:.3g} {self.unit}"


def time_compilation(runs: int = 3) -> Iterator[Cost]:
    """Training the user's cell in processes of their own, without kernels at hand and with them.

    What is counted is the first call of all over a later one: tracing, compiling, loading.
    """
    told = [_child(Path(folder)) for folder in _folders(runs)]
    found = {
        "compile, first time": (min(first["first"] for first, _ in told), "s"),
        "compile, from the cache": (1000 * min(again["first"] for _, again in told), "ms"),
        "kernels built, first time": (max(first["built"] for first, _ in told), ""),
        "kernels built, from the cache": (max(again["built"] for _, again in told), ""),
        "recompiles": (max(first["recompiles"] for first, _ in told), ""),
    }
    for what, (value, unit) in found.items():
        yield Cost(what=what, value=value, unit=unit)


def _folders(runs: int) -> Iterator[str]:
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            yield folder


def _child(cache: Path) -> tuple[dict[str, float], dict[str, float]]:
    """What two processes tell, one after the other, that share a cache that was empty."""
    told = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", "recurrence.compiling"],
            cwd=Path(__file__).parents[1],
            env={**os.environ, "SEQNLP_CACHE": str(cache)},
            stdout=subprocess.PIPE,
            check=True,
        )
        told.append(json.loads(done.stdout))
    return told[0], told[1]


def _train(cell: Cell, time_steps: int, batch: int, engine: str = "auto") -> float:
    """Seconds of one call."""
    x = torch.randn(batch, time_steps, cell.input_size, requires_grad=True)
    began = time.perf_counter()
    unroll(cell, x, engine=engine)[0].sum().backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - began


def main() -> None:
    """Be one of the processes: measure, and print JSON."""
    torch.set_num_threads(1)
    cell = MyPeepholeLSTM(256, 256)
    # What every process pays for torch and for autograd is not the engine's.
    _train(cell, 1, 1, engine="reference")
    first, usual = _train(cell, 25, 64), min(_train(cell, 25, 64) for _ in range(5))
    kernels = built()
    for steps, rows in ((1, 1), (2, 7), (26, 64), (60, 33), (300, 1)):
        _train(cell, steps, rows)
    told = {"first": first - usual, "built": kernels, "recompiles": built() - kernels}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
