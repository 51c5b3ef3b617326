"""A hook that is stopped anywhere and taken up by another acts as one that never stopped."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqnlp.training.checkpoints import pack, unpack
from seqnlp.training.hooks import Hook
from seqnlp.training.hooks.clipping import ClipHook
from seqnlp.training.hooks.regularization import PenaltyHook
from seqnlp.training.hooks.schedules import ScheduleHook
from seqnlp.training.hooks.selection import AverageHook, BestCheckpointHook, EarlyStoppingHook

STEPS = 3
"""Of an epoch."""
KEPT = ("epoch", "steps", "batch_number", "goodness", "best_epoch", "stopped")
"""What a trainer itself remembers."""


class Stage:
    """What a hook sees of a training whose gradients and validations are known beforehand."""

    def __init__(self, hook: Hook, goodness: list[float]) -> None:
        self.hook, self.course = hook, goodness
        self.task = nn.Linear(2, 2)
        self.optimizer = SimpleNamespace(param_groups=[{"lr": 1.0}])
        self.settings = SimpleNamespace(lr=1.0, epochs=len(goodness), monitor="accuracy")
        self.gradient_norm: torch.Tensor | None = None
        self.epoch = self.steps = self.batch_number = 0
        self.steps_per_epoch = STEPS
        self.goodness = float("-inf")
        self.best_epoch: int | None = None
        self.stopped: str | None = None
        self.interrupted = False
        with torch.no_grad():
            for weight in self.task.parameters():
                weight.fill_(0.25)
        self.emit("on_fit_start")

    def stop(self, reason: str) -> None:
        self.stopped = reason

    def emit(self, moment: str) -> None:
        getattr(self.hook, moment)(self)

    def events(self) -> list[tuple[str, int, int]]:
        """All that happens: steps, each epoch's validation, the end."""
        epochs = range(1, len(self.course) + 1)
        within = [("step", batch) for batch in range(1, STEPS + 1)] + [("validate", STEPS)]
        return [(what, epoch, batch) for epoch in epochs for what, batch in within] + [
            ("end", len(self.course), STEPS)
        ]

    def act(self, what: str, epoch: int, batch: int) -> tuple[Any, ...]:
        """Let one thing happen; gives all that the hook could have changed."""
        self.epoch, self.batch_number = epoch, batch
        if what == "step":
            self._step()
        elif what == "validate":
            self.goodness = self.course[epoch - 1]
            for moment in ("on_evaluate_start", "on_evaluate_end", "on_epoch_end"):
                self.emit(moment)
        else:
            self.emit("on_fit_end")
        weights = [weight.tolist() for weight in self.task.parameters()]
        return (
            *(getattr(self, name) for name in KEPT),
            self.optimizer.param_groups[0]["lr"],
            weights,
        )

    def _step(self) -> None:
        if self.batch_number == 1:
            self.emit("on_epoch_start")
        self.emit("on_batch_start")
        random = torch.Generator().manual_seed(self.steps)
        for weight in self.task.parameters():
            weight.grad = torch.randn(weight.shape, generator=random)
        self.emit("on_backward_end")
        with torch.no_grad():
            for weight in self.task.parameters():
                assert weight.grad is not None
                weight.sub_(weight.grad, alpha=self.optimizer.param_groups[0]["lr"])
        self.steps += 1
        self.emit("on_step_end")

    def save(self) -> bytes:
        """As a checkpoint has it."""
        return pack(
            {
                "kept": {name: getattr(self, name) for name in KEPT},
                "task": self.task.state_dict(),
                "optimizer": self.optimizer.param_groups,
                "hook": self.hook.state_dict(),
            }
        )

    def load(self, data: bytes) -> None:
        state = unpack(data)
        for name, value in state["kept"].items():
            setattr(self, name, value)
        self.task.load_state_dict(state["task"])
        self.optimizer.param_groups = state["optimizer"]
        self.hook.load_state_dict(state["hook"])


def traces(make: Callable[[], Hook], goodness: list[float], at: int) -> tuple[list[Any], list[Any]]:
    """What happens without a stop, and with one after the first `at` things."""
    stage = Stage(make(), goodness)
    events = stage.events()
    whole = [stage.act(*event) for event in events]
    first, second = Stage(make(), goodness), Stage(make(), goodness)
    broken = [first.act(*event) for event in events[:at]]
    saved = first.save()
    # What the old one does afterwards is none of the new one's affair.
    for event in events[at:]:
        first.act(*event)
    second.load(saved)
    return whole, broken + [second.act(*event) for event in events[at:]]


HOOKS: dict[str, Callable[[], Hook]] = {
    "clip": lambda: ClipHook(norm=0.5),
    "penalty": lambda: PenaltyHook(l1=0.01, l2=0.1),
    "plateau": lambda: ScheduleHook(kind="plateau", patience=1),
    "cosine": lambda: ScheduleHook(kind="cosine", warmup=0.5),
    "restarts": lambda: ScheduleHook(kind="restarts", cycle=1.5),
    "early stopping": lambda: EarlyStoppingHook(patience=1),
    "best checkpoint": BestCheckpointHook,
    "average": lambda: AverageHook(decay=0.8),
    "average of epochs": lambda: AverageHook(last=2),
    "average of steps": lambda: AverageHook(last=3, every=2),
}


@pytest.mark.parametrize("name", HOOKS)
@hypothesis.settings(max_examples=40)
@given(
    goodness=st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=5),
    at=st.integers(0, 5 * (STEPS + 1)),
)
def test_a_hook_goes_on_where_another_stopped(name: str, goodness: list[float], at: int) -> None:
    whole, broken = traces(HOOKS[name], goodness, min(at, len(goodness) * (STEPS + 1)))
    assert broken == whole


class ForgetfulPlateau(ScheduleHook):
    def __init__(self) -> None:
        super().__init__(kind="plateau", patience=1)

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ForgetfulBest(BestCheckpointHook):
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class ForgetfulAverage(AverageHook):
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@pytest.mark.parametrize("hook", [ForgetfulPlateau, ForgetfulBest, ForgetfulAverage])
def test_one_that_forgets_would_be_seen(hook: Callable[[], Hook]) -> None:
    whole, broken = traces(hook, [0.3, 0.2, 0.1, 0.1, 0.1], 2 * (STEPS + 1))
    assert broken[: 2 * (STEPS + 1)] == whole[: 2 * (STEPS + 1)]
    assert broken != whole
