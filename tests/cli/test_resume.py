"""`seqnlp train --resume` and `--continue`, as they are typed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import seqnlp
from tests.cli.calling import SETS, call, train
from tests.toy import small_settings
from tests.training.resuming import Killed, Killer, checkpoints, outcome

Capture = pytest.CaptureFixture[str]
OFTEN = ("hooks.checkpoint.steps=1", "train.epochs=2")
TYPED = [word for option in OFTEN for word in ("--set", option)]


@pytest.fixture
def broken(toy_corpus: Path, tmp_path: Path) -> Path:
    """The folder of a run that was killed."""
    with pytest.raises(Killed):
        seqnlp.train(small_settings(toy_corpus, *OFTEN), tmp_path / "x", hooks=[Killer(5)])
    return tmp_path / "x"


@pytest.fixture
def whole(toy_corpus: Path, tmp_path: Path) -> Path:
    seqnlp.train(small_settings(toy_corpus, *OFTEN), tmp_path / "whole")
    return tmp_path / "whole"


def test_resume_goes_on_with_the_settings_of_the_run(
    capfd: Capture, broken: Path, whole: Path
) -> None:
    status, out, err = call(capfd, "train", "--resume", broken)
    assert status == 0, err
    assert "note: going on in epoch 1 after step 4" in err
    assert f"saved in {broken} after" in err + out
    assert outcome(broken) == outcome(whole)


def test_what_is_complete_has_nothing_left_to_do(capfd: Capture, whole: Path) -> None:
    before = outcome(whole)
    for words in (["--resume", whole], ["--continue", "--output", whole]):
        more = [] if "--resume" in words else [*SETS, *TYPED, "--corpus", corpus_of(whole)]
        status, _, err = call(capfd, "train", *words, *more)
        assert (status, err) == (0, f"{whole} is complete: there is nothing left to do\n")
    assert outcome(whole) == before


def corpus_of(folder: Path) -> str:
    return seqnlp.load(folder).settings.corpus.name


def test_the_same_command_may_be_given_again_and_again(
    capfd: Capture, toy_corpus: Path, broken: Path, whole: Path, tmp_path: Path
) -> None:
    for folder in (broken, tmp_path / "new"):
        words = ["--corpus", toy_corpus, *TYPED, "--continue", "--output", folder, "--quiet"]
        for _ in range(2):
            status, _, err = call(capfd, "train", *SETS, *words)
            assert status == 0, err
        assert outcome(folder) == outcome(whole)


def test_torchrun_that_starts_anew_goes_on(
    capfd: Capture, toy_corpus: Path, broken: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    status, _, err = train(capfd, "--corpus", toy_corpus, *TYPED, "--output", broken, "--force")
    assert status == 0, err
    assert "going on in epoch 1" in err
    assert outcome(broken) == outcome(whole)


def test_torchrun_that_starts_anew_finds_the_folder_that_was_chosen(
    capfd: Capture, toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / f"{toy_corpus.name}-lstm"
    with pytest.raises(Killed):
        seqnlp.train(small_settings(toy_corpus, *OFTEN), folder, hooks=[Killer(5)])
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    status, _, err = train(capfd, "--corpus", toy_corpus, *TYPED)
    assert status == 0, err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "x", "--lr", "0.1"], "--resume goes on with the settings that its run was begun with; leave out --lr"),
        (["--resume", "x", "sst2"], "--resume goes on with the settings that its run was begun with; leave out RECIPE"),
        (["--resume", "x", "--set", "seed=3"], "--resume goes on with the settings that its run was begun with; leave out --set"),
        (["--resume", "x", "--columns", "text=a"], "--resume goes on with the settings that its run was begun with; leave out --columns"),
        (["--resume", "x", "--output", "y"], "--resume goes on with the settings that its run was begun with; leave out --output"),
        (["--resume", "x", "--force"], "--resume goes on with the settings that its run was begun with; leave out --force"),
        (["--resume", "x", "--continue"], "--resume goes on with the settings that its run was begun with; leave out --continue"),
        (["--resume", "x", "--diagnose"], "--resume goes on with the settings that its run was begun with; leave out --diagnose"),
        (["--continue"], "--continue goes on with the run in --output FOLDER; name it"),
        (["--continue", "--output", "x", "--force"], "--continue goes on with a run, --force begins it anew; give one"),
        (["--resume", "nowhere"], "nowhere: no run was begun here, so there is none to resume"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(capfd: Capture, words: list[str], message: str) -> None:
    status, out, err = call(capfd, "train", *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1


def test_a_run_that_is_not_complete_is_not_overwritten(
    capfd: Capture, toy_corpus: Path, broken: Path
) -> None:
    before = sorted(broken.rglob("*"))
    status, _, err = train(capfd, "--corpus", toy_corpus, "--output", broken)
    assert status == 2
    assert "--resume" in err
    assert sorted(broken.rglob("*")) == before


def test_sigterm_has_a_status_that_schedulers_know(toy_corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "x"
    begin = [sys.executable, "-m", "seqnlp", "train", "--corpus", str(toy_corpus), *SETS,
             "--set", "train.epochs=100000", "--set", "hooks.early_stopping=false",
             "--output", str(folder), "--quiet"]  # fmt: skip
    resume = [sys.executable, "-m", "seqnlp", "train", "--resume", str(folder), "--quiet"]
    log = folder / "log.jsonl"
    for command in (begin, resume):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
        size = len(log.read_bytes()) if log.is_file() else 1000
        for _ in range(1200):
            if log.is_file() and len(log.read_bytes()) > size:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 143, err
        last = err.splitlines()[-1]
        assert last.startswith("error: terminated in epoch ")
        assert last.endswith(f"; go on with: seqnlp train --resume {folder}")
        assert "Traceback" not in err
    assert len(checkpoints(folder)) == 2
