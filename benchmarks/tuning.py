"""What `seqnlp tune` gains on the bundled reviews, and what ending trials early saves.

Two searches of the same seed, one of which runs every trial to its end; then the best settings and
the default ones are trained and measured on test, once. Trials are timed by the processor's seconds
of this process, since other work on the machine is no part of them, and counted in epochs.

    python benchmarks/tuning.py --trials 30 --folder runs/tuning-benchmark
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from seqnlp.config import Settings, load_settings
from seqnlp.training import train
from seqnlp.tuning import TrialRecord, Tuning, Watcher, default_space, tune


class Clock(Watcher):
    """Adds up the processor's seconds of all trials."""

    def __init__(self) -> None:
        self.seconds = self.begun = 0.0

    def on_begin(self, trial: TrialRecord) -> None:
        self.begun = time.process_time()

    def on_end(self, trial: TrialRecord) -> None:
        self.seconds += time.process_time() - self.begun
        print(f"  {trial.number} {trial.status} {trial.figure} epochs {trial.epochs}", flush=True)


def search(settings: Settings, folder: Path, pruner: str, trials: int) -> dict[str, float]:
    """Run a search to its end; its figures, seconds and epochs."""
    clock = Clock()
    place = folder / pruner
    place.mkdir(parents=True, exist_ok=True)
    print(f"pruner {pruner}", flush=True)
    found = tune(
        settings,
        default_space(settings),
        output=place,
        storage=str(place / "study.db"),
        pruner=pruner,
        trials=trials,
        watcher=clock,
    )
    return told(found, clock.seconds)


def told(found: Tuning, seconds: float) -> dict[str, float]:
    """A search in numbers."""
    assert found.best is not None
    assert found.default is not None
    return {
        "best": found.best.figure or 0.0,
        "default": found.default.figure or 0.0,
        "seconds": seconds,
        "epochs": sum(trial.epochs for trial in found.trials),
        "pruned": found.count("pruned"),
    }


def main() -> None:
    """Run all and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pruners", nargs="+", default=["none", "median", "halving"])
    chosen = parser.parse_args()
    settings = load_settings(None, [f"seed={chosen.seed}", "threads=1"])
    result: dict[str, object] = {}
    for pruner in chosen.pruners:
        result[pruner] = search(settings, chosen.folder, pruner, chosen.trials)
    test = {"default": train(settings)}
    for pruner in chosen.pruners:
        recipe = chosen.folder / pruner / "best.toml"
        test[pruner] = train(load_settings(recipe))
    for name, model in test.items():
        result[f"trained {name}"] = {
            split: model.metrics[split]["accuracy"] for split in ("validation", "test")
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
