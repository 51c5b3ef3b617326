"""The hook that cuts backpropagation through time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqnlp.config import build
from seqnlp.errors import SettingsError
from seqnlp.nn import RecurrentLayer
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.truncation import TruncateHook
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit


class Watch(Hook):
    def __init__(self) -> None:
        self.seen: set[int] = set()

    def on_step_end(self, trainer: Trainer) -> None:
        self.seen |= truncations(trainer)


def truncations(trainer: Trainer) -> set[int]:
    return {m.truncation for m in trainer.task.modules() if isinstance(m, RecurrentLayer)}


def test_it_holds_while_training_and_changes_what_is_learned(toy_corpus: Path) -> None:
    weights = []
    for hooks in ((), (TruncateHook(steps=1),), (TruncateHook(steps=1000),)):
        watch = Watch()
        trainer = fit(toy_corpus, "train.epochs=1", hooks=(*hooks, watch))
        assert watch.seen == {hook.steps for hook in hooks} or watch.seen == {0}
        assert truncations(trainer) == {0}
        weights.append(torch.cat([p.detach().flatten() for p in trainer.task.parameters()]))
    free, cut, longer = weights
    assert torch.equal(free, longer)
    assert not torch.equal(free, cut)


def test_it_is_taken_back_where_the_run_fails(toy_corpus: Path) -> None:
    class Failing(Watch):
        def on_step_end(self, trainer: Trainer) -> None:
            self.trainer = trainer
            raise RuntimeError("no more")

    failing = Failing()
    with pytest.raises(RuntimeError, match="no more"):
        fit(toy_corpus, "train.epochs=1", hooks=(TruncateHook(steps=2), failing))
    assert truncations(failing.trainer) == {0}


def test_bad_options_and_models_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"hooks\.truncate: steps must be at least 1, not 0"):
        build(TruncateHook, {"steps": 0}, where="hooks.truncate")
    assert build(TruncateHook, {}, where="hooks.truncate").steps == 50

    class Other:
        task = torch.nn.Linear(2, 2)

    with pytest.raises(SettingsError, match=r"hooks\.truncate: the model has no recurrent layer"):
        TruncateHook(steps=2).on_fit_start(Other())  # type: ignore[arg-type]
