"""Where the course of a run is always written: JSON Lines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from seqnlp.errors import InputError
from seqnlp.training.checkpoints import Checkpoints
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer

LOG = "log.jsonl"


class LogHook(Hook):
    """One JSON object a line: each epoch's figures, and with `every` each so many steps' loss.

    Args:
        path: the file, which is added to; log.jsonl in the run's folder where it is not named.
        every: steps between two lines within an epoch; 0 writes none.
    """

    order = 90

    def __init__(self, *, path: Path | None = None, every: int = 0) -> None:
        self.path, self.every = path, every
        self.file: IO[bytes] | None = None
        self.notify: Callable[[str], None] = lambda _: None
        self.waiting = b""
        """What the disk has not taken yet."""
        self.size = 0
        """Of what was written before the checkpoint."""

    def on_fit_start(self, trainer: Trainer) -> None:
        if not trainer.group.main:
            return
        path = self.path or (trainer.folder or Path()) / LOG
        self.notify, self.waiting, self.size = trainer.notify, b"", 0
        try:
            self.file = path.open("ab", buffering=0)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error
        if trainer.resumed:
            return
        if self.path is None:
            self._cut_attempt(path, trainer.checkpoints)
        self.write(
            event="fit_start",
            seed=trainer.seed,
            parameters=trainer.parameters,
            engines=trainer.engines(),
        )

    def on_step_end(self, trainer: Trainer) -> None:
        if self.every and trainer.steps % self.every == 0:
            norm = trainer.gradient_norm
            self.write(
                event="step",
                step=trainer.steps,
                epoch=trainer.epoch,
                loss=trainer.loss,
                lr=trainer.lr,
                gradient_norm=None if norm is None else float(norm),
            )

    def on_evaluate_end(self, trainer: Trainer) -> None:
        self.write(event="epoch", **trainer.history[-1])

    def on_fit_end(self, trainer: Trainer) -> None:
        self.write(
            event="fit_end",
            steps=trainer.steps,
            best_epoch=trainer.best_epoch,
            reason=trainer.stop_reason,
            **trainer.meter.total(),
        )
        self._close()

    def on_fit_error(self, trainer: Trainer) -> None:
        self.write(event="fit_error", steps=trainer.steps, loss=str(trainer.loss))
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """How much of the run's own log has been written; of a file of the user's nothing."""
        if self.path is not None:
            return {}
        return {"size": self.size if self.file is None else self.file.tell()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what was written after the checkpoint, since it is done again."""
        if self.path is not None:
            return
        self.size = state["size"]
        if self.file is not None:
            # After a power loss it may be shorter than it was, and its last line a part of one.
            before = Path(self.file.name).read_bytes()[: self.size]
            self._cut(before.rfind(b"\n") + 1)
            self.write(event="resume")

    def _cut_attempt(self, path: Path, checkpoints: Checkpoints | None) -> None:
        """Take back the lines of a training that was broken off without a checkpoint."""
        lines = path.read_bytes().splitlines(keepends=True)
        begins = [number for number, line in enumerate(lines) if b'"event": "fit_start"' in line]
        if checkpoints is not None:
            begins = begins[checkpoints.others_finished() :]
        elif begins:
            ended = any(b'"event": "fit_end"' in line for line in lines[begins[-1] :])
            begins = [] if ended else begins[-1:]
        if begins:
            self._cut(sum(map(len, lines[: begins[0]])))

    def _cut(self, size: int) -> None:
        assert self.file is not None
        self.file.truncate(size)
        self.file.seek(0, os.SEEK_END)

    def write(self, **values: Any) -> None:
        """Add a line. Where the disk is full, a note says so, and it waits for the next one."""
        if self.file is None:
            return
        told = bool(self.waiting)
        self.waiting += (json.dumps({"time": time.time(), **values}) + "\n").encode()
        try:
            while self.waiting:
                self.waiting = self.waiting[self.file.write(self.waiting) :]
        except OSError as error:
            if not told:
                self.notify(f"cannot write {self.file.name}: {error.strerror}; training goes on")

    def _close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None
