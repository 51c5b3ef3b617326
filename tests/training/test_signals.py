"""Ctrl-C and SIGTERM: heeded where nothing is half done, and gone on from."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import seqnlp
from seqnlp.errors import StoppedError
from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import Checkpoints
from seqnlp.training.signals import Interrupted, Signals
from tests.toy import small_settings
from tests.training.resuming import checkpoints, outcome

QUIET = ("train.epochs=3",)


class Sender(Hook):
    """Sends this process a signal at a moment, once."""

    def __init__(self, number: int, moment: str, step: int = 4) -> None:
        self.number, self.step, self.sent = number, step, False
        setattr(self, moment, self.send)

    def send(self, trainer: Trainer) -> None:
        if trainer.steps >= self.step and not self.sent:
            self.sent = True
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("moment", ["on_batch_start", "on_backward_end", "on_step_end"])
def test_sigterm_checkpoints_and_ends(toy_corpus: Path, tmp_path: Path, moment: str) -> None:
    settings, folder = small_settings(toy_corpus, *QUIET), tmp_path / "x"
    with pytest.raises(StoppedError) as caught:
        seqnlp.train(settings, folder, hooks=[Sender(signal.SIGTERM, moment)])
    step = 4 if moment == "on_step_end" else 5
    assert str(caught.value) == (
        f"terminated in epoch 1 after step {step}; go on with: seqnlp train --resume {folder}"
    )
    assert caught.value.exit_status == 143
    assert [path.name for path in checkpoints(folder)] == [f"step-00000000{step}.checkpoint"]
    assert not (folder / "bundle.json").exists()
    seqnlp.train(settings, folder, resume=True)
    seqnlp.train(settings, tmp_path / "whole")
    assert outcome(folder) == outcome(tmp_path / "whole")


class DuringValidation(Hook):
    """Sends a signal from within the validation of an epoch."""

    def __init__(self, number: int, monkeypatch: pytest.MonkeyPatch, epoch: int = 2) -> None:
        self.number, self.patch, self.epoch = number, monkeypatch, epoch

    def on_evaluate_start(self, trainer: Trainer) -> None:
        if trainer.epoch != self.epoch:
            return
        real = trainer.task.score

        def score(*arguments: object) -> object:
            os.kill(os.getpid(), self.number)
            raise AssertionError("the signal came too late")

        self.patch.setattr(trainer.task, "score", score)
        assert real


@pytest.mark.parametrize("options", [(), ("hooks.average.decay=0.9",)])
def test_validation_is_broken_off_and_begun_anew(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    settings, folder = small_settings(toy_corpus, *QUIET, *options), tmp_path / "x"
    with monkeypatch.context() as patch, pytest.raises(StoppedError, match="in epoch 2"):
        seqnlp.train(settings, folder, hooks=[DuringValidation(signal.SIGTERM, patch)])
    seqnlp.train(settings, folder, resume=True)
    seqnlp.train(settings, tmp_path / "whole")
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_ctrl_c_keeps_the_best_and_can_be_gone_on_from(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, *QUIET), tmp_path / "x"
    notes: list[str] = []
    sender = Sender(signal.SIGINT, "on_batch_start", step=10)
    model = seqnlp.train(settings, folder, hooks=[sender], notify=notes.append)
    assert model.metrics["interrupted"]
    assert model.metrics["training"][0]["best_epoch"] == 1
    assert notes == [
        "interrupted in epoch 2; keeping the weights of epoch 1",
        f"go on with: seqnlp train --resume {folder}",
    ]
    assert seqnlp.load(folder)("The film was fine .").output
    seqnlp.train(settings, folder, resume=True)
    seqnlp.train(settings, tmp_path / "whole")
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_ctrl_c_before_the_first_validation_says_how_to_go_on(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings, folder = small_settings(toy_corpus, *QUIET), tmp_path / "x"
    with pytest.raises(StoppedError) as caught:
        seqnlp.train(settings, folder, hooks=[Sender(signal.SIGINT, "on_batch_start")])
    assert str(caught.value) == (
        "interrupted before the first validation: no model to save; go on with: seqnlp train "
        f"--resume {folder}"
    )
    assert caught.value.exit_status == 130


@pytest.mark.parametrize(
    ("options", "folder", "told"),
    [
        ((), None, "nothing was saved, since the run has no folder"),
        (("hooks.checkpoint=false",), "x", "there is no checkpoint, since hooks.checkpoint is off"),
    ],
)
def test_what_cannot_be_gone_on_with_says_so(
    toy_corpus: Path, tmp_path: Path, options: tuple[str, ...], folder: str | None, told: str
) -> None:
    settings = small_settings(toy_corpus, *QUIET, *options)
    with pytest.raises(StoppedError) as caught:
        seqnlp.train(settings, folder and tmp_path / folder,
                     hooks=[Sender(signal.SIGTERM, "on_step_end")])  # fmt: skip
    assert str(caught.value) == f"terminated in epoch 1 after step 4; {told}"


def test_a_second_ctrl_c_does_not_wait() -> None:
    signals = Signals()
    with signals.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.pending == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_counts_for_more_than_ctrl_c() -> None:
    signals = Signals()
    with signals.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signals.pending == signal.SIGTERM


def test_what_breaks_is_broken_off_at_once() -> None:
    signals = Signals()
    with signals.listening():
        with pytest.raises(Interrupted), signals.breaking():
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), signals.breaking():
            raise AssertionError


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        signals = Signals()
        with signals.listening():
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.pending is None
    finally:
        signal.signal(signal.SIGINT, before)


class AtTheEnd(Hook):
    """Sends a signal when all steps are done."""

    def __init__(self, number: int, moment: str, epochs: int = 2) -> None:
        self.number, self.epochs = number, epochs
        setattr(self, moment, self.send)

    def send(self, trainer: Trainer) -> None:
        if trainer.epoch == self.epochs:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("moment", ["on_evaluate_end", "on_epoch_end", "on_fit_end"])
def test_a_signal_after_the_last_step_is_heeded(
    toy_corpus: Path, tmp_path: Path, moment: str
) -> None:
    settings = small_settings(toy_corpus, "train.epochs=2")
    seqnlp.train(settings, tmp_path / "whole")
    for number in signal.SIGTERM, signal.SIGINT:
        folder, hooks = tmp_path / str(number), [AtTheEnd(number, moment)]
        if number == signal.SIGTERM:
            with pytest.raises(StoppedError, match="terminated in epoch 2 after step 16; go on"):
                seqnlp.train(settings, folder, hooks=hooks)
            assert not (folder / "bundle.json").exists()
        else:
            model = seqnlp.train(settings, folder, hooks=hooks)
            assert model.metrics["interrupted"]
            assert seqnlp.load(folder).task
        seqnlp.train(settings, folder, resume=True)
        assert outcome(folder) == outcome(tmp_path / "whole")


def test_a_second_ctrl_c_while_the_checkpoint_is_written_keeps_the_model(
    toy_corpus: Path, tmp_path: Path
) -> None:
    settings, folder = small_settings(toy_corpus, *QUIET), tmp_path / "x"

    class Impatient(Hook):
        def on_interrupt(self, trainer: Trainer) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    hooks = [Sender(signal.SIGINT, "on_batch_start", step=10), Impatient()]
    model = seqnlp.train(settings, folder, hooks=hooks)
    assert model.metrics["interrupted"]
    assert model.metrics["training"][0]["best_epoch"] == 1
    assert seqnlp.load(folder)("The film was fine .").output
    assert '"event": "fit_end"' in (folder / "log.jsonl").read_text().splitlines()[-1]


def test_ctrl_c_while_trained_weights_are_kept_keeps_the_model(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = small_settings(toy_corpus, "train.epochs=1"), tmp_path / "x"
    seqnlp.train(settings, tmp_path / "whole")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "finish", interrupt)
        assert seqnlp.train(settings, folder).metrics["interrupted"]
    seqnlp.train(settings, folder, resume=True)
    assert outcome(folder) == outcome(tmp_path / "whole")


def test_a_handler_that_python_does_not_know_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with Signals().listening():
            assert signal.signal(signal.SIGTERM, signal.SIG_DFL) == signal.SIG_DFL
            ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
            assert ctrl_c is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
