"""What the shipped recipes reach: test figures over seeds, and the time to the best validation.

    SEQNLP_DATA=... python benchmarks/figures.py --recipes sst2 trec --ensemble 3

A seed fixes all that is random in a run, the cut of a missing validation split included. Seconds
count from the start of training to the end of the validation that chose the model; reading and
tokenizing come before. Nothing is chosen by test.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import Settings, load_settings, read_toml
from seqnlp.recipes import find_recipe
from seqnlp.training.hooks import Hook
from seqnlp.training.run import train
from seqnlp.training.trainer import Trainer


class Stopwatch(Hook):
    """Seconds from the start of a fit to the end of the validation that was the best so far.

    A fit without validation, which trains the chosen model again, does not count.
    """

    order = 1000

    def __init__(self) -> None:
        self.began = self.to_best = 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        self.began = time.perf_counter()

    def on_evaluate_end(self, trainer: Trainer) -> None:
        if trainer.best_epoch == trainer.epoch:
            self.to_best = time.perf_counter() - self.began


@dataclass(frozen=True, kw_only=True)
class Row:
    """A recipe's figures: one of each a seed, as shares of 1; seconds to the best validation."""

    recipe: str
    test: list[float] = field(default_factory=list)
    macro_f1: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ensemble: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        cells = [
            self.recipe,
            f"**{percent([statistics.mean(self.test)])}**",
            percent(self.test),
            percent([statistics.mean(self.macro_f1)]),
            percent(self.validation),
            ", ".join(f"{spent:.0f}" for spent in self.seconds),
            percent(self.ensemble) or "-",
        ]
        return f"| {' | '.join(cells)} |"


def percent(shares: Sequence[float]) -> str:
    """Shares of 1 as percentages with one decimal."""
    return ", ".join(f"{100 * share:.1f}" for share in shares)


def settings_of(recipe: str, overrides: Sequence[str]) -> Settings:
    """A shipped recipe by name, or any by path, read as the command reads it."""
    path = find_recipe(recipe)
    task = registry.tasks.get(read_toml(path).get("task", "sentiment"))
    return load_settings(path, overrides, base=task.defaults)


def run(settings: Settings) -> tuple[Model, float]:
    """Train; the model and the seconds to its best validation."""
    watch = Stopwatch()
    model = train(settings, hooks=[watch])
    return model, watch.to_best


def measure(recipe: str, seeds: Sequence[int], ensemble: int, overrides: Sequence[str]) -> Row:
    """Every figure of one recipe; an ensemble is trained from the first seed on."""
    row = Row(recipe=Path(recipe).stem)
    for seed in seeds:
        model, seconds = run(settings_of(recipe, [*overrides, f"seed={seed}", "ensemble=1"]))
        row.test.append(model.metrics["test"]["accuracy"]["value"])
        row.macro_f1.append(model.metrics["test"]["macro_f1"]["value"])
        row.validation.append(model.metrics["validation"]["accuracy"]["value"])
        row.seconds.append(seconds)
        print(row, file=sys.stderr, flush=True)
    if ensemble:
        model, _ = run(
            settings_of(recipe, [*overrides, f"seed={seeds[0]}", f"ensemble={ensemble}"])
        )
        row.ensemble.append(model.metrics["test"]["accuracy"]["value"])
    return row


def main() -> None:
    """Train everything, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=["sst2", "trec", "movie_reviews"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--ensemble", type=int, default=0, metavar="N", help="and N models as one")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = parser.parse_args()
    seeds = ", ".join(map(str, chosen.seeds))
    size = f" of {chosen.ensemble}" if chosen.ensemble else ""
    lines = [
        f"| recipe | test accuracy, mean | test, seeds {seeds} | macro-F1, mean | validation "
        f"| s to best validation | ensemble{size}, test |",
        "|---|---|---|---|---|---|---|",
    ]
    for recipe in chosen.recipes:
        lines.append(str(measure(recipe, chosen.seeds, chosen.ensemble, chosen.overrides)))
    table = "\n".join(lines) + "\n"
    print(table, end="")
    if chosen.output is not None:
        chosen.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
