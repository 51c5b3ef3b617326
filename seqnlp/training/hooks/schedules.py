"""Learning-rate schedules, as a factor on the rate that the settings name."""

from __future__ import annotations

import math
from typing import Any, Literal

from seqnlp.errors import InputError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer

Kind = Literal["constant", "linear", "cosine", "step", "plateau"]


class ScheduleHook(Hook):
    """The learning rate over time: warm-up, then constant, linear, cosine, step or plateau.

    Args:
        kind: "linear" and "cosine" fall to `final` times the rate at the end (Loshchilov and
            Hutter 2017, arXiv:1608.03983, without restarts); "step" multiplies by `factor` every
            `every` epochs; "plateau" when the monitored figure has not improved for more than
            `patience` epochs.
        warmup: epochs (a fraction is fine) over which the rate rises linearly from zero.
        final, factor, every, patience: see `kind`.
    """

    def __init__(
        self,
        *,
        kind: Kind = "cosine",
        warmup: float = 0.0,
        final: float = 0.0,
        factor: float = 0.5,
        every: int = 1,
        patience: int = 0,
    ) -> None:
        if warmup < 0 or final < 0 or every < 1 or patience < 0:
            raise InputError("warmup, final and patience must not be negative, every at least 1")
        if not 0 < factor < 1:
            raise InputError(f"factor must be between 0 and 1, not {factor}")
        self.kind, self.warmup, self.final = kind, warmup, final
        self.factor, self.every, self.patience = factor, every, patience
        self.drops, self.waited, self.best = 0, 0, -math.inf

    def scale(self, epochs: float, total: float) -> float:
        """The factor after `epochs` of `total` epochs of training."""
        if epochs < self.warmup:
            return epochs / self.warmup
        done = (epochs - self.warmup) / max(total - self.warmup, 1e-9)
        match self.kind:
            case "constant":
                return 1.0
            case "linear":
                return 1 - (1 - self.final) * min(done, 1.0)
            case "cosine":
                wave = (1 + math.cos(math.pi * min(done, 1.0))) / 2
                return self.final + (1 - self.final) * wave
            case "step":
                # A hair more, so that 3 * (1 / 3) epochs count as a whole one.
                return float(self.factor ** int(epochs / self.every + 1e-9))
            case "plateau":
                return float(self.factor**self.drops)

    def on_batch_start(self, trainer: Trainer) -> None:
        done = trainer.epoch - 1 + (trainer.batch_number - 1) / trainer.steps_per_epoch
        # The first step of a warm-up is not at rate zero: the rate is that of the step's end.
        ahead = 1 / trainer.steps_per_epoch if done < self.warmup else 0.0
        epochs = done + ahead
        factor = self.scale(epochs, trainer.settings.epochs)
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.settings.lr * factor

    def on_fit_start(self, trainer: Trainer) -> None:
        self.drops, self.waited, self.best = 0, 0, -math.inf

    def on_evaluate_end(self, trainer: Trainer) -> None:
        if self.kind != "plateau":
            return
        if trainer.goodness > self.best:
            self.best, self.waited = trainer.goodness, 0
        else:
            self.waited += 1
            if self.waited > self.patience:
                self.drops, self.waited = self.drops + 1, 0

    def state_dict(self) -> dict[str, Any]:
        return {"drops": self.drops, "waited": self.waited, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.drops, self.waited, self.best = state["drops"], state["waited"], state["best"]
