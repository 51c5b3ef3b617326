"""Truncated backpropagation through time."""

from __future__ import annotations

from seqnlp.errors import InputError, SettingsError
from seqnlp.nn.layer import set_truncation
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class TruncateHook(Hook):
    """Truncated backpropagation through time: gradients reach back a bounded number of steps.

    The state of every recurrent layer is detached after every `steps` steps of a row, in both
    directions, counted from where the row is read first. Outputs stay the same; what lies further
    back is not learned from, and cannot explode. Holds while training, and is taken back at its
    end.

    Source: Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories".

    Args:
        steps: of a row.

    Raises:
        InputError: less than one step.
        SettingsError: the model has no recurrent layer, or a decoder with input feeding.
    """

    def __init__(self, *, steps: int = 50) -> None:
        if steps < 1:
            raise InputError(f"steps must be at least 1, not {steps}")
        self.steps = steps

    def on_fit_start(self, trainer: Trainer) -> None:
        try:
            set_truncation(trainer.task, self.steps)
        except InputError as error:
            raise SettingsError(f"hooks.truncate: {error}") from error

    def on_fit_end(self, trainer: Trainer) -> None:
        set_truncation(trainer.task, 0)

    def on_fit_error(self, trainer: Trainer) -> None:
        set_truncation(trainer.task, 0)
