"""Where else the course of a run may go: TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqnlp.errors import MissingPackageError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class TensorBoardHook(Hook):
    """Scalars for TensorBoard: loss and learning rate by step, validation figures by epoch.

    Args:
        folder: where the event files go; the run's folder where it is not named.
        every: steps between two points.
    Raises:
        MissingPackageError: the extra `tensorboard` is not installed.
    """

    order = 90

    def __init__(self, *, folder: Path | None = None, every: int = 10) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "the hook tensorboard needs the package tensorboard; "
                "pip install 'seqnlp[tensorboard]'"
            ) from error
        self.make = SummaryWriter
        self.folder, self.every = folder, every
        self.writer: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        folder = self.folder or (trainer.folder or Path()) / "tensorboard"
        self.writer = self.make(log_dir=str(folder / f"seed-{trainer.seed}"))

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.steps % self.every == 0:
            self.writer.add_scalar("train/loss", trainer.loss, trainer.steps)
            self.writer.add_scalar("train/lr", trainer.lr, trainer.steps)

    def on_evaluate_end(self, trainer: Trainer) -> None:
        for name, value in trainer.figures.items():
            self.writer.add_scalar(f"validation/{name}", value, trainer.steps)

    def on_fit_end(self, trainer: Trainer) -> None:
        self.writer.close()

    def on_fit_error(self, trainer: Trainer) -> None:
        if self.writer is not None:
            self.writer.close()
