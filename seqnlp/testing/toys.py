"""A corpus and a task small enough for a second, to try parts of other kinds in."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch

from seqnlp.config import Settings, settings_from
from seqnlp.data import Corpus, Split

RECURRENT: Mapping[str, Any] = {"hidden_size": 8, "engine": "reference"}
"""Settings of the model that a recurrent encoder alone reads."""

GOOD, BAD = ("fine", "great", "lovely", "bright"), ("poor", "dull", "awful", "weak")

SMALL: Mapping[str, Any] = {
    "threads": 1,
    "corpus": {"name": "toy"},
    "text": {"ngram_buckets": 50},
    "model": {"embedding_size": 8},
    "train": {"epochs": 2, "lr": 0.02, "batch_size": 8},
    "hooks": {"dropout": False, "clip": False, "early_stopping": False, "best_checkpoint": False},
}


def toy_corpus() -> Corpus:
    """Texts of two opinions, of which the last decides."""
    rows = [
        {"text": f"It was {first} and then {last} .", "label": label}
        for first, last in itertools.product(GOOD + BAD, GOOD + BAD)
        if (first in GOOD) != (last in GOOD)
        for label in ["good" if last in GOOD else "bad"]
    ]
    parts = {"train": rows[::2], "validation": rows[1::4], "test": rows[3::4]}
    splits = {name: Split.from_examples(name, part) for name, part in parts.items()}
    return Corpus(name="toy", splits=MappingProxyType(splits), license="MIT")


def toy_settings(**sections: Mapping[str, Any]) -> Settings:
    """Those of a small run, some sections with other keys."""
    tables = dict(SMALL)
    for name, table in sections.items():
        tables[name] = {**tables.get(name, {}), **table}
    return settings_from(tables, "settings")


def toy_task(settings: Settings) -> Any:
    """A small task of sentiment, its weights drawn by seed 0."""
    from seqnlp import registry

    torch.manual_seed(0)
    return registry.tasks.get("sentiment").create(settings, toy_corpus())
