"""What a memory is for: sequences far longer than those of training."""

from __future__ import annotations

import pytest

import seqnlp
from seqnlp.registry import tasks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("corpus", "cell", "options"),
    [
        ("copy", "ntm", "{controller = 'feedforward', slots = 64, width = 10}"),
        ("reverse", "stack", "{depth = 64, width = 10}"),
    ],
)
def test_a_memory_recalls_what_is_longer_than_any_training_sequence(
    corpus: str, cell: str, options: str
) -> None:
    name = f"{corpus}:1-8,bits=4,train=10000,test=16/24,each=32"
    found = {}
    for each, size in ((cell, 40), ("lstm", 48)):
        settings = seqnlp.load_settings(
            overrides=[
                "task=recall", f"corpus.name={name}", f"model.cell={each}", "threads=1",
                *([f"model.cell_options={options}"] if each == cell else []),
                f"model.hidden_size={size}", "train.epochs=2", "train.lr=0.003",
            ],
            base=tasks.get("recall").defaults,
        )  # fmt: skip
        found[each] = seqnlp.train(settings).metrics["test"]["lengths"]
    assert found[cell]["24"]["recalled"] >= 0.9
    assert found[cell]["24"]["error"] <= 0.01
    assert found["lstm"]["16"]["recalled"] <= 0.1
    assert found["lstm"]["24"]["error"] >= 0.2
