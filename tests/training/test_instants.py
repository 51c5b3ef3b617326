"""A run is killed at every instant at which its folder changes, and ends as if it had not been."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import seqnlp
from seqnlp.bundle import Model
from seqnlp.cli.main import run
from seqnlp.errors import InputError
from seqnlp.files import held
from seqnlp.training import Hook, Trainer
from seqnlp.training.checkpoints import FOLDER, Checkpoints
from seqnlp.training.hooks.reporting import LogHook
from seqnlp.training.record import begun
from tests.toy import small_settings
from tests.training.resuming import Killed, Killer, checkpoints, outcome

CHANGES = ("replace", "unlink", "rmdir", "mkdir", "rename")


class Instants:
    """Breaks off in place of the nth change of names, and lets nothing change from there on."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left, self.seen, self.dead = 0, 0, False
        for name in CHANGES:
            patch.setattr(os, name, self.watching(getattr(os, name)))

    def watching(self, real: Callable[..., object]) -> Callable[..., object]:
        def change(path: object, *args: object, **options: object) -> object:
            if self.dead:
                raise Killed
            self.seen += 1
            if self.seen == self.left:
                self.dead = True
                raise Killed
            return real(path, *args, **options)

        return change

    @contextmanager
    def killing(self, number: int) -> Iterator[None]:
        self.left, self.seen, self.dead = number, 0, False
        yield
        self.left, self.dead = 0, False


@pytest.mark.slow
def test_no_instant_is_too_odd(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(toy_corpus, "train.epochs=1")
    seqnlp.train(settings, tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    instants = Instants(monkeypatch)
    seqnlp.train(settings, tmp_path / "counted")
    count = instants.seen
    assert count > 20
    for number in range(1, count + 1):
        folder = tmp_path / str(number)
        with instants.killing(number), pytest.raises(Killed):
            seqnlp.train(settings, folder)
        if begun(folder) or not (folder / "bundle.json").exists():
            seqnlp.train(settings, folder, resume=True)
        else:
            assert run(["train", "--resume", str(folder)], debug=True) == 0
        assert outcome(folder) == expected, number


def test_a_run_that_was_killed_before_its_record_is_begun_anew(
    toy_corpus: Path, tmp_path: Path
) -> None:
    left = tmp_path / "x" / FOLDER / ".run.json.abcdefgh.half"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"{")
    seqnlp.train(small_settings(toy_corpus, "train.epochs=1"), tmp_path / "x")
    assert not left.parent.exists()


def test_a_complete_run_is_so_before_its_checkpoints_are_gone(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "x"
    remove: Callable[..., None] = shutil.rmtree

    def die(path: Path | str, **options: object) -> None:
        if path == folder / FOLDER and path.exists():
            raise Killed
        remove(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", die)
        with pytest.raises(Killed):
            seqnlp.train(small_settings(toy_corpus, "train.epochs=1"), folder)
    assert [path.name for path in checkpoints(folder)] == ["done.checkpoint"]
    assert run(["train", "--resume", str(folder)], debug=True) == 0
    assert capsys.readouterr().err == f"{folder} is complete: there is nothing left to do\n"
    assert not (folder / FOLDER).exists()


def test_a_training_is_logged_once_where_it_was_killed_at_its_end(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(toy_corpus, "train.epochs=1", "ensemble=2", "train.refit=true")
    seqnlp.train(settings, tmp_path / "whole")
    finish = seqnlp.training.checkpoints.Checkpoints.finish
    for phase in ("seed-0", "seed-0-refit", "seed-1", "seed-1-refit"):

        def die(self: Checkpoints, state: dict[str, Any], phase: str = phase) -> None:
            if self.folder.name == phase:
                raise Killed
            finish(self, state)

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoints, "finish", die)
            with pytest.raises(Killed):
                seqnlp.train(settings, tmp_path / "x", resume=True)
    seqnlp.train(settings, tmp_path / "x", resume=True)
    assert outcome(tmp_path / "x") == outcome(tmp_path / "whole")


def test_what_was_trained_outlives_a_disk_that_has_no_place_for_the_model(
    toy_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, folder = small_settings(toy_corpus, "train.epochs=1"), tmp_path / "x"

    def refuse(_: Model, place: Path) -> None:
        raise InputError(f"cannot write {place}/weights.safetensors: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Model, "save", refuse)
        with pytest.raises(InputError) as caught:
            seqnlp.train(settings, folder)
    assert str(caught.value) == (
        f"cannot write {folder}/weights.safetensors: No space left on device; go on with: seqnlp "
        f"train --resume {folder}"
    )
    none = Killer(1)
    seqnlp.train(settings, folder, resume=True, hooks=[none])
    assert none.left == 1, "it was trained again"


def test_a_damaged_checkpoint_takes_no_place_of_those_that_are_kept(
    toy_corpus: Path, tmp_path: Path
) -> None:
    often = ("hooks.checkpoint.steps=1", "hooks.checkpoint.keep=1")
    settings, folder = small_settings(toy_corpus, *often), tmp_path / "x"
    for steps in 6, 3:
        with pytest.raises(Killed):
            seqnlp.train(settings, folder, resume=True, hooks=[Killer(steps)])
        assert [path.name for path in checkpoints(folder)] == [
            f"step-00000000{steps - 1}.checkpoint"
        ]
        checkpoints(folder)[0].write_bytes(b"")


def test_a_folder_is_trained_in_by_one_process_at_a_time(toy_corpus: Path, tmp_path: Path) -> None:
    settings, folder = small_settings(toy_corpus, "train.epochs=1"), tmp_path / "x"
    told: list[str] = []

    class Second(Hook):
        """Another start with the same words, with which the first has nothing to do."""

        def on_fit_start(self, trainer: Trainer) -> None:
            for force in False, True:
                with pytest.raises(InputError) as caught:
                    seqnlp.train(settings, folder, force=force, resume=not force)
                told.append(str(caught.value))

    seqnlp.train(settings, folder, hooks=[Second()])
    assert told == 2 * [
        f"{folder} is in use: another process trains there; wait for its end, or name another folder"
    ]
    with held(folder) as free:
        assert free


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_log_waits_for_space(toy_corpus: Path, tmp_path: Path) -> None:
    notes: list[str] = []

    class Full(Hook):
        """The disk is full in the first epoch."""

        def __init__(self) -> None:
            self.log = LogHook()

        def on_epoch_start(self, trainer: Trainer) -> None:
            self.log = next(hook for hook in trainer.hooks if isinstance(hook, LogHook))
            if trainer.epoch == 1:
                assert self.log.file is not None
                self.real, self.log.file = self.log.file, open("/dev/full", "ab", buffering=0)  # noqa: PTH123, SIM115
            elif self.log.file is not self.real:
                assert self.log.file is not None
                self.log.file.close()
                self.log.file = self.real

    settings = small_settings(toy_corpus, "train.epochs=3", "hooks.log.every=2")
    seqnlp.train(settings, tmp_path / "whole")
    seqnlp.train(settings, tmp_path / "x", hooks=[Full()], notify=notes.append)
    assert notes == ["cannot write /dev/full: No space left on device; training goes on"]
    assert outcome(tmp_path / "x") == outcome(tmp_path / "whole")
