"""How much faster two processes train than one, each with one thread, on the same machine.

They take turns, several times, and of each block of steps the fastest time counts, since other work
on the machine only ever slows one down. Two processes have the batch of one, of which each takes
half, or one of twice its size, so that each has as much to do as the one process.

    python benchmarks/distributed.py --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from seqnlp import registry
from seqnlp.config import Settings, load_settings
from seqnlp.training import Hook, Trainer

BLOCK = 20
RECIPES = Path(__file__).parent.parent / "recipes"
RUNS: dict[str, tuple[Path | None, tuple[str, ...]]] = {
    "sst2": (RECIPES / "sst2.toml", ()),
    "stories": (None, ("corpus.name=stories",)),
}


class Stopwatch(Hook):
    """Times blocks of steps, and ends the training after the last."""

    order = 95

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.seconds: list[float] = []
        self.began = 0.0

    def on_step_end(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        if trainer.steps % BLOCK == 0:
            # The first block warms caches up.
            if trainer.steps > BLOCK:
                self.seconds.append(now - self.began)
            self.began = now
        if len(self.seconds) == self.blocks:
            trainer.stop_now("measured")


def settings_of(name: str, batch_size: int | None = None) -> Settings:
    recipe, overrides = RUNS[name]
    if batch_size:
        overrides = (*overrides, f"train.batch_size={batch_size}")
    task = registry.tasks.get("sentiment" if recipe else "translation")
    base = {} if recipe else {"task": "translation", **task.defaults}
    return load_settings(recipe, overrides, base=base, unread=task.unread)


def work(name: str, blocks: int, batch_size: int | None = None) -> None:
    """Train in this process, alone or with the others of torchrun; print the seconds of blocks."""
    import torch

    from seqnlp.data.corpus import open_corpus
    from seqnlp.training.distributed import Group
    from seqnlp.training.preparation import complete, make_hooks

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    settings = complete(settings_of(name, batch_size))
    group = Group.from_environment("cpu")
    task_class = registry.tasks.get(settings.task)
    corpus = open_corpus(settings.corpus.name, fields=task_class.fields, seed=settings.seed)
    torch.manual_seed(settings.seed)
    task = task_class.create(settings, corpus)
    rows = task.read(corpus.split("train"), training=True)
    watch = Stopwatch(blocks)
    hooks = [hook for hook in make_hooks(settings, None) if hook.order < 90]
    trainer = Trainer(task, settings.train, [*hooks, watch], group=group)
    trainer.fit(rows, None)
    if group.main:
        parts = trainer.meter.record()["seconds_by_part"]
        print(json.dumps({"seconds": watch.seconds, "steps": trainer.steps, "parts": parts}))
    group.close()


def measure(name: str, processes: int, batch_size: int, blocks: int) -> dict[str, Any]:
    """Run `work` in so many processes."""
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    words = [*launch, __file__, "--work", name, "--blocks", str(blocks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*words, "--batch-size", str(batch_size)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", nargs="*", choices=RUNS, default=[*RUNS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--work", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--batch-size", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work, given.blocks, given.batch_size)
        return
    for name in given.runs:
        size = settings_of(name).train.batch_size
        cases = {"one": (1, size), "two": (2, size), "two, twice the batch": (2, 2 * size)}
        times: dict[str, list[list[float]]] = {case: [] for case in cases}
        for _ in range(given.rounds):
            for case, (processes, batch) in cases.items():
                found = measure(name, processes, batch, given.blocks)
                times[case].append(found["seconds"])
                parts = ", ".join(
                    f"{part} {seconds / found['steps'] * 1e3:.2f}"
                    for part, seconds in found["parts"].items()
                )
                step = sum(times[case][-1]) / given.blocks / BLOCK * 1e3
                print(f"  {name}, {case}: {step:.2f} ms a step ({parts})", flush=True)
        best = {case: sum(map(min, zip(*each, strict=True))) for case, each in times.items()}
        rates = {case: given.blocks * BLOCK * cases[case][1] / best[case] for case in cases}
        for case, rate in rates.items():
            print(f"{name}, {case}: {rate:.0f} examples a second, {rate / rates['one']:.2f} times",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
