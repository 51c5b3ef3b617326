"""The training loop."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.config import TrainSettings
from seqnlp.data.batching import LengthBuckets
from seqnlp.errors import InputError, SettingsError, StoppedError, TrainingError, suggest
from seqnlp.nn.layer import explain_engines, ragged_lengths
from seqnlp.tasks.base import Batch, Rows, Task
from seqnlp.training.checkpoints import Checkpoints
from seqnlp.training.distributed import Group
from seqnlp.training.gradients import Gradients
from seqnlp.training.meter import Meter
from seqnlp.training.optimizers import make_optimizer
from seqnlp.training.position import restore, state_of
from seqnlp.training.precision import Precision
from seqnlp.training.randomness import random_state
from seqnlp.training.signals import Interrupted, Signals

if TYPE_CHECKING:
    from seqnlp.training.hooks.base import Hook


class Trainer:
    """Finds the weights of a task; `fit` is the loop, hooks act at its named moments.

    Args:
        task: on the device where it is to be trained.
        settings: epochs, batches, optimizer.
        hooks: sorted by their order.
        seed: fixes the order of the examples; whoever makes the task seeds its weights.
        folder: where hooks may write; None for nowhere, as in all processes but the main one.
        checkpoints: where `fit` goes on from the newest, and the hook `checkpoint` adds to them.
        group: the processes that train together; this one alone by default.
        notify: is told, in one line each, what a person should know.

    Raises:
        SettingsError: the settings name an optimizer or a figure that does not exist.

    What hooks may read: task, settings, optimizer, seed, folder, group, meter, epoch (from 1),
    steps (done), batch_number (from 1, of steps_per_epoch), loss (of the last batch, nats a unit),
    figures (of the last validation), goodness (the monitored figure, greater is better), history (a
    record an epoch), best_epoch, examples_seen, rows (to learn from), median_length (of them),
    resumed (whether a checkpoint is gone on from).
    """

    stage: Literal["between", "training", "validating"] = "between"
    """Where in an epoch the loop is."""

    def __init__(
        self,
        task: Task,
        settings: TrainSettings,
        hooks: Sequence[Hook],
        *,
        seed: int = 0,
        folder: Path | None = None,
        checkpoints: Checkpoints | None = None,
        group: Group | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        if settings.monitor not in task.figures:
            raise SettingsError(
                f"train.monitor: no figure {settings.monitor!r}; "
                f"{suggest(settings.monitor, task.figures)}"
            )
        self.task, self.settings, self.seed, self.folder = task, settings, seed, folder
        self.checkpoints, self.notify = checkpoints, notify
        self.group = group or Group()
        self.hooks = sorted(hooks, key=lambda hook: hook.order)
        self.optimizer = make_optimizer(task, settings)
        self.meter = Meter(task.device)
        self.precision, why_not = Precision.choose(settings.precision, task.device)
        if why_not is not None:
            notify(why_not)
        self.epoch = self.steps = self.batch_number = self.steps_per_epoch = 0
        self.loss = math.nan
        self.gradient_norm: Tensor | None = None
        self.figures: Mapping[str, float] = {}
        self.goodness = -math.inf
        self.history: list[dict[str, Any]] = []
        self.best_epoch: int | None = None
        self.examples_seen = self.median_length = 0
        self.rows: Rows | None = None
        self.stop_reason: str | None = None
        self.interrupted = self.resumed = False
        # Of the epoch so far: the loss and what it is a sum over, and seconds.
        self.total = self.units = self.train_seconds = 0.0
        self.random: dict[str, Any] | None = None
        self.earlier = 0.0
        """Seconds that were spent before this process took the training up."""
        self.stops_now = False
        self._prepared: list[Batch] | None = None
        self._signals = Signals()

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
            StoppedError: SIGTERM has come; the message says how to go on.
        """
        self._check_monitor(validation)
        self.rows = train
        self.median_length = max(1, int(np.median(train.lengths)))
        with self._signals.listening():
            try:
                self._fit(train, validation, references, last_epoch or self.settings.epochs)
            except KeyboardInterrupt:
                self.interrupted = True
                self.stop("interrupted")
            except BaseException:
                self._emit("on_fit_error")
                raise
            self._emit("on_fit_end")
        if not self.interrupted and (number := self._signal()):
            self._end_by(number)

    def _fit(
        self, train: Rows, validation: Rows | None, references: Sequence[Any], last_epoch: int
    ) -> None:
        with closing(Gradients(self.task, self.group)) as gradients:
            self.gradients = gradients
            self._fit_start()
            try:
                while self._goes_on(last_epoch):
                    if self.stage == "between":
                        self._begin_epoch()
                    if self.stage == "training":
                        self._train_epoch(train)
                    if validation is not None and not self.stops_now:
                        self._evaluate(validation, references)
                    self.stage = "between"
                    self._emit("on_epoch_end")
                if self._signal():
                    raise Interrupted
            except Interrupted:
                self._emit("on_interrupt")
                self._end_by(self._signal())

    def _goes_on(self, last_epoch: int) -> bool:
        if self.stage != "between":
            return True
        return self.epoch < last_epoch and self.stop_reason is None

    def _begin_epoch(self) -> None:
        self.epoch += 1
        self.batch_number = 0
        self.total = self.units = self.train_seconds = 0.0
        self.meter.start_epoch()
        self.stage = "training"

    def _train_epoch(self, train: Rows) -> None:
        """Take the steps of the epoch that are not done yet."""
        with self.meter.part("data"):
            rows = train.for_epoch(self.epoch)
            batches = self._batches(rows)
        self.steps_per_epoch = len(batches)
        self.task.train()
        if self.batch_number == 0:
            self._emit("on_epoch_start")
        self._prepared = None
        rest = [] if self.stops_now else batches[self.batch_number :]
        for indices, following in zip_longest(rest, rest[1:]):
            started = time.perf_counter()
            self.batch_number += 1
            self._emit("on_batch_start")
            self._step(rows, indices, following)
            self.train_seconds += time.perf_counter() - started
            self._emit("on_step_end")
            if self.stops_now:
                break
            self._heed_border()
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": self.total / self.units,
                "lr": self.lr,
                "train_seconds": self.train_seconds,
                **self.meter.record(),
            }
        )

    def _step(
        self, rows: Rows, indices: NDArray[np.int64], following: NDArray[np.int64] | None
    ) -> None:
        """Learn from one batch, of which each process takes its share, in parts.

        While gradients are on their way, the batch that follows is made.
        """
        self.optimizer.zero_grad(set_to_none=True)
        shares = self.group.deal(indices, self.settings.accumulate)
        for part in (part for share in shares for part in share):
            self.meter.count(rows.lengths[part])
        own = self._prepared or self._prepare(rows, shares[self.group.rank])
        self._prepared = None
        alone = self.group.size == len(own) == 1
        total = units = 0.0
        for batch in own:
            with self.meter.part("forward"), self.precision.autocast():
                loss = self.task.loss(batch)
                # Divided at once where nothing is to be added, since all later steps are exact.
                value = loss.mean if alone else loss.total
                number = value.item()
            total, units = total + (number * loss.units if alone else number), units + loss.units
            if alone:
                self.loss = self._checked(number)
            with self.meter.part("backward"):
                self.precision.scale(value).backward()  # type: ignore[no-untyped-call]
        if not alone:
            with self.meter.part("reduce"):
                total, units = self.gradients.reduce(
                    total, units, lambda: self._prepare_ahead(rows, following)
                )
            self.loss = self._checked(total / units)
        self.precision.unscale(self.optimizer)
        self._emit("on_backward_end")
        with self.meter.part("optimizer"):
            self.precision.step(self.optimizer)
        self.steps += 1
        self.examples_seen += len(indices)
        self.total, self.units = self.total + total, self.units + units

    def _prepare(self, rows: Rows, parts: list[NDArray[np.int64]]) -> list[Batch]:
        with self.meter.part("data"):
            return [rows.batch(part).to(self.task.device) for part in parts]

    def _prepare_ahead(self, rows: Rows, indices: NDArray[np.int64] | None) -> None:
        if indices is not None:
            shares = self.group.deal(indices, self.settings.accumulate)
            self._prepared = self._prepare(rows, shares[self.group.rank])

    def _batches(self, rows: Rows) -> list[NDArray[np.int64]]:
        """The rows of every batch of the epoch."""
        buckets = LengthBuckets(
            rows.lengths,
            batch_size=self.settings.batch_size,
            batch_tokens=self.settings.batch_tokens,
            shuffle=True,
            seed=self.seed,
        )
        return buckets.batches(self.epoch - 1)

    def _evaluate(self, validation: Rows, references: Sequence[Any]) -> None:
        """Look at validation; a signal breaks it off, and it is begun anew when the run goes on."""
        self.stage, self.random = "validating", random_state()
        self._emit("on_evaluate_start")
        with self.meter.part("validation"):
            self.figures = self.group.from_main(lambda: self._validate(validation, references))
        monitor = self.settings.monitor
        self.goodness = self.figures[monitor] * (-1 if monitor in self.task.lower_is_better else 1)
        self.history[-1] |= {**self.figures, **self.meter.record()}
        self._emit("on_evaluate_end")

    def _validate(self, rows: Rows, references: Sequence[Any]) -> dict[str, float]:
        with self._signals.breaking():
            figures = self.task.validate(rows, references, batch_size=4 * self.settings.batch_size)
        return {name: float(figure) for name, figure in figures.items()}

    def _check_monitor(self, validation: Rows | None) -> None:
        monitor = self.settings.monitor
        known = self.task.figures if validation is None else self.task.figures_on(validation)
        if monitor not in known:
            raise InputError(
                f"train.monitor: no figure {monitor!r} on the validation split, of whose rows none "
                f"is fit to learn from; {suggest(monitor, known)}"
            )

    def stop(self, reason: str) -> None:
        """End training after the current epoch."""
        self.stop_reason = reason

    def stop_now(self, reason: str) -> None:
        """End training after the current step; what is left of the epoch is not validated."""
        self.stop_reason, self.stops_now = reason, True

    def save_checkpoint(self, *, keep: int) -> None:
        """Write a checkpoint, from which `fit` goes on to the same bits; where there is a place.

        All processes of the group must call this at the same step.
        """
        with self.meter.part("checkpoint"):
            state = state_of(self)
            if self.checkpoints is not None:
                self.checkpoints.save(self.steps, state, keep=keep)

    def _fit_start(self) -> None:
        """Begin, or take up the newest checkpoint, if there is one."""
        state = None if self.checkpoints is None else self.checkpoints.load()
        state = self.group.share_state(state)
        self.resumed = state is not None
        self._emit("on_fit_start")
        if state is not None:
            restore(self, state)
            self.earlier = self.meter.seconds
            self.notify(f"going on in epoch {self.epoch} after step {self.steps}")

    def _heed_border(self) -> None:
        """Break off where a signal has come: here nothing is half done.

        Raises:
            Interrupted: one has, to any of the processes.
        """
        if self._signals.pending is not None:
            self.group.tell("signal")
        if self.group.told("signal"):
            raise Interrupted

    def _signal(self) -> int:
        """What has come to any of the processes: SIGTERM rather than Ctrl-C; 0 for nothing."""
        return int(max(self.group.gather(int(self._signals.pending or 0))))

    def _end_by(self, number: int) -> None:
        """Stop in order after Ctrl-C; after SIGTERM, for which there may be little time, at once.

        Raises:
            StoppedError: SIGTERM has come.
        """
        if number == signal.SIGTERM:
            raise StoppedError(
                f"terminated in epoch {self.epoch} after step {self.steps}", signal=signal.SIGTERM
            )
        self.interrupted = True
        self.stop("interrupted")

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
        with self.meter.part("hooks"):
            for hook in self.hooks:
                getattr(hook, moment)(self)
