"""Two calls by turns, and what one takes relative to the other."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

Call = Callable[[], object]
Times = np.ndarray[Any, np.dtype[np.float64]]

SHORTEST = 4e-3
"""Seconds of a turn, so that the clocks and a switch of processes are small beside it."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How long a pair of calls is timed: `rounds`.

    More where they take less than `least` seconds; where they take more than `most`, fewer, but at
    least `fewest`.
    """

    rounds: int = 11
    least: float = 0.25
    most: float = 1.5
    fewest: int = 2

    def enough(self, rounds: int, seconds: float) -> bool:
        """Whether that many rounds, which took so long, will do."""
        if rounds < self.rounds:
            return rounds >= self.fewest and seconds > self.most
        return seconds > self.least


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One time over another, by turns: the median and the quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Times) -> Ratio:
        """The ratios of all rounds."""
        low, median, high = np.quantile(ratios, [0.25, 0.5, 0.75]).tolist()
        return cls(median=median, low=low, high=high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A call and its peer: CPU and wall milliseconds of each (medians), and both ratios.

    measure: which of both tells more: CPU time where one thread does all, since a shared machine
    disturbs it least; wall time where threads wait for each other, or the CPU for a GPU.
    """

    measure: Literal["cpu", "wall"]
    cpu_ms: float
    wall_ms: float
    peer_cpu_ms: float
    peer_wall_ms: float
    cpu: Ratio
    wall: Ratio
    rounds: int

    @property
    def ratio(self) -> Ratio:
        """The call's time over the peer's, by `measure`."""
        return self.cpu if self.measure == "cpu" else self.wall

    @property
    def ms(self) -> tuple[float, float]:
        """Milliseconds of the call and of its peer, by `measure`."""
        if self.measure == "cpu":
            return self.cpu_ms, self.peer_cpu_ms
        return self.wall_ms, self.peer_wall_ms


def compare(call: Call, peer: Call, effort: Effort) -> Comparison:
    """Time both by turns, the first place alternating, after a call or two of each."""
    sides = (call, peer)
    repeats = [_repeats(side) for side in sides]
    spent: tuple[list[Times], list[Times]] = ([], [])
    gc.collect()
    gc.disable()  # its pauses would fall on either side by chance
    try:
        began = time.perf_counter()
        while not effort.enough(len(spent[0]), time.perf_counter() - began):
            for side in (0, 1) if len(spent[0]) % 2 else (1, 0):
                spent[side].append(_timed(sides[side], repeats[side]))
    finally:
        gc.enable()
    own, other = (np.stack(each) for each in spent)
    ratios = own / other
    (cpu_ms, wall_ms), (peer_cpu_ms, peer_wall_ms) = (
        (1000 * np.median(each, axis=0)).tolist() for each in (own, other)
    )
    alone = torch.get_num_threads() == 1 and not _on_gpu()
    return Comparison(
        measure="cpu" if alone else "wall",
        cpu_ms=cpu_ms, wall_ms=wall_ms, peer_cpu_ms=peer_cpu_ms, peer_wall_ms=peer_wall_ms,
        cpu=Ratio.of(ratios[:, 0]), wall=Ratio.of(ratios[:, 1]), rounds=len(ratios),
    )  # fmt: skip


def faster(calls: dict[str, Call], effort: Effort) -> str:
    """The name of the call that takes the least time."""
    names = iter(calls)
    best = next(names)
    for name in names:
        if compare(calls[name], calls[best], effort).ratio.median < 1:
            best = name
    return best


def _repeats(call: Call) -> int:
    """How many calls make a turn, after one that compiles and allocates and one that is timed."""
    first = float(_timed(call, 1)[1])
    # Beside a call that takes so long what it allocates the first time is nothing.
    spent = first if first > 0.25 else float(_timed(call, 1)[1])
    return max(1, round(SHORTEST / spent))


def _timed(call: Call, repeats: int) -> Times:
    """CPU and wall seconds of one call."""
    began = _now()
    for _ in range(repeats):
        call()
    spent: Times = (_now() - began) / repeats
    return spent


def _now() -> Times:
    """CPU seconds of the process, of all its threads, and wall seconds."""
    if _on_gpu():
        torch.cuda.synchronize()
    return np.array([time.process_time(), time.perf_counter()])


def _on_gpu() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def describe_machine() -> dict[str, str]:
    """What the figures depend on."""
    told = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity")
        else str(os.cpu_count()),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "compiler": _compiler(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }  # fmt: skip
    if torch.cuda.is_available():
        told["GPU"] = torch.cuda.get_device_name()
    return told


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _compiler() -> str:
    """The first line that the C++ compiler says about itself."""
    command = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if command is None:
        return "none"
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=False)
    return told.stdout.partition("\n")[0] or command
