"""Which weights a run ends with: the best epoch's, an average's, and when to stop looking."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class EarlyStoppingHook(Hook):
    """Stops when the monitored figure has not improved for more than `patience` epochs."""

    def __init__(self, *, patience: int = 3, min_delta: float = 0.0) -> None:
        if patience < 0 or min_delta < 0:
            raise InputError("patience and min_delta must not be negative")
        self.patience, self.min_delta = patience, min_delta
        self.best, self.waited = -math.inf, 0

    def on_fit_start(self, trainer: Trainer) -> None:
        self.best, self.waited = -math.inf, 0

    def on_evaluate_end(self, trainer: Trainer) -> None:
        if trainer.goodness > self.best + self.min_delta:
            self.best, self.waited = trainer.goodness, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            trainer.stop(f"no better {trainer.settings.monitor} for {self.waited} epochs")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


class BestCheckpointHook(Hook):
    """Keeps the weights of the epoch with the best monitored figure and ends with them."""

    order = 60

    def __init__(self) -> None:
        self.best = -math.inf
        self.weights: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.best, self.weights = -math.inf, None

    def on_evaluate_end(self, trainer: Trainer) -> None:
        if trainer.goodness > self.best:
            self.best = trainer.goodness
            self.weights = _copy(trainer.task.state_dict())
            trainer.best_epoch = trainer.epoch

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.weights is not None:
            trainer.task.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.weights = state["best"], state["weights"]


class AverageHook(Hook):
    """An average of the weights over time, which validation and the saved model use.

    Exponential: average <- decay * average + (1 - decay) * weights after each step (Polyak and
    Juditsky 1992); in the first steps the decay is (1 + n) / (10 + n), so that the start is
    forgotten. Or, with `last`, the mean of so many checkpoints, as Vaswani et al. 2017,
    arXiv:1706.03762, section 6.1, have it.

    Args:
        decay: of the exponential average.
        last: how many checkpoints; 0 is the exponential average.
        every: steps between two checkpoints; 0 makes one at the end of every epoch.
    """

    order = 40

    def __init__(self, *, decay: float = 0.99, last: int = 0, every: int = 0) -> None:
        if not 0 < decay < 1:
            raise InputError(f"decay must be between 0 and 1, not {decay}")
        if last < 0 or every < 0:
            raise InputError(f"last and every must not be negative: {last}, {every}")
        if every and not last:
            raise InputError("every is for checkpoints: say how many of the last ones")
        self.decay, self.last, self.every, self.updates = decay, last, every, 0
        self.average: dict[str, Tensor] = {}
        self.checkpoints: deque[dict[str, Tensor]] = deque(maxlen=last)
        self.aside: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.updates, self.aside = 0, None
        self.checkpoints.clear()
        self.average = {} if self.last else _copy(dict(trainer.task.named_parameters()))

    @torch.no_grad()
    def on_step_end(self, trainer: Trainer) -> None:
        weights: dict[str, Tensor] = dict(trainer.task.named_parameters())
        if self.last:
            steps, size = (
                (trainer.steps, self.every)
                if self.every
                else (trainer.batch_number, trainer.steps_per_epoch)
            )
            if steps % size == 0:
                self.updates += 1
                self.checkpoints.append(_copy(weights))
            return
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.average.values()), [weights[n] for n in self.average],
                             1 - decay)  # fmt: skip

    def on_evaluate_start(self, trainer: Trainer) -> None:
        # Where validation was broken off, the weights of the model are the average already.
        if self.aside is None:
            self.aside = _copy(dict(trainer.task.named_parameters()))
        self._take(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.aside is not None:
            _assign(trainer, self.aside)
            self.aside = None

    def on_fit_end(self, trainer: Trainer) -> None:
        self._take(trainer)

    def _take(self, trainer: Trainer) -> None:
        """Put the average in the place of the weights, once there is one."""
        if self.checkpoints:
            first, *others = self.checkpoints
            self.average = _copy(first)
            sums = list(self.average.values())
            for checkpoint in others:
                torch._foreach_add_(sums, [checkpoint[name] for name in self.average])
            torch._foreach_div_(sums, float(len(self.checkpoints)))
        if self.updates:
            _assign(trainer, self.average)

    def state_dict(self) -> dict[str, Any]:
        return {
            "average": self.average,
            "updates": self.updates,
            "checkpoints": list(self.checkpoints),
            "aside": self.aside,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average, self.updates = state["average"], state["updates"]
        self.checkpoints = deque(state["checkpoints"], maxlen=self.last)
        self.aside = state["aside"]


def _copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def _assign(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    for name, parameter in trainer.task.named_parameters():
        parameter.copy_(tensors[name])
