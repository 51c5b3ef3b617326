"""Which weights a run ends with: the best epoch's, an average's, and when to stop looking."""

from __future__ import annotations

import math
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
    """Exponential moving average of the weights; validation and the saved model use it.

    average <- decay * average + (1 - decay) * weights after each step (Polyak and Juditsky 1992);
    in the first steps the decay is (1 + n) / (10 + n), so that the start is forgotten.
    """

    order = 40

    def __init__(self, *, decay: float = 0.99) -> None:
        if not 0 < decay < 1:
            raise InputError(f"decay must be between 0 and 1, not {decay}")
        self.decay, self.updates = decay, 0
        self.average: dict[str, Tensor] = {}
        self.aside: dict[str, Tensor] | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        self.average, self.updates = _copy(dict(trainer.task.named_parameters())), 0

    @torch.no_grad()
    def on_step_end(self, trainer: Trainer) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = dict(trainer.task.named_parameters())
        torch._foreach_lerp_(list(self.average.values()), [weights[n] for n in self.average],
                             1 - decay)  # fmt: skip

    def on_evaluate_start(self, trainer: Trainer) -> None:
        self.aside = _copy(dict(trainer.task.named_parameters()))
        _assign(trainer, self.average)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.aside is not None:
            _assign(trainer, self.aside)
            self.aside = None

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.updates:
            _assign(trainer, self.average)

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average, "updates": self.updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.average, self.updates = state["average"], state["updates"]


def _copy(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@torch.no_grad()
def _assign(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    for name, parameter in trainer.task.named_parameters():
        parameter.copy_(tensors[name])
