"""Runs that are broken off, and what is compared of them when they have been gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import FOLDER

TIMES = {"time", "train_seconds", "seconds", "seconds_by_part", "examples_per_second",
         "tokens_per_second", "peak_memory_mb"}  # fmt: skip


class Killed(BaseException):
    """Stands for the end of a process: nobody but a test catches it."""


class Killer(Hook):
    """Breaks the run off after so many steps in this process, all trainings counted."""

    order = 98

    def __init__(self, steps: int) -> None:
        self.left = steps

    def on_step_end(self, trainer: Trainer) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def timeless(value: Any) -> Any:
    """JSON values without what a clock says."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in TIMES}
    if isinstance(value, list):
        return [timeless(each) for each in value]
    return value


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run has come to: weights and everything that describes them."""
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return {
        "weights": (folder / "weights.safetensors").read_bytes(),
        "config": (folder / "config.toml").read_text(),
        "metrics": timeless(json.loads((folder / "metrics.json").read_text())),
        "log": [timeless(line) for line in log if line["event"] != "resume"],
        "rest": sorted(path.name for path in folder.iterdir()),
    }


def checkpoints(folder: Path, phase: str = "seed-0") -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    return sorted((folder / FOLDER / phase).glob("*.checkpoint"))
