"""Learning-rate schedules, as a factor on the rate that the settings name."""

from __future__ import annotations

import math
from typing import Any, Literal

from seqnlp.errors import InputError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer

Kind = Literal[
    "constant", "linear", "cosine", "step", "plateau", "exponential", "polynomial", "inverse_sqrt",
    "milestones", "one_cycle", "restarts", "cyclic",
]  # fmt: skip
Mode = Literal["triangular", "triangular2", "exp_range"]

RISES_BY_ITSELF = ("one_cycle", "cyclic")
HAIR = 1e-9
"""What keeps 3 * (1 / 3) epochs from counting as less than a whole one."""


class ScheduleHook(Hook):
    """The learning rate over time: a warm-up, then one of a dozen kinds.

    Args:
        kind: what follows the warm-up; factors are on the rate of the settings.
            "constant": 1.
            "linear": falls to `final` at the end.
            "cosine": falls to `final` as half a wave (Loshchilov and Hutter 2017, arXiv:1608.03983,
            without restarts).
            "polynomial": falls to `final`, as the power `power` of what is left of the training.
            "exponential": times `factor` in every `every` epochs, at each step a little.
            "step": times `factor` every `every` epochs, counted from the start.
            "milestones": times `factor` after each of the epochs `milestones`.
            "plateau": times `factor` when the monitored figure has not improved for more than
            `patience` epochs.
            "inverse_sqrt": the root of `warmup` over the epochs (Vaswani et al. 2017,
            arXiv:1706.03762, section 5.3).
            "one_cycle": rises from `start` to 1 at the share `peak` of the training, then falls to
            `final`, both as half a cosine wave (Smith and Topin 2018, arXiv:1708.07120).
            "restarts": cosines from 1 to `final`, the first over `cycle` epochs, each next one
            `growth` times as long (Loshchilov and Hutter 2017).
            "cyclic": rises from `start` to 1 and falls again within every `cycle` epochs (Smith
            2017, arXiv:1506.01186).
        warmup: epochs (a fraction is fine) over which the rate rises linearly from zero.
        final: factor at the end.
        factor: see `kind`.
        every: epochs.
        patience: epochs.
        power: of "polynomial"; 1 is "linear".
        milestones: epochs, fractions too.
        start: factor at the beginning of "one_cycle" and of each cycle of "cyclic".
        peak: share of the training.
        cycle: epochs; fractions too.
        growth: at least 1.
        mode: how the height of cycles changes: "triangular" not at all, "triangular2" halves it
            from one to the next, "exp_range" multiplies it by `factor` in every `every` epochs.
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
        power: float = 2.0,
        milestones: tuple[float, ...] = (),
        start: float = 0.1,
        peak: float = 0.3,
        cycle: float = 1.0,
        growth: float = 1.0,
        mode: Mode = "triangular",
    ) -> None:
        if warmup < 0 or final < 0 or every < 1 or patience < 0:
            raise InputError("warmup, final and patience must not be negative, every at least 1")
        if not 0 < factor < 1:
            raise InputError(f"factor must be between 0 and 1, not {factor}")
        for name, value, low, high in (
            ("power", power, 0, math.inf), ("start", start, 0, 1), ("peak", peak, 0, 1),
            ("cycle", cycle, 0, math.inf),
        ):  # fmt: skip
            if not low < value < high:
                bounds = "positive" if high == math.inf else f"between {low} and {high}"
                raise InputError(f"{name} must be {bounds}, not {value}")
        if not 1 <= growth < math.inf:
            raise InputError(f"growth must be at least 1, not {growth}")
        if kind in RISES_BY_ITSELF and warmup:
            raise InputError(f"{kind!r} rises from `start` by itself; leave warmup at 0")
        if kind == "inverse_sqrt" and not warmup:
            raise InputError("'inverse_sqrt' falls from the end of a warm-up: set warmup")
        if (kind == "milestones") != bool(milestones) or any(each <= 0 for each in milestones):
            raise InputError(
                f"milestones are the epochs of the kind 'milestones', such as [4, 6]; found "
                f"{list(milestones)} for {kind!r}"
            )
        self.kind, self.warmup, self.final = kind, warmup, final
        self.factor, self.every, self.patience = factor, every, patience
        self.power, self.milestones, self.start, self.peak = power, milestones, start, peak
        self.cycle, self.growth, self.mode = cycle, growth, mode
        self.drops, self.waited, self.best = 0, 0, -math.inf

    def scale(self, epochs: float, total: float) -> float:
        """The factor after `epochs` of `total` epochs of training."""
        if epochs < self.warmup:
            return epochs / self.warmup
        since = epochs - self.warmup
        done = min(since / max(total - self.warmup, 1e-9), 1.0)
        match self.kind:
            case "constant":
                return 1.0
            case "linear":
                return 1 - (1 - self.final) * done
            case "cosine":
                return _wave(1.0, self.final, done)
            case "polynomial":
                return float(self.final + (1 - self.final) * (1 - done) ** self.power)
            case "exponential":
                return float(self.factor ** (since / self.every))
            case "step":
                return float(self.factor ** int(epochs / self.every + HAIR))
            case "milestones":
                return float(self.factor ** sum(epochs + HAIR >= each for each in self.milestones))
            case "plateau":
                return float(self.factor**self.drops)
            case "inverse_sqrt":
                return math.sqrt(self.warmup / epochs)
            case "one_cycle":
                if done < self.peak:
                    return _wave(self.start, 1.0, done / self.peak)
                return _wave(1.0, self.final, (done - self.peak) / (1 - self.peak))
            case "restarts":
                return _wave(1.0, self.final, self._within_restart(since))
            case "cyclic":
                return self._triangle(epochs)

    def _within_restart(self, epochs: float) -> float:
        """How much is done of the cycle that is under way."""
        if self.growth == 1:
            return (epochs / self.cycle + HAIR) % 1
        # Cycle n begins after cycle * (growth^n - 1) / (growth - 1) epochs.
        number = int(math.log(1 + (self.growth - 1) * epochs / self.cycle, self.growth) + HAIR)
        length = self.cycle * self.growth**number
        begun = (length - self.cycle) / (self.growth - 1)
        return max(0.0, epochs - begun) / length

    def _triangle(self, epochs: float) -> float:
        number, done = divmod(epochs / self.cycle + HAIR, 1)
        height = 1.0
        if self.mode == "triangular2":
            height = 0.5**number
        elif self.mode == "exp_range":
            height = self.factor ** (epochs / self.every)
        return self.start + (1 - self.start) * height * (1 - abs(2 * done - 1))

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


def _wave(first: float, last: float, done: float) -> float:
    """Half a cosine wave from one value to the other."""
    return last + (first - last) * (1 + math.cos(math.pi * done)) / 2
