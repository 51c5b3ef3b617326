"""A corpus small enough to learn in a second: the last of two words decides."""

from __future__ import annotations

import itertools
from pathlib import Path

from seqnlp.config import Settings, load_settings

GOOD, BAD = ("fine", "great", "lovely", "bright"), ("poor", "dull", "awful", "weak")
NOUNS = ("film", "plot", "score", "cast", "book", "room")

SMALL = [
    "model.embedding_size=12", "model.hidden_size=12", "text.ngram_buckets=50",
    "train.epochs=6", "train.lr=0.02", "train.batch_size=16", "threads=1",
    "hooks.dropout.embedding=0.1", "hooks.dropout.output=0.1",
]  # fmt: skip


def rows() -> list[tuple[str, str]]:
    """(label, text) of every combination of two words of praise or blame and a noun."""
    made = []
    for first, last, noun in itertools.product(GOOD + BAD, GOOD + BAD, NOUNS):
        if (first in GOOD) != (last in GOOD):
            label = "positive" if last in GOOD else "negative"
            made.append((label, f"The {noun} was {first} and then {last} ."))
    return made


def write_corpus(folder: Path) -> Path:
    """A folder with train, validation and test."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = rows()
    splits = {
        "train": [row for n, row in enumerate(everything) if n % 5 > 1],
        "validation": everything[0::5],
        "test": everything[1::5],
    }
    for name, part in splits.items():
        lines = ["label\ttext", *("\t".join(row) for row in part)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def small_settings(corpus: Path, *overrides: str) -> Settings:
    """Settings of a run that takes about a second."""
    return load_settings(None, [f'corpus.name="{corpus}"', *SMALL, *overrides])
