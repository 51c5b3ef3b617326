"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.config import TrainSettings
from seqnlp.data.batching import LengthBuckets
from seqnlp.errors import InputError, SettingsError, TrainingError, suggest
from seqnlp.nn.layer import explain_engines, ragged_lengths
from seqnlp.tasks.base import Rows, Task

if TYPE_CHECKING:
    from seqnlp.training.hooks.base import Hook


class Trainer:
    """Finds the weights of a task; `fit` is the loop, hooks act at its named moments.

    Args:
        task: on the device where it is to be trained.
        settings: epochs, batches, optimizer.
        hooks: sorted by their order.
        seed: fixes the order of the examples; whoever makes the task seeds its weights.
        folder: where hooks may write; None for nowhere.

    Raises:
        SettingsError: the settings name an optimizer or a figure that does not exist.

    What hooks may read: task, settings, optimizer, seed, folder, epoch (from 1), steps (done),
    batch_number (from 1, of steps_per_epoch), loss (of the last batch, nats a unit), figures (of
    the last validation), goodness (the monitored figure, greater is better), history (a record an
    epoch), best_epoch, examples_seen, median_length (of the rows to learn from).
    """

    def __init__(
        self,
        task: Task,
        settings: TrainSettings,
        hooks: Sequence[Hook],
        *,
        seed: int = 0,
        folder: Path | None = None,
    ) -> None:
        if settings.monitor not in task.figures:
            raise SettingsError(
                f"train.monitor: no figure {settings.monitor!r}; "
                f"{suggest(settings.monitor, task.figures)}"
            )
        self.task, self.settings, self.seed, self.folder = task, settings, seed, folder
        self.hooks = sorted(hooks, key=lambda hook: hook.order)
        self.optimizer = make_optimizer(task, settings)
        self.epoch = self.steps = self.batch_number = self.steps_per_epoch = 0
        self.loss = math.nan
        self.gradient_norm: Tensor | None = None
        self.figures: Mapping[str, float] = {}
        self.goodness = -math.inf
        self.history: list[dict[str, Any]] = []
        self.best_epoch: int | None = None
        self.examples_seen = self.median_length = 0
        self.stop_reason: str | None = None
        self.interrupted = False

    def fit(
        self,
        train: Rows,
        validation: Rows | None,
        references: Sequence[Any] = (),
        *,
        last_epoch: int | None = None,
    ) -> None:
        """Train for the epochs of the settings, or until a hook stops it or Ctrl-C is pressed.

        Args:
            train: what is learned from.
            validation: what is looked at after every epoch; None for nothing.
            references: what the answers on it are scored against.
            last_epoch: an epoch to end after; schedules still look to the one of the settings.

        Raises:
            TrainingError: the loss is no longer a number; the message says where and what to try.
            InputError: the validation rows do not have the monitored figure.
        """
        monitor = self.settings.monitor
        known = self.task.figures if validation is None else self.task.figures_on(validation)
        if monitor not in known:
            raise InputError(
                f"train.monitor: no figure {monitor!r} on the validation split, of whose rows none "
                f"is fit to learn from; {suggest(monitor, known)}"
            )
        self.median_length = max(1, int(np.median(train.lengths)))
        try:
            self._emit("on_fit_start")
            while self.epoch < (last_epoch or self.settings.epochs) and self.stop_reason is None:
                self._train_epoch(train)
                if validation is not None:
                    self._evaluate(validation, references)
                self._emit("on_epoch_end")
        except KeyboardInterrupt:
            self.interrupted = True
            self.stop("interrupted")
        except BaseException:
            self._emit("on_fit_error")
            raise
        self._emit("on_fit_end")

    def _train_epoch(self, train: Rows) -> None:
        rows = train.for_epoch(self.epoch + 1)
        batches = self._batches(rows)
        self.epoch += 1
        self.steps_per_epoch = len(batches)
        self.task.train()
        self._emit("on_epoch_start")
        started, total, units = time.perf_counter(), 0.0, 0.0
        for self.batch_number, indices in enumerate(batches, start=1):
            self._emit("on_batch_start")
            batch = rows.batch(indices).to(self.task.device)
            loss = self.task.loss(batch)
            self.loss = self._checked(loss.mean.item())
            self.optimizer.zero_grad(set_to_none=True)
            loss.mean.backward()  # type: ignore[no-untyped-call]
            self._emit("on_backward_end")
            self.optimizer.step()
            self.steps += 1
            self.examples_seen += len(indices)
            total, units = total + self.loss * loss.units, units + loss.units
            self._emit("on_step_end")
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": total / units,
                "lr": self.lr,
                "train_seconds": time.perf_counter() - started,
            }
        )

    def _batches(self, rows: Rows) -> list[NDArray[np.int64]]:
        """The rows of every batch of the epoch that follows."""
        buckets = LengthBuckets(
            rows.lengths,
            batch_size=self.settings.batch_size,
            batch_tokens=self.settings.batch_tokens,
            shuffle=True,
            seed=self.seed,
        )
        return buckets.batches(self.epoch)

    def _evaluate(self, validation: Rows, references: Sequence[Any]) -> None:
        self._emit("on_evaluate_start")
        self.figures = self.task.validate(
            validation, references, batch_size=4 * self.settings.batch_size
        )
        monitor = self.settings.monitor
        self.goodness = self.figures[monitor] * (-1 if monitor in self.task.lower_is_better else 1)
        self.history[-1] |= self.figures
        self._emit("on_evaluate_end")

    def stop(self, reason: str) -> None:
        """End training after the current epoch."""
        self.stop_reason = reason

    def engines(self) -> dict[str, str | None]:
        """What runs the recurrences, by name, and why it is slow, where it is.

        The batches are of typical size and length: a full one first, then a ragged one.

        Raises:
            InputError: the engine that was asked for cannot run them.
        """
        time, size = self.median_length, self.settings.batch_size
        if self.settings.batch_tokens is not None:
            size = max(1, min(size, self.settings.batch_tokens // time))
        batches = ([time] * size, ragged_lengths(size, time))
        found = [explain_engines(self.task, lengths, training=True) for lengths in batches]
        return {name: why for each in found for name, why in each.items()}

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.task.parameters() if p.requires_grad)

    def _checked(self, loss: float) -> float:
        if math.isfinite(loss):
            return loss
        raise TrainingError(
            f"the loss became {loss} in epoch {self.epoch} at step {self.steps + 1}; "
            f"try a lower train.lr (it was {self.lr:g}) or clipping (hooks.clip.norm=1)"
        )

    def _emit(self, moment: str) -> None:
        for hook in self.hooks:
            getattr(hook, moment)(self)


def make_optimizer(task: Task, settings: TrainSettings) -> torch.optim.Optimizer:
    """The optimizer of torch.optim that the settings name, fused where torch has that.

    Raises:
        SettingsError: no such optimizer, or an option that it does not take.
    """
    known: dict[str, Any] = {
        name: value
        for name, value in vars(torch.optim).items()
        if isinstance(value, type)
        and issubclass(value, torch.optim.Optimizer)
        and value not in (torch.optim.Optimizer, torch.optim.LBFGS, torch.optim.SparseAdam)
    }
    name = settings.optimizer
    if name not in known:
        raise SettingsError(f"train.optimizer: no optimizer {name!r}; {suggest(name, known)}")
    options = dict(settings.optimizer_options)
    # Unfused, the update of the embedding tables costs as much as the rest of a step.
    if name in ("Adam", "AdamW", "SGD", "Adagrad"):
        options.setdefault("fused", True)
    weights = [weight for weight in task.parameters() if weight.requires_grad]
    try:
        optimizer: torch.optim.Optimizer = known[name](weights, lr=settings.lr, **options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"train.optimizer_options: {name}: {error}") from error
    return optimizer
