"""Train a memory cell and an LSTM of as many parameters, and measure both beyond their training.

    python scripts/lengths.py copy --seeds 0 1 2
    python scripts/lengths.py repeat_copy --seeds 0 1 2

Models are trained as `seqnlp train --task recall` does, one after the other. The weights that
validation chose are measured on 64 unseen sequences of each length. figures/copy.json is written
after every model, and figures/copy.png from it; models that it has are not trained again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seqnlp
from seqnlp.config import Settings
from seqnlp.data import open_corpus
from seqnlp.errors import MissingPackageError
from seqnlp.files import write_text
from seqnlp.registry import tasks
from seqnlp.training import Hook, Trainer

FIGURES = Path(__file__).resolve().parents[1] / "figures"
EACH = 64
LONGER = 256
"""Slots (or depth) of the memory while it is measured: more than any of the sequences needs."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What is trained and measured.

    corpus: of training. measured: its options for the test sequences. cell, options: the memory and
    its settings. grows: the option of the cell that is the size of its memory. epochs: of the
    memory cell; `patience` times as many of the LSTM. until: the longest in training.
    """

    corpus: str
    measured: str
    cell: str
    options: tuple[str, ...]
    grows: str
    epochs: int
    until: str
    patience: int = 3


TRIALS = {
    "copy": Trial(
        corpus="copy:1-20,train=10000",
        measured="test=10/20/30/40/50/70/100/120/200",
        cell="ntm",
        options=("model.cell_options={controller='feedforward', slots=64}",),
        grows="slots",
        epochs=4,
        until="20",
    ),
    "repeat_copy": Trial(
        corpus="repeat_copy:1-10,repeats=1-4,train=16000",
        measured="test=5/10/20/30,test_repeats=2/4/8/16",
        cell="ntm",
        options=("model.cell_options={controller='lstm', slots=64, read_heads=2}",),
        grows="slots",
        epochs=5,
        until="10 x4",
        patience=1,
    ),
    "reverse": Trial(
        corpus="reverse:1-8,bits=4,train=10000",
        measured="test=4/8/12/16/24/50/100/200",
        cell="stack",
        options=(
            "model.cell_options={depth=64, width=10}",
            "model.hidden_size=40",
            "train.lr=0.003",
        ),
        grows="depth",
        epochs=2,
        until="8",
    ),
}


class Progress(Hook):
    """Prints a line after every epoch."""

    order = 90

    def on_epoch_end(self, trainer: Trainer) -> None:
        """See the class."""
        values = (
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in trainer.history[-1].items()
        )
        print(trainer.settings.epochs, *values, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a trial and draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trial", choices=TRIALS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=FIGURES)
    given = parser.parse_args(arguments)
    trial, path = TRIALS[given.trial], given.folder / f"{given.trial}.json"
    given.folder.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    for seed in given.seeds:
        for cell in (trial.cell, "lstm"):
            if not any(run["cell"] == cell and run["seed"] == seed for run in found):
                found.append(run_one(trial, cell, seed))
                write_text(path, json.dumps(found, indent=1) + "\n")
                print(json.dumps(found[-1]), flush=True)
    draw(trial, found, path.with_suffix(".png"))


def run_one(trial: Trial, cell: str, seed: int) -> dict[str, Any]:
    """Train a model of one seed and measure it."""
    settings = settings_of(trial, cell, seed)
    started = time.perf_counter()
    trained = seqnlp.train(settings, hooks=[Progress()])
    seconds = time.perf_counter() - started
    lengths = measure(trained, trial)
    course = trained.metrics["training"][0]
    return {
        "cell": cell,
        "seed": seed,
        "parameters": sum(weight.numel() for weight in trained.task.parameters()),
        "steps": course["steps"],
        "seconds": round(seconds),
        "validation": {
            name: round(trained.metrics["validation"][name]["value"], 4)
            for name in ("accuracy", "recalled", "error")
        },
        "lengths": lengths,
    }


def settings_of(trial: Trial, cell: str, seed: int) -> Settings:
    """The settings of a run; an LSTM as large as the memory cell, to a row of its matrices."""
    recall = tasks.get("recall")
    overrides = [
        "task=recall",
        f"corpus.name={trial.corpus}",
        f"model.cell={trial.cell}",
        *trial.options,
        f"seed={seed}",
        "threads=1",
        f"train.epochs={trial.epochs}",
    ]
    memory = seqnlp.load_settings(overrides=overrides, base=recall.defaults)
    if cell == trial.cell:
        return memory
    bare = trial.corpus.partition(",train=")[0]
    tiny = open_corpus(f"{bare},train=64,validation=1,each=1", fields=recall.fields)
    wanted = count(memory, tiny)
    size = min(range(8, 256), key=lambda size: abs(count(as_lstm(memory, size), tiny) - wanted))
    larger = as_lstm(memory, size)
    train = larger.train.model_copy(update={"epochs": trial.patience * trial.epochs})
    return larger.model_copy(update={"train": train})


def as_lstm(settings: Settings, size: int) -> Settings:
    """The same run with an LSTM."""
    changes = {"cell": "lstm", "cell_options": {}, "hidden_size": size}
    return settings.model_copy(update={"model": settings.model.model_copy(update=changes)})


def count(settings: Settings, corpus: seqnlp.Corpus) -> int:
    """The parameters of the model that the settings make."""
    task = tasks.get("recall").create(settings, corpus)
    return sum(weight.numel() for weight in task.parameters())


def measure(trained: seqnlp.Model, trial: Trial) -> dict[str, dict[str, float]]:
    """The figures of each length, with a memory that holds the longest."""
    task, settings = trained.task, trained.settings
    if settings.model.cell == trial.cell:
        options = {**settings.model.cell_options, trial.grows: LONGER}
        model = settings.model.model_copy(update={"cell_options": options})
        settings = settings.model_copy(update={"model": model})
    larger = type(task).restore(settings, {}, task.state())
    larger.load_state_dict(task.state_dict())
    bare = trial.corpus.partition(",train=")[0]
    name = f"{bare},train=1,validation=1,each={EACH},{trial.measured}"
    corpus = open_corpus(name, fields=task.fields)
    report = seqnlp.Model(larger, {}).evaluate(corpus, "test", batch_size=EACH)
    return {
        length: {key: round(figures[key], 5) for key in ("accuracy", "recalled", "error")}
        for length, figures in report["lengths"].items()
    }


def _numbers(name: str) -> list[int]:
    """20 and 8 of "20 x8"."""
    return [int(part) for part in name.replace("x", "").split()]


def draw(trial: Trial, runs: Sequence[dict[str, Any]], path: Path) -> None:
    """The share of sequences whose words are all right, and that of right bits, by length."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingPackageError(
            f"{path} cannot be drawn without matplotlib: pip install seqnlp-memory[plot]"
        ) from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    lengths = list(runs[0]["lengths"])
    axes[0].set_title("sequences wholly right, %; dashed: and ended in time", fontsize=10)
    axes[1].set_title("bits right, %", fontsize=10)
    for cell, color in ((trial.cell, "tab:blue"), ("lstm", "tab:orange")):
        own = [run for run in runs if run["cell"] == cell]
        found = {
            key: 100 * np.array([[run["lengths"][each][key] for each in lengths] for run in own])
            for key in ("accuracy", "recalled", "error")
        }
        seeds = f", mean of {len(own)} seeds" if len(own) > 1 else ""
        label = f"{cell}, {own[0]['parameters']:,} parameters{seeds}"
        for axis, values in zip(axes, (found["recalled"], 100 - found["error"]), strict=True):
            for row in values:
                axis.plot(lengths, row, color=color, alpha=0.35, linewidth=1)
            axis.plot(lengths, values.mean(0), color=color, marker="o", label=label)
        axes[0].plot(lengths, found["accuracy"].mean(0), color=color, linestyle="--", linewidth=1)
    for axis in axes:
        if any("x" in length for length in lengths):
            axis.tick_params("x", labelrotation=60, labelsize=8)
        for place, each in enumerate(lengths):
            if all(map(int.__le__, _numbers(each), _numbers(trial.until))):
                axis.axvspan(place - 0.5, place + 0.5, color="gray", alpha=0.15, linewidth=0)
        axis.set_xlabel("length, with how often; gray: as in training" if "x" in trial.until
                        else "length; gray: as in training")  # fmt: skip
        axis.set_ylim(-3, 103)
        axis.grid(alpha=0.2)
    axes[1].legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
