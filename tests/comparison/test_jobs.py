"""Trainings in processes of their own."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from seqnlp.bundle import load
from seqnlp.comparison.jobs import Job, finished, train_all
from seqnlp.errors import InputError, StoppedError
from seqnlp.training.record import begun
from seqnlp.training.run import train
from tests.toy_seeds import tiny


def test_a_failure_is_told_and_the_others_go_on(toy_corpus: Path, tmp_path: Path) -> None:
    good = Job.of(tiny(toy_corpus), tmp_path / "good")
    wild = ["train.optimizer=SGD", "train.lr=1e38", "hooks.clip=false"]
    bad = Job.of(tiny(toy_corpus, *wild), tmp_path / "bad")
    told: list[tuple[str, Path]] = []
    reasons = []

    def on_failure(job: Job, reason: str) -> None:
        told.append(("failure", job.folder))
        reasons.append(reason)

    failed = train_all(
        [bad, good],
        workers=2,
        on_start=lambda job: told.append(("start", job.folder)),
        on_end=lambda job, seconds: told.append(("end" if seconds > 0 else "", job.folder)),
        on_failure=on_failure,
    )
    assert failed == [bad]
    assert told[:2] == [("start", bad.folder), ("start", good.folder)]
    assert set(told[2:]) == {("failure", bad.folder), ("end", good.folder)}
    assert reasons[0].startswith("the loss became ")
    run = finished(good)
    assert run is not None
    # The same as in this process.
    here = train(tiny(toy_corpus))
    assert run.metrics["test"] == here.metrics["test"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_trainings_and_they_are_gone_on_with(
    number: signal.Signals, toy_corpus: Path, tmp_path: Path
) -> None:
    job = Job.of(tiny(toy_corpus, "train.epochs=30", "hooks.early_stopping=false"), tmp_path / "a")

    def look(job: Job) -> None:
        log = job.folder / "log.jsonl"
        if log.is_file() and '"epoch"' in log.read_text():
            signal.raise_signal(number)

    handler, told = signal.getsignal(number), "^interrupted; the same command goes on where it was$"
    with pytest.raises(StoppedError, match=told) as caught:
        train_all([job], on_look=look)
    assert caught.value.exit_status == 128 + number
    assert signal.getsignal(number) is handler
    assert begun(job.folder)
    assert finished(job) is None
    assert train_all([job]) == []
    assert finished(job) is not None
    whole = train(job.settings)
    again = load(job.folder)
    for name, weight in whole.task.state_dict().items():
        assert weight.equal(again.task.state_dict()[name]), name


def test_settings_that_no_training_takes_end_all(toy_corpus: Path, tmp_path: Path) -> None:
    lost = Job.of(tiny(toy_corpus), tmp_path / "a")
    gone = lost.settings.corpus.model_copy(update={"name": str(tmp_path / "gone")})
    bad = Job(folder=lost.folder, settings=lost.settings.model_copy(update={"corpus": gone}))
    with pytest.raises(InputError, match="gone: no such file or folder"):
        train_all([bad])
