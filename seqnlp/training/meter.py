"""Where the time of a training goes, its speed, its memory, and how much of it is padding."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

PARTS = (
    "data", "forward", "backward", "reduce", "optimizer", "hooks", "checkpoint", "validation",
    "other",
)  # fmt: skip
"""What a training's time is spent on: "reduce" is what processes tell each other of gradients,
"other" whatever is in none."""


class Meter:
    """Measures a training, by epoch and as a whole; every second between is some part's.

    `with meter.part("forward"):` charges the time of the block to that part; of parts within one
    another, the inner one is charged alone, so that all parts together are the time that passed.
    What is in none is "other". On a GPU, which works on while the loop goes ahead, a part is
    charged what the loop waits in it.

    Args:
        device: whose memory is looked at beside that of the process.
        clock: gives seconds; another one is for tests.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.device, self.clock = device, clock
        self._parts: dict[str, _Part] = {}
        self._inside: list[str] = []
        self._mark: float | None = None
        self._past, self._epoch = _Counts(), _Counts()
        self._peaks: dict[str, float] = {}

    def start_epoch(self) -> None:
        """Begin to measure an epoch; the time up to here is that of the one before, if any."""
        self._charge()
        if self._mark is None:
            self._mark = self.clock()
        self._past.add(self._epoch)
        self._epoch = _Counts()

    def part(self, name: str) -> _Part:
        """A context whose time is charged to a part; one that is not in `PARTS` is added."""
        part = self._parts.get(name)
        if part is None:
            part = self._parts[name] = _Part(self, name)
        return part

    def count(self, lengths: ArrayLike) -> None:
        """Count the rows of one padded batch, or of what one process takes of it.

        Args:
            lengths: int [B], tokens of each row; [B, C] of rows with several sides, which are
                padded each by itself.
        """
        sides = np.asarray(lengths)
        rows = len(sides)
        if rows:
            self._epoch.rows += rows
            self._epoch.tokens += int(sides.sum())
            self._epoch.slots += rows * int(sides.max(0).sum())

    def record(self) -> dict[str, Any]:
        """What has been measured since the epoch began.

        examples_per_second, tokens_per_second: of the time that was not spent on validation; rows
        are counted, of which a long document has several, and tokens of all sides, without padding.
        padding: the share of the batches' positions that is padding. peak_memory_mb: the most
        that the process has held so far, in megabytes of 10^6 bytes; peak_gpu_memory_mb, on a GPU:
        the most that its tensors have. seconds_by_part: sums up to the time that has passed.
        """
        self._charge()
        return self._told(self._epoch)

    def total(self) -> dict[str, Any]:
        """The same of all epochs, the present one too."""
        self._charge()
        whole = _Counts()
        whole.add(self._past)
        whole.add(self._epoch)
        return self._told(whole)

    @property
    def seconds(self) -> float:
        """All that has been measured so far."""
        self._charge()
        return sum(self._past.seconds.values()) + sum(self._epoch.seconds.values())

    def state_dict(self) -> dict[str, Any]:
        """All counts and times so far, as JSON values."""
        self._charge()
        self._look_at_memory()
        return {
            "past": self._past.as_dict(), "epoch": self._epoch.as_dict(), "peaks": {**self._peaks}
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; the time between does not count."""
        self._past, self._epoch = _Counts(**state["past"]), _Counts(**state["epoch"])
        self._peaks = dict(state["peaks"])
        self._mark = self.clock()

    def _charge(self) -> None:
        """Charge the time since the last border to the part that it was spent in."""
        if self._mark is None:
            return
        now = self.clock()
        self._epoch.charge(self._inside[-1] if self._inside else "other", now - self._mark)
        self._mark = now

    def _told(self, counts: _Counts) -> dict[str, Any]:
        self._look_at_memory()
        spent = sum(counts.seconds.values())
        training = spent - counts.seconds.get("validation", 0.0)
        order = {name: place for place, name in enumerate(PARTS)}
        parts = sorted(counts.seconds, key=lambda name: order.get(name, len(order)))
        return {
            "examples_per_second": counts.rows / training if training else 0.0,
            "tokens_per_second": counts.tokens / training if training else 0.0,
            "padding": 1 - counts.tokens / counts.slots if counts.slots else 0.0,
            **self._peaks,
            "seconds_by_part": {name: counts.seconds[name] for name in parts},
        }

    def _look_at_memory(self) -> None:
        for name, size in peak_memory(self.device).items():
            self._peaks[name] = max(size, self._peaks.get(name, 0.0))


class _Part:
    """A context that charges its time; made once a name, since a step enters several."""

    __slots__ = ("meter", "name")

    def __init__(self, meter: Meter, name: str) -> None:
        self.meter, self.name = meter, name

    def __enter__(self) -> None:
        self.meter._charge()
        self.meter._inside.append(self.name)

    def __exit__(self, *_: object) -> None:
        self.meter._charge()
        self.meter._inside.pop()


class _Counts:
    """Rows, their tokens, the positions of their batches, and seconds by part."""

    __slots__ = ("rows", "seconds", "slots", "tokens")

    def __init__(
        self,
        *,
        rows: int = 0,
        tokens: int = 0,
        slots: int = 0,
        seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.rows, self.tokens, self.slots = rows, tokens, slots
        self.seconds: dict[str, float] = dict(seconds or {})

    def charge(self, name: str, seconds: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def add(self, other: _Counts) -> None:
        self.rows += other.rows
        self.tokens += other.tokens
        self.slots += other.slots
        for name, seconds in other.seconds.items():
            self.charge(name, seconds)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows, "tokens": self.tokens, "slots": self.slots,
            "seconds": {**self.seconds},
        }  # fmt: skip


def peak_memory(device: torch.device | None = None) -> dict[str, float]:
    """The most memory that this process has held so far, in megabytes of 10^6 bytes.

    peak_memory_mb: resident, by the system's account; absent on Windows, which keeps none of the
    kind. peak_gpu_memory_mb: of torch's tensors, where the device is a GPU.
    """
    found: dict[str, float] = {}
    if (size := _resident()) is not None:
        found["peak_memory_mb"] = size / 1e6
    if device is not None and device.type == "cuda":
        found["peak_gpu_memory_mb"] = torch.cuda.max_memory_allocated(device) / 1e6
    return found


def _resident() -> int | None:
    """The most bytes that this process has had in memory; None where that is not known."""
    # Before getrusage, whose figure a Linux process inherits from the one that started it.
    with suppress(OSError), Path("/proc/self/status").open("rb") as file:
        for line in file:
            if line.startswith(b"VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "win32":
        return None
    import resource

    # Kilobytes of 1024, but on macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
