"""Runs of two cells and several seeds, small enough to train in tenths of a second."""

from __future__ import annotations

from pathlib import Path

from seqnlp.config import Settings
from seqnlp.training.run import train
from tests.toy import small_settings

TINY = [
    "model.hidden_size=4", "model.engine=native", "model.embedding_size=4", "text.ngram_buckets=0",
    "train.epochs=2", "train.lr=0.004",
]  # fmt: skip
CELLS, SEEDS = ("rnn", "gru"), (0, 1, 2)


def tiny(corpus: Path, *overrides: str) -> Settings:
    """Settings of a run that learns little."""
    return small_settings(corpus, *TINY, *overrides)


def train_seeds(corpus: Path, folder: Path) -> Path:
    """Fill a folder with the runs CELL-seed-N."""
    for cell in CELLS:
        for seed in SEEDS:
            settings = tiny(corpus, f"model.cell={cell}", f"seed={seed}")
            train(settings, folder / f"{cell}-seed-{seed}")
    return folder
