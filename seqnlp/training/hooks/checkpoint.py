"""When a run that may be killed writes down where it stands."""

from __future__ import annotations

import math
import time

from seqnlp.errors import InputError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class CheckpointHook(Hook):
    """Writes checkpoints, from which `seqnlp train --resume` goes on to the same bits.

    One is written whenever any of the three says so, and when a signal stops the run.

    Args:
        minutes: between two; 0 for none by the clock.
        steps: between two; 0 for none by their number.
        epochs: between two, written at their end; 0 for none.
        keep: how many of the newest are kept; a damaged one is passed over for the one before.
    """

    # What others make of the moment, and write of it, must be done before it is remembered.
    order = 99

    def __init__(
        self, *, minutes: float = 1.0, steps: int = 0, epochs: int = 0, keep: int = 2
    ) -> None:
        if not (0 <= minutes < math.inf) or min(steps, epochs) < 0:
            raise InputError(
                f"minutes, steps and epochs must not be negative: {minutes}, {steps}, {epochs}"
            )
        if keep < 1:
            raise InputError(f"keep must be at least 1, not {keep}")
        self.minutes, self.steps, self.epochs, self.keep = minutes, steps, epochs, keep
        self.written = 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        self.written = time.monotonic()

    def on_step_end(self, trainer: Trainer) -> None:
        due = self.steps > 0 and trainer.steps % self.steps == 0
        if due or self._is_time(trainer):
            self._write(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if self.epochs and trainer.epoch % self.epochs == 0:
            self._write(trainer)

    def on_interrupt(self, trainer: Trainer) -> None:
        self._write(trainer)

    def _is_time(self, trainer: Trainer) -> bool:
        """Whether the minutes are over, by the clock of the main process."""
        if not self.minutes:
            return False
        if trainer.group.main and time.monotonic() - self.written >= 60 * self.minutes:
            trainer.group.tell("checkpoint")
        return trainer.group.told("checkpoint")

    def _write(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(keep=self.keep)
        self.written = time.monotonic()
