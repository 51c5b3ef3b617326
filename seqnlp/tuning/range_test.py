"""The learning-rate range test (Smith 2017, arXiv:1506.01186, section 3.3).

The learning rate rises exponentially from step to step. Where it is too small the loss stays, where
it fits the loss falls, and where it is too great the loss rises again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp import registry
from seqnlp.config import Settings
from seqnlp.errors import InputError, TrainingError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.preparation import choose_device, complete, make_hooks
from seqnlp.training.trainer import Trainer
from seqnlp.tuning.space import OBSERVERS
from seqnlp.tuning.trial import open_corpus_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOOSERS = ("schedule", "average", "early_stopping", "best_checkpoint")
"""Hooks that say what becomes of a course of training, which here has none."""
DIVERGED = 4.0
"""So many times the least loss is no learning any more."""
FALL = 0.02
"""The share of the first loss by which it must fall for a learning rate to be read off."""
LEAST_STEPS = 20


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """What the loss did while the learning rate rose.

    Attributes:
        lrs: the learning rate of each step.
        losses: of the batch after it, in nats a unit.
        smoothed: the losses without their noise.
        minimum: the learning rate at which the loss was least; None where it did not fall.
        steepest: at which it fell most with the logarithm of the learning rate, before that.
        limit: after which the loss was above its first for good; None where it never was.
        diverged: the test ended early, since the loss had risen to `DIVERGED` times its least.
    """

    lrs: Sequence[float]
    losses: Sequence[float]
    smoothed: Sequence[float]
    minimum: float | None
    steepest: float | None
    limit: float | None
    diverged: bool

    @property
    def suggestion(self) -> float | None:
        """A third of the greatest learning rate that still did good, or at least no harm.

        The best is near the greatest that does not diverge (Bengio 2012, arXiv:1206.5533, section
        3.1.1); the third makes up for the few steps that each was tried for.
        """
        greatest = self.minimum or self.limit
        return None if greatest is None else _rounded(greatest / 3)

    @property
    def cautious(self) -> float | None:
        """A tenth of the minimum's."""
        return None if self.minimum is None else _rounded(self.minimum / 10)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "suggestion": self.suggestion, "cautious": self.cautious}


def range_test(
    settings: Settings,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    on_step: Callable[[int, float, float], None] = lambda step, lr, loss: None,
) -> RangeTest:
    """Train for some steps, each with a greater learning rate; nothing is kept or written.

    Args:
        settings: of the run whose learning rate is looked for.
        low: the first learning rate.
        high: the last.
        steps: from one to the other.
        on_step: is told of each step, its learning rate and the loss of its batch.

    Raises:
        InputError: the settings, the corpus or the range cannot be used.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if not 0 < low < high < math.inf:
        raise InputError(
            f"a range of learning rates needs 0 < low < high, not {low:g} and {high:g}"
        )
    if steps < LEAST_STEPS:
        raise InputError(f"{steps} steps are too few to see a loss fall; at least {LEAST_STEPS}")
    hook = _RisingHook(low, high, steps, on_step)
    trainer, train = _trainer(settings, hook)
    try:
        trainer.fit(train, None)
    except TrainingError:
        # The loss is no number any more, which is one way to diverge.
        hook.diverged = True
    if trainer.interrupted:
        raise KeyboardInterrupt
    return read(hook.lrs[: len(hook.losses)], hook.losses, diverged=hook.diverged)


def read(lrs: Sequence[float], losses: Sequence[float], *, diverged: bool) -> RangeTest:
    """Read a course of losses.

    >>> rates = [10 ** (n / 10 - 5) for n in range(50)]
    >>> test = read(rates, [2 + (n / 10 - 3) ** 2 for n in range(50)], diverged=False)
    >>> f"{test.minimum:.3g}"
    '0.01'
    """
    smoothed = smooth(losses)
    minimum = steepest = limit = None
    if len(smoothed) >= LEAST_STEPS // 2:
        least = int(np.argmin(smoothed))
        first = float(np.mean(smoothed[: max(1, len(smoothed) // 10)]))
        if first - smoothed[least] > FALL * abs(first) and least > 0:
            minimum = float(lrs[least])
            # A slope needs more calm than a value.
            slopes = np.gradient(smooth(losses, 12), np.log(np.asarray(lrs)))
            steepest = float(lrs[int(np.argmin(slopes[: least + 1]))])
        calm = np.flatnonzero(smoothed <= first + FALL * abs(first))
        if 0 < calm[-1] < len(smoothed) - 1:
            limit = float(lrs[int(calm[-1])])
    return RangeTest(
        lrs=list(lrs),
        losses=list(losses),
        smoothed=smoothed.tolist(),
        minimum=minimum,
        steepest=steepest,
        limit=limit,
        diverged=diverged,
    )


def smooth(values: Sequence[float], share: int = 40) -> NDArray[np.float64]:
    """The mean of what is around each value, by a bell whose deviation is one part of `share`.

    A running mean would lag behind, and so find learning rates that are too great.
    """
    found = np.asarray(values, dtype=np.float64)
    places = np.arange(len(found))
    width = max(1.0, len(found) / share)
    weights = np.exp(-0.5 * ((places[:, None] - places[None, :]) / width) ** 2)
    result: NDArray[np.float64] = weights @ found / weights.sum(axis=1)
    return result


def picture(test: RangeTest) -> Figure:
    """The losses by their learning rates, with what is read off."""
    from seqnlp.plotting import COLORS, new_figure, tidy

    figure = new_figure()
    axes = figure.add_subplot()
    axes.plot(test.lrs, test.losses, color="#bbbbbb", linewidth=0.8, label="batches")
    axes.plot(test.lrs, test.smoothed, color=COLORS[0], label="smoothed")
    rises = test.limit if test.minimum is None else None
    marks = {
        "it rises": rises,
        "steepest fall": test.steepest,
        "minimum": test.minimum,
        "suggestion": test.suggestion,
    }
    for color, (name, lr) in zip(COLORS[1:], marks.items(), strict=False):
        if lr is not None:
            axes.axvline(lr, color=color, linestyle=":", label=f"{name} {lr:.2g}")
    top = max(test.smoothed[0], *test.smoothed) if test.smoothed else 1.0
    axes.set_ylim(top=min(top, 2 * test.smoothed[0]) * 1.05 if test.smoothed else None)
    axes.set_xscale("log")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes, x="learning rate", y="loss, nats")
    return figure


def _trainer(settings: Settings, hook: _RisingHook) -> tuple[Trainer, Any]:
    settings = complete(settings)
    hooks = {name: options for name, options in settings.hooks.items()
             if name not in (*OBSERVERS, *CHOOSERS)}  # fmt: skip
    settings = settings.model_copy(
        update={
            "hooks": hooks,
            # As many epochs as the steps need; the hook ends them.
            "train": settings.train.model_copy(update={"epochs": hook.steps + 1}),
        }
    )
    device = choose_device(settings.device)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    torch.set_flush_denormal(True)
    corpus = open_corpus_of(settings)
    torch.manual_seed(settings.seed)
    task = registry.tasks.get(settings.task).create(settings, corpus).to(device)
    train = task.read(corpus.split("train"), training=True)
    made = [*make_hooks(settings, None), hook]
    return Trainer(task, settings.train, made, seed=settings.seed), train


class _RisingHook(Hook):
    """Lets the learning rate rise, and ends the training where it is through or diverges."""

    order = 5  # before hooks that use the learning rate

    def __init__(
        self, low: float, high: float, steps: int, on_step: Callable[[int, float, float], None]
    ) -> None:
        self.steps, self.on_step = steps, on_step
        self.rates = np.geomspace(low, high, steps).tolist()
        self.lrs: list[float] = []
        self.losses: list[float] = []
        self.mean = self.weight = 0.0
        self.least = math.inf
        self.diverged = False

    def on_batch_start(self, trainer: Trainer) -> None:
        lr = self.rates[min(trainer.steps, self.steps - 1)]
        for group in trainer.optimizer.param_groups:
            group["lr"] = lr
        self.lrs.append(lr)

    def on_step_end(self, trainer: Trainer) -> None:
        self.on_step(trainer.steps, self.lrs[-1], trainer.loss)
        if trainer.steps == 1:
            # It was measured before any step.
            return
        self.losses.append(trainer.loss)
        self.mean = 0.8 * self.mean + 0.2 * trainer.loss
        self.weight = 0.8 * self.weight + 0.2
        loss = self.mean / self.weight
        self.least = min(self.least, loss)
        self.diverged = loss > DIVERGED * self.least > 0
        if self.diverged or len(self.losses) == self.steps:
            trainer.stop_now("the learning rate has risen far enough")


def _rounded(number: float) -> float:
    """Two digits are all that a test can tell."""
    return float(f"{number:.2g}")
