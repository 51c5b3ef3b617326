"""What the default checkpointing costs: the time of one, and its share of a training.

    python benchmarks/checkpoints.py [RECIPE ...]

Each is trained for half a minute with a checkpoint every two seconds. The time of one is what
passes between the hooks before it and those after it. By default there is one a minute, which
gives the share.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import seqnlp
from seqnlp.recipes import find_recipe
from seqnlp.training import Hook, Trainer
from seqnlp.training.hooks.checkpoint import CheckpointHook

CASES = ("sst2", "reviews", "stories", "reports")
SECONDS = 30
EVERY = 2


class Clock(Hook):
    """The seconds that pass around the checkpoint hook, after each step."""

    order = CheckpointHook.order - 1

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.mark = 0.0

    def on_step_end(self, trainer: Trainer) -> None:
        self.mark = time.perf_counter()


class Ending(Hook):
    """Takes the time of what stood between it and the clock; ends the training in time."""

    order = CheckpointHook.order + 1

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.taken: list[float] = []

    def on_step_end(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        self.taken.append(now - self.clock.mark)
        if now - self.clock.begun > SECONDS:
            trainer.stop_now("enough was seen")


def measure(name: str) -> None:
    """Print what a checkpoint of a case costs."""
    try:
        recipe = find_recipe(name)
        settings = seqnlp.load_settings(recipe)
    except seqnlp.errors.InputError:
        task = {"stories": "translation", "reports": "summarization"}[name]
        base = seqnlp.registry.tasks.get(task).defaults
        settings = seqnlp.load_settings(None, [f"task={task}", f"corpus.name={name}"], base=base)
    settings = settings.model_copy(
        update={
            "threads": 1,
            "ensemble": 1,
            "train": settings.train.model_copy(update={"epochs": 1000, "refit": False}),
            "hooks": {**settings.hooks, "checkpoint": False, "early_stopping": False},
        }
    )
    clock = Clock()
    ending = Ending(clock)
    with tempfile.TemporaryDirectory() as folder:
        hooks = [clock, CheckpointHook(minutes=EVERY / 60), ending]
        seqnlp.train(settings, Path(folder) / "run", hooks=hooks)
    long = [taken for taken in ending.taken if taken > 1e-3]
    usual = statistics.median(ending.taken)
    one = statistics.median(long) if long else 0.0
    print(
        f"{name:10} {len(long):3} checkpoints of {1000 * one:6.1f} ms, so {100 * one / 60:.2f} % "
        f"at one a minute; {1e6 * usual:.1f} µs a step without one"
    )


if __name__ == "__main__":
    for case in sys.argv[1:] or CASES:
        measure(case)
