"""What `--diagnose` costs a training, by default options, on one core.

    python benchmarks/diagnosis.py --output diagnosis.md

Each case is trained with and without the hook in turn, in this process, the first place
alternating. What is compared are CPU seconds of whole epochs, validation and the default
checkpoints included: the machine may be shared. The weights of both must be the same to the bit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from seqnlp import registry
from seqnlp.bundle import Model
from seqnlp.config import Settings, load_settings
from seqnlp.training import Hook, Trainer
from seqnlp.training.run import train

CASES = {
    "bundled reviews, BiLSTM of 128": ["task=sentiment", "train.epochs=6"],
    "adding:100, LSTM of 64": [
        "task=long_range", 'corpus.name="adding:100,train=5000"', "model.cell=lstm",
        "train.epochs=6",
    ],
    "bundled stories, translation": ["task=translation", "train.epochs=2"],
    "bundled reports, summarization": ["task=summarization", "train.epochs=2"],
}  # fmt: skip


class Clock(Hook):
    """Times the epochs of a fit, all hooks included."""

    order = -1000

    def __init__(self) -> None:
        self.begun = self.seconds = 0.0
        self.epochs = 0

    def on_fit_start(self, trainer: Trainer) -> None:
        self.begun = time.process_time()

    def on_fit_end(self, trainer: Trainer) -> None:
        self.seconds = time.process_time() - self.begun
        self.epochs = trainer.epoch


def settings_of(overrides: Sequence[str], *, diagnose: bool) -> Settings:
    """One thread, no early end."""
    task = next(word.split("=")[1] for word in overrides if word.startswith("task="))
    more = ["threads=1", 'device="cpu"', "hooks.early_stopping=false",
            f"hooks.diagnose={'true' if diagnose else 'false'}"]  # fmt: skip
    return load_settings(None, [*overrides, *more], base=registry.tasks.get(task).defaults)


def run(overrides: Sequence[str], *, diagnose: bool) -> tuple[float, Model]:
    """CPU seconds of an epoch, and the model."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_of(overrides, diagnose=diagnose)
        model = train(settings, Path(folder) / "run", hooks=[clock])
    return clock.seconds / clock.epochs, model


def same(first: Model, second: Model) -> bool:
    """Whether two models have the same weights to the bit."""
    pairs = zip(first.task.state_dict().values(), second.task.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def measure(overrides: Sequence[str], turns: int) -> tuple[float, float]:
    """CPU seconds of an epoch without the hook, and the median share that it adds."""
    run(overrides, diagnose=True)  # what is compiled and cached
    plain, shares = [], []
    for turn in range(turns):
        order = (False, True) if turn % 2 else (True, False)
        found = {diagnose: run(overrides, diagnose=diagnose) for diagnose in order}
        if not same(found[False][1], found[True][1]):
            raise SystemExit(f"{overrides}: the weights differ")
        plain.append(found[False][0])
        shares.append(found[True][0] / found[False][0] - 1)
        print(f"turn {turn + 1}: {plain[-1]:.2f} s, {shares[-1]:+.1%}", file=sys.stderr)
    return statistics.median(plain), statistics.median(shares)


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--only", help="a word of the cases to measure")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = ["| training | an epoch, CPU seconds | with --diagnose |", "|---|---|---|"]
    for name, overrides in CASES.items():
        if options.only is None or options.only in name:
            print(name, file=sys.stderr)
            seconds, share = measure(overrides, options.turns)
            rows.append(f"| {name} | {seconds:.2f} | {share:+.1%} |")
    table = "\n".join(rows) + "\n"
    print(table, end="")
    if options.output is not None:
        options.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
