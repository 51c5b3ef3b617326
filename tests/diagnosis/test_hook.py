"""Looking at gradients while training: what is written, and that the training stays the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from seqnlp.config import Settings
from seqnlp.diagnosis.hook import COURSE, DiagnoseHook
from seqnlp.errors import InputError
from seqnlp.training import Hook, Trainer, train
from tests.toy import small_settings
from tests.training.resuming import Killed, Killer

TINY = ["model.hidden_size=6", "model.embedding_size=6", "train.batch_size=32",
        "hooks.dropout.recurrent=0.2", "model.engine=reference"]  # fmt: skip


def settings_of(corpus: Path, *overrides: str) -> Settings:
    watched = any("diagnose" in each for each in overrides)
    apart = ["hooks.diagnose.apart=0"] if watched else []
    return small_settings(corpus, *TINY, "train.epochs=3", *overrides, *apart)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / COURSE).read_text().splitlines()]


@pytest.mark.parametrize("options", ["{}", "{steps=1,every=0,examples=4}"])
def test_the_training_is_the_same_to_the_bit(toy_corpus: Path, options: str) -> None:
    """With dropout, whose masks are drawn from the same generator."""
    plain = train(settings_of(toy_corpus))
    watched = train(settings_of(toy_corpus, f"hooks.diagnose={options}"))
    for name, weight in plain.task.state_dict().items():
        assert torch.equal(weight, watched.task.state_dict()[name]), name
    courses = [model.metrics["training"][0]["epochs"] for model in (plain, watched)]
    assert [each["train_loss"] for each in courses[0]] == [
        each["train_loss"] for each in courses[1]
    ]


def test_every_epoch_is_a_line_and_the_last_one_is_told(toy_corpus: Path, tmp_path: Path) -> None:
    told: list[str] = []
    train(
        settings_of(toy_corpus, "hooks.diagnose.examples=5"), tmp_path / "run", notify=told.append
    )
    found = lines(tmp_path / "run")
    assert [(each["seed"], each["epoch"], each["step"]) for each in found] == [
        (0, 1, 4),
        (0, 2, 8),
        (0, 3, 12),
    ]
    assert all(each["split"] == "train" and each["rows"] == 5 for each in found)
    for verdict in found[-1]["verdicts"]:
        assert any(line.startswith(f"{verdict['where']}: {verdict['text']}") for line in told)


def test_steps_and_epochs_between_looks(toy_corpus: Path, tmp_path: Path) -> None:
    train(settings_of(toy_corpus, "hooks.diagnose.steps=5"), tmp_path / "both")
    assert [each["step"] for each in lines(tmp_path / "both")] == [4, 5, 8, 10, 12]
    train(settings_of(toy_corpus, "hooks.diagnose.every=2"), tmp_path / "second")
    assert [each["epoch"] for each in lines(tmp_path / "second")] == [2, 3]


def test_short_epochs_are_not_all_looked_at(toy_corpus: Path, tmp_path: Path) -> None:
    """Epochs of 4 steps: the first and the last are, and what is 8 steps from the look before."""
    chosen = small_settings(toy_corpus, *TINY, "train.epochs=6", "hooks.diagnose.apart=8")
    train(chosen, tmp_path / "run")
    assert [each["epoch"] for each in lines(tmp_path / "run")] == [1, 3, 5, 6]
    train(small_settings(toy_corpus, *TINY, "hooks.diagnose={}"), tmp_path / "default")
    assert [each["epoch"] for each in lines(tmp_path / "default")] == [1, 6]


def test_an_ensemble_has_a_course_for_each_seed(toy_corpus: Path, tmp_path: Path) -> None:
    chosen = settings_of(toy_corpus, "hooks.diagnose={}", "ensemble=2", "train.epochs=1")
    for _ in range(2):  # the second time over the first
        train(chosen, tmp_path / "run", force=True)
        assert [(each["seed"], each["epoch"]) for each in lines(tmp_path / "run")] == [
            (0, 1),
            (1, 1),
        ]


class Keeper(Hook):
    """Keeps what the update should be: the weights around every step, and gradients' norms."""

    order = 29

    def __init__(self) -> None:
        self.norms: list[float] = []
        self.ratios: dict[str, float] = {}

    def on_backward_end(self, trainer: Trainer) -> None:
        grads = [each.grad for each in trainer.task.parameters() if each.grad is not None]
        self.norms.append(float(torch.stack([each.norm() for each in grads]).norm()))
        self.before = {
            name: each.detach().clone() for name, each in trainer.task.named_parameters()
        }

    def on_step_end(self, trainer: Trainer) -> None:
        self.ratios = {
            name: ((each.detach() - self.before[name]).norm() / self.before[name].norm()).item()
            for name, each in trainer.task.named_parameters()
            if self.before[name].any()
        }


def test_updates_and_clipping_are_those_of_the_steps(toy_corpus: Path, tmp_path: Path) -> None:
    keeper = Keeper()
    limit = 0.4
    chosen = settings_of(
        toy_corpus, "hooks.diagnose.every=3", "train.epochs=3", f"hooks.clip.norm={limit}"
    )
    train(chosen, tmp_path / "run", hooks=[keeper])
    (found,) = lines(tmp_path / "run")
    longer = [each for each in keeper.norms if each > limit]
    assert 0 < len(longer) < len(keeper.norms)
    clipping = found["clipping"]
    assert (clipping["limit"], clipping["steps"], clipping["cut"]) == (limit, 12, len(longer))
    assert clipping["share"] == pytest.approx(len(longer) / 12, rel=1e-4)
    assert clipping["kept"] == pytest.approx(
        sum(limit / each for each in longer) / len(longer), rel=1e-4
    )
    updates = {
        each["name"]: each["update"] for each in found["weights"] if each["update"] is not None
    }
    assert updates == pytest.approx(keeper.ratios, rel=1e-4)


def test_without_clipping_there_is_nothing_to_say_of_it(toy_corpus: Path, tmp_path: Path) -> None:
    train(settings_of(toy_corpus, "hooks.diagnose={}", "hooks.clip=false"), tmp_path / "run")
    assert all(each["clipping"] is None for each in lines(tmp_path / "run"))


@pytest.mark.parametrize("steps", [[2], [6, 1], [5, 4, 2]])
def test_a_broken_run_has_the_same_course(
    toy_corpus: Path, tmp_path: Path, steps: list[int]
) -> None:
    chosen = settings_of(
        toy_corpus, "hooks.diagnose.steps=3", "hooks.checkpoint.steps=2", "hooks.clip.norm=0.4"
    )
    whole = train(chosen, tmp_path / "whole")
    for number, each in enumerate(steps):
        with pytest.raises(Killed):
            train(chosen, tmp_path / "broken", resume=number > 0, hooks=[Killer(each)])
    broken = train(chosen, tmp_path / "broken", resume=True)
    assert lines(tmp_path / "broken") == lines(tmp_path / "whole")
    for name, weight in whole.task.state_dict().items():
        assert torch.equal(weight, broken.task.state_dict()[name]), name


def test_a_state_goes_on_with_what_was_counted(tmp_path: Path) -> None:
    first = DiagnoseHook()
    first.path = tmp_path / COURSE
    first.path.write_text("one\n")
    first.taken, first.cut, first.kept, first.looked, first._updates = 5, 2, 0.75, 3, {"a": 0.1}
    state = json.loads(json.dumps(first.state_dict()))
    first.path.write_text("one\ntwo, after the checkpoint\n")
    second = DiagnoseHook()
    second.path = first.path
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert first.path.read_text() == "one\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "every=0",
            "every, steps and apart must not be negative, nor the first two both be 0, not 0, 0 and 0",
        ),
        (
            "steps=-1",
            "every, steps and apart must not be negative, nor the first two both be 0, not 1, -1 and 0",
        ),
        ("examples=0", "examples and span must be at least 1, not 0 and 200"),
        ("span=0", "examples and span must be at least 1, not 16 and 0"),
    ],
)
def test_numbers_that_cannot_be_are_refused(toy_corpus: Path, options: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        train(settings_of(toy_corpus, f"hooks.diagnose={{{options}}}"))
