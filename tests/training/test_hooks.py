"""Each hook against the formula that it claims."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from seqnlp.config import build
from seqnlp.errors import InputError, SettingsError
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.clipping import ClipHook, clip_adaptive
from seqnlp.training.hooks.regularization import DropoutHook, PenaltyHook
from seqnlp.training.hooks.reporting import LogHook
from seqnlp.training.hooks.schedules import ScheduleHook
from seqnlp.training.hooks.selection import AverageHook, BestCheckpointHook, EarlyStoppingHook
from seqnlp.training.trainer import Trainer
from tests.training.test_trainer import fit


class Stage:
    """What a hook reads of a trainer, without one."""

    def __init__(self, *shapes: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        self.task = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)
        for weight in self.task:
            weight.grad = torch.randn_like(weight)

    def gradients(self) -> list[torch.Tensor]:
        return [w.grad.clone() for w in self.task if w.grad is not None]


def act(hook: Hook, stage: Stage) -> list[torch.Tensor]:
    hook.on_backward_end(stage)  # type: ignore[arg-type]
    return stage.gradients()


def test_clipping_by_norm_is_torchs() -> None:
    stage, oracle = Stage((4, 3), (5,)), Stage((4, 3), (5,))
    clip_grad_norm_(list(oracle.task), 0.5)
    for ours, theirs in zip(act(ClipHook(norm=0.5), stage), oracle.gradients(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_clipping_by_value_is_torchs() -> None:
    stage, oracle = Stage((4, 3), (5,)), Stage((4, 3), (5,))
    clip_grad_value_(list(oracle.task), 0.2)
    for ours, theirs in zip(act(ClipHook(value=0.2), stage), oracle.gradients(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_adaptive_clipping_bounds_each_row_by_its_weights() -> None:
    weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 0.0], [30.0, 40.0]]))
    weight.grad = torch.tensor([[6.0, 8.0], [1.0, 0.0], [0.3, 0.4]])
    clip_adaptive(weight, 0.1)
    # Norms 5, 0 (counted as 0.001) and 50: the first two are over the limit, the last is not.
    expected = torch.tensor([[0.3, 0.4], [1e-4, 0.0], [0.3, 0.4]])
    torch.testing.assert_close(weight.grad, expected)


def test_penalties_are_the_gradient_of_their_formula() -> None:
    stage = Stage((4, 3), (5,))
    before = stage.gradients()
    weight = stage.task[0].detach().clone().requires_grad_()
    (0.3 * weight.abs().sum() + 0.2 / 2 * weight.square().sum()).backward()
    after = act(PenaltyHook(l1=0.3, l2=0.2), stage)
    assert weight.grad is not None
    torch.testing.assert_close(after[0], before[0] + weight.grad)
    assert torch.equal(after[1], before[1])


@pytest.mark.parametrize(
    ("options", "epochs", "factor"),
    [
        ({"kind": "constant"}, 5, 1.0),
        ({"kind": "linear"}, 5, 0.5),
        ({"kind": "linear", "final": 0.2}, 10, 0.2),
        ({"kind": "cosine"}, 0, 1.0),
        ({"kind": "cosine"}, 5, 0.5),
        ({"kind": "cosine"}, 2.5, (1 + math.cos(math.pi / 4)) / 2),
        ({"kind": "cosine", "warmup": 2}, 6, 0.5),
        ({"kind": "cosine", "warmup": 2}, 1, 0.5),
        ({"kind": "step", "factor": 0.1, "every": 3}, 2.9, 1.0),
        ({"kind": "step", "factor": 0.1, "every": 3}, 6.5, 0.01),
    ],
)
def test_schedules_are_their_formulas(
    options: dict[str, Any], epochs: float, factor: float
) -> None:
    assert ScheduleHook(**options).scale(epochs, 10) == pytest.approx(factor)


def test_the_rate_follows_the_schedule_at_every_step(toy_corpus: Path) -> None:
    class Rates(Hook):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_step_end(self, trainer: Trainer) -> None:
            self.seen.append(trainer.lr)

    rates = Rates()
    trainer = fit(toy_corpus, "train.epochs=2", "train.lr=0.5",
                  hooks=(ScheduleHook(kind="linear", warmup=0.5), rates))  # fmt: skip
    per_epoch = trainer.steps_per_epoch
    warm = math.ceil(per_epoch / 2)
    assert rates.seen[0] == pytest.approx(0.5 / (per_epoch / 2))
    assert rates.seen[0] > 0
    assert all(a < b for a, b in zip(rates.seen[: warm - 1], rates.seen[1:warm], strict=False))
    assert all(a > b for a, b in zip(rates.seen[warm:], rates.seen[warm + 1 :], strict=False))
    assert max(rates.seen) <= 0.5


class Judged:
    """A trainer whose validations are written down beforehand."""

    def __init__(self) -> None:
        self.goodness, self.stopped = 0.0, ""
        self.settings = type("S", (), {"monitor": "accuracy"})
        self.task = nn.Linear(1, 1)
        self.epoch = 0
        self.best_epoch: int | None = None

    def stop(self, reason: str) -> None:
        self.stopped = reason


def test_plateau_drops_after_its_patience() -> None:
    hook, judged = ScheduleHook(kind="plateau", factor=0.5, patience=1), Judged()
    seen = []
    for judged.goodness in (0.5, 0.6, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7):
        hook.on_evaluate_end(judged)  # type: ignore[arg-type]
        seen.append(hook.scale(1, 10))
    # A better figure begins the wait anew; so does a drop.
    assert seen == [1, 1, 1, 1, 1, 0.5, 0.5, 0.25]
    copy = ScheduleHook(kind="plateau", factor=0.5, patience=1)
    copy.load_state_dict(hook.state_dict())
    assert copy.scale(1, 10) == 0.25


def test_early_stopping_waits_for_its_patience() -> None:
    hook, judged = EarlyStoppingHook(patience=1, min_delta=0.01), Judged()
    stops = []
    for judged.goodness in (0.5, 0.6, 0.605, 0.605):
        hook.on_evaluate_end(judged)  # type: ignore[arg-type]
        stops.append(bool(judged.stopped))
    assert stops == [False, False, False, True]
    assert judged.stopped == "no better accuracy for 2 epochs"


def test_the_best_epochs_weights_are_kept() -> None:
    hook, judged = BestCheckpointHook(), Judged()
    for judged.epoch, judged.goodness in ((1, 0.5), (2, 0.9), (3, 0.7), (4, 0.9)):
        with torch.no_grad():
            judged.task.weight.fill_(judged.epoch)
        hook.on_evaluate_end(judged)  # type: ignore[arg-type]
    hook.on_fit_end(judged)  # type: ignore[arg-type]
    assert judged.task.weight.item() == 2
    assert judged.best_epoch == 2


def test_the_average_is_its_recurrence_and_is_what_validation_sees() -> None:
    hook, judged = AverageHook(decay=0.5), Judged()
    with torch.no_grad():
        judged.task.weight.fill_(0.0)
    hook.on_fit_start(judged)  # type: ignore[arg-type]
    expected = 0.0
    for step in range(1, 6):
        with torch.no_grad():
            judged.task.weight.fill_(float(step))
        hook.on_step_end(judged)  # type: ignore[arg-type]
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    hook.on_evaluate_start(judged)  # type: ignore[arg-type]
    assert judged.task.weight.item() == pytest.approx(expected)
    hook.on_epoch_end(judged)  # type: ignore[arg-type]
    assert judged.task.weight.item() == 5.0
    hook.on_fit_end(judged)  # type: ignore[arg-type]
    assert judged.task.weight.item() == pytest.approx(expected)


@pytest.mark.parametrize(("every", "kept"), [(0, [4, 8, 12]), (3, [6, 9, 12])])
def test_the_mean_of_the_last_checkpoints_is_what_validation_sees(
    toy_corpus: Path, every: int, kept: list[int]
) -> None:
    class Watch(Hook):
        order = 99
        weights: dict[int, dict[str, torch.Tensor]] = {}
        seen: dict[str, torch.Tensor] = {}

        def on_step_end(self, trainer: Trainer) -> None:
            self.weights[trainer.steps] = _copied(trainer)

        def on_evaluate_end(self, trainer: Trainer) -> None:
            self.seen = _copied(trainer)

        def on_epoch_end(self, trainer: Trainer) -> None:
            for name, weight in _copied(trainer).items():
                assert torch.equal(weight, self.weights[trainer.steps][name])

    watch = Watch()
    hooks = (AverageHook(last=3, every=every), watch)
    trainer = fit(toy_corpus, "train.epochs=3", "train.batch_size=30", hooks=hooks)
    assert trainer.steps == 12
    for name, weight in trainer.task.named_parameters():
        mean = sum(watch.weights[step][name] for step in kept) / 3
        torch.testing.assert_close(watch.seen[name], mean)
        torch.testing.assert_close(weight.detach(), mean)


def _copied(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in trainer.task.named_parameters()}


def test_average_and_best_checkpoint_agree_on_the_weights(toy_corpus: Path) -> None:
    class Watch(Hook):
        order = 55

        def __init__(self) -> None:
            self.seen: dict[int, torch.Tensor] = {}

        def on_evaluate_end(self, trainer: Trainer) -> None:
            self.seen[trainer.epoch] = next(trainer.task.parameters()).detach().clone()

    watch = Watch()
    trainer = fit(toy_corpus, "train.epochs=3", hooks=(BestCheckpointHook(), AverageHook(), watch))
    assert trainer.best_epoch is not None
    assert torch.equal(next(trainer.task.parameters()), watch.seen[trainer.best_epoch])


def test_the_log_has_a_json_object_a_line(toy_corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    trainer = fit(toy_corpus, "train.epochs=2", hooks=(LogHook(path=path, every=3),))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "fit_start"
    assert events[-1] == "fit_end"
    assert events.count("epoch") == 2
    assert events.count("step") == trainer.steps // 3
    epoch = next(line for line in lines if line["event"] == "epoch")
    assert epoch["accuracy"] == trainer.history[0]["accuracy"]
    assert lines[-1]["steps"] == trainer.steps


def test_a_log_that_cannot_be_written_is_one_line(toy_corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write .*No such file or directory"):
        fit(toy_corpus, hooks=(LogHook(path=tmp_path / "none" / "log.jsonl"),))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (DropoutHook, {"embedding": 1.0}, r"rate of 'embedding' must be in \[0, 1\), not 1.0"),
        (DropoutHook, {"embeding": 0.1}, "no key 'embeding'; did you mean 'embedding'"),
        (DropoutHook, {"kind": "variational"}, "Input should be 'standard', 'fast' or 'locked'"),
        (PenaltyHook, {"l1": -1.0}, "penalties must not be negative"),
        (ClipHook, {"norm": 0.0}, "the limit 'norm' must be positive, not 0.0"),
        (ClipHook, {"normm": 0.0}, "did you mean 'norm'"),
        (ScheduleHook, {"kind": "cos"}, "Input should be 'constant'"),
        (ScheduleHook, {"warmup": -1}, "must not be negative"),
        (ScheduleHook, {"factor": 1.5}, "factor must be between 0 and 1, not 1.5"),
        (EarlyStoppingHook, {"patience": -1}, "must not be negative"),
        (AverageHook, {"decay": 1.0}, "decay must be between 0 and 1, not 1.0"),
        (AverageHook, {"last": -1}, "last and every must not be negative: -1, 0"),
        (AverageHook, {"every": 5}, "every is for checkpoints"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    kind: type[Hook], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        build(kind, options, where="hooks.x")
