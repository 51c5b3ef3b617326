"""Whole trainings by the fused engine and by the reference loop: the same curve of losses."""

from __future__ import annotations

import pytest
import torch

from seqnlp.config import load_settings
from seqnlp.data.corpus import open_corpus
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.hooks import Hook
from seqnlp.training.trainer import Trainer

STEPS = 60


class Enough(Exception):
    """As many steps as are wanted."""


class Curve(Hook):
    """The loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step_end(self, trainer: Trainer) -> None:
        self.losses.append(trainer.loss)
        if len(self.losses) == STEPS:
            raise Enough


def curve(corpus_name: str, cell: str, engine: str, dtype: torch.dtype) -> list[float]:
    settings = load_settings(
        None,
        [
            f'corpus.name="{corpus_name}"', f"model.cell={cell}", f"model.engine={engine}",
            "model.hidden_size=33", "model.embedding_size=20", "text.ngram_buckets=100",
            "text.max_tokens=40", "train.epochs=1", "train.batch_size=16", "train.optimizer=SGD", "train.lr=0.3",
        ],
    )  # fmt: skip
    corpus = open_corpus(corpus_name, fields=SentimentTask.fields)
    torch.manual_seed(0)
    task = SentimentTask.create(settings, corpus).to(dtype)
    hook = Curve()
    trainer = Trainer(task, settings.train, (hook,))
    train, validation = corpus.split("train"), corpus.split("validation")
    with pytest.raises(Enough):
        trainer.fit(task.read(train), task.read(validation), task.references(validation))
    return hook.losses


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["peephole", "layer_norm_lstm", "gru", "slstm"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("corpus", ["reviews", pytest.param("sst2", marks=pytest.mark.data)])
def test_training_goes_the_same_way(corpus: str, dtype: torch.dtype, cell: str) -> None:
    fused, reference = (curve(corpus, cell, engine, dtype) for engine in ("fused", "reference"))
    # What is rounded differently grows from step to step: slowly, but where states near zero are
    # normalized. There a change of 1e-16 in the weights is one of 1e-8 after ten steps, by one
    # engine alone. (With Adam everywhere: it scales up gradients that are nothing but rounding.)
    steps = 4 if cell == "layer_norm_lstm" else STEPS
    tolerance = 1e-9 if dtype is torch.float64 else 1e-3
    assert fused[:steps] == pytest.approx(reference[:steps], rel=tolerance)
    assert fused[:2] == pytest.approx(reference[:2], rel=tolerance / 100)
