"""The loop: what it computes, in which order it calls its hooks, and how it ends."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from seqnlp.config import TrainSettings
from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, open_corpus
from seqnlp.errors import SettingsError, TrainingError
from seqnlp.tasks.sentiment import SentimentTask
from seqnlp.training.hooks import Hook
from seqnlp.training.optimizers import make_optimizer
from seqnlp.training.trainer import Trainer
from tests.toy import small_settings

MOMENTS = [name for name in vars(Hook) if name.startswith("on_")]


class Recorder(Hook):
    """Writes down every moment."""

    def __init__(self) -> None:
        self.moments: list[str] = []
        for moment in MOMENTS:
            setattr(self, moment, lambda trainer, moment=moment: self.moments.append(moment))


def prepare(path: Path, *overrides: str) -> tuple[SentimentTask, Corpus, TrainSettings]:
    settings = small_settings(path, *overrides)
    corpus = open_corpus(str(path), fields=SentimentTask.fields)
    torch.manual_seed(0)
    return SentimentTask.create(settings, corpus), corpus, settings.train


def fit(path: Path, *overrides: str, hooks: tuple[Hook, ...] = ()) -> Trainer:
    task, corpus, settings = prepare(path, *overrides)
    trainer = Trainer(task, settings, hooks)
    validation = corpus.split("validation")
    trainer.fit(
        task.read(corpus.split("train")), task.read(validation), task.references(validation)
    )
    return trainer


def test_moments_come_in_the_documented_order(toy_corpus: Path) -> None:
    recorder = Recorder()
    trainer = fit(toy_corpus, "train.epochs=2", "train.batch_size=64", hooks=(recorder,))
    step = ["on_batch_start", "on_backward_end", "on_step_end"]
    epoch = ["on_epoch_start", *step * trainer.steps_per_epoch,
             "on_evaluate_start", "on_evaluate_end", "on_epoch_end"]  # fmt: skip
    assert recorder.moments == ["on_fit_start", *epoch * 2, "on_fit_end"]
    documented = [
        line.split()[0]
        for line in (Hook.__doc__ or "").splitlines()
        if line.strip().startswith("on_")
    ]
    assert documented == ["on_fit_start", "on_epoch_start", *step, "on_evaluate_start",
                          "on_evaluate_end", "on_epoch_end", "on_interrupt", "on_fit_end",
                          "on_fit_error"]  # fmt: skip
    assert set(documented) == set(MOMENTS)


def test_an_epoch_is_plain_torch(toy_corpus: Path) -> None:
    trainer = fit(toy_corpus, "train.epochs=2", "train.optimizer=SGD", "train.batch_tokens=90")
    task, corpus, settings = prepare(toy_corpus)
    rows = task.read(corpus.split("train"))
    optimizer = torch.optim.SGD(task.parameters(), lr=settings.lr)
    buckets = LengthBuckets(rows.lengths, batch_size=16, batch_tokens=90, shuffle=True, seed=0)
    for epoch in range(2):
        for indices in buckets.batches(epoch):
            batch = rows.batch(indices)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(
                task.members[0](batch.tokens), batch.labels
            ).backward()
            optimizer.step()
    expected = task.state_dict()
    for name, value in trainer.task.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_training_is_in_train_mode_and_validation_is_not(toy_corpus: Path) -> None:
    class Modes(Hook):
        seen: dict[str, bool] = {}

        def on_backward_end(self, trainer: Trainer) -> None:
            self.seen["training"] = trainer.task.training

    modes: list[bool] = []
    task, corpus, settings = prepare(toy_corpus, "train.epochs=2")
    task.members[0].register_forward_hook(lambda module, *_: modes.append(module.training))
    hook = Modes()
    validation = corpus.split("validation")
    Trainer(task, settings, [hook]).fit(
        task.read(corpus.split("train")), task.read(validation), task.references(validation)
    )
    assert hook.seen == {"training": True}
    changes = [modes[0], *(b for a, b in itertools.pairwise(modes) if a != b)]
    assert changes == [True, False, True, False]


def test_the_train_loss_of_an_epoch_is_the_mean_over_examples(toy_corpus: Path) -> None:
    trainer = fit(toy_corpus, "train.epochs=1", "train.lr=1e-9", "train.batch_size=7")
    task, corpus, _ = prepare(toy_corpus)
    rows = task.read(corpus.split("train"))
    with torch.no_grad():
        loss = task.loss(rows.batch(np.arange(len(rows.lengths))))
    assert trainer.history[0]["train_loss"] == pytest.approx(float(loss.mean), rel=1e-4)


def test_two_runs_with_one_seed_are_the_same_to_the_bit(toy_corpus: Path) -> None:
    first, second = fit(toy_corpus, "train.epochs=2"), fit(toy_corpus, "train.epochs=2")
    for name, value in first.task.state_dict().items():
        assert torch.equal(value, second.task.state_dict()[name]), name


def test_ctrl_c_ends_the_run_in_order(toy_corpus: Path) -> None:
    class Impatient(Hook):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.steps == 7:
                raise KeyboardInterrupt

    recorder = Recorder()
    trainer = fit(toy_corpus, hooks=(Impatient(), recorder))
    assert trainer.interrupted
    assert trainer.stop_reason == "interrupted"
    assert recorder.moments[-1] == "on_fit_end"


def test_a_loss_that_is_no_number_names_the_step_and_a_remedy(toy_corpus: Path) -> None:
    class Poison(Hook):
        def on_step_end(self, trainer: Trainer) -> None:
            if trainer.steps == 3:
                with torch.no_grad():
                    next(trainer.task.parameters()).fill_(math.nan)

    with pytest.raises(
        TrainingError, match="became nan in epoch 1 at step 4; try a lower train.lr"
    ):
        fit(toy_corpus, hooks=(Poison(),))


def test_a_figure_that_does_not_exist_cannot_be_monitored(toy_corpus: Path) -> None:
    with pytest.raises(SettingsError, match="no figure 'acuracy'; did you mean 'accuracy'"):
        fit(toy_corpus, "train.monitor=acuracy")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.optimizer=Adan"], "no optimizer 'Adan'; did you mean 'Adam'"),
        (["train.optimizer=LBFGS"], "no optimizer 'LBFGS'"),
        (["train.optimizer_options={beta = 1}"], "AdamW.*unexpected keyword argument 'beta'"),
        (["train.optimizer=SGD", "train.optimizer_options={momentum = -1}"], "Invalid momentum"),
    ],
)
def test_a_wrong_optimizer_is_one_line(
    toy_corpus: Path, overrides: list[str], message: str
) -> None:
    task, _, settings = prepare(toy_corpus, *overrides)
    with pytest.raises(SettingsError, match=message):
        make_optimizer(task, settings)


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "SGD", "Adagrad", "RMSprop", "NAdam", "Adadelta"]
)
def test_optimizers_go_by_torchs_names(toy_corpus: Path, name: str) -> None:
    task, _, settings = prepare(toy_corpus, f"train.optimizer={name}")
    optimizer = make_optimizer(task, settings)
    assert type(optimizer) is getattr(torch.optim, name)
    assert optimizer.param_groups[0]["lr"] == settings.lr
    # Whoever keeps something of a weight sees by torch's count that it has changed.
    weight = next(task.parameters())
    before, weight.grad = weight._version, torch.ones_like(weight)
    optimizer.step()
    assert weight._version > before
