"""A diagnosis after every epoch of a training, and what is seen in its steps alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqnlp.diagnosis.course import COURSE
from seqnlp.diagnosis.diagnosing import choose_rows, examine
from seqnlp.diagnosis.report import Clipping, Diagnosis
from seqnlp.errors import InputError
from seqnlp.files import write_bytes
from seqnlp.training.hooks.base import Hook
from seqnlp.training.hooks.clipping import ClipHook
from seqnlp.training.trainer import Trainer


class DiagnoseHook(Hook):
    """Gradients through time, gates and weights, measured while training; see `seqnlp diagnose`.

    Each look is a line of diagnosis.jsonl in the run's folder, a `Diagnosis` as JSON with the seed
    beside it; the last one is told at the end. The training itself is not changed by a bit.

    Args:
        every: epochs from one look to the next; 0 for none at their ends.
        apart: the least steps between two looks at ends of epochs, so that short ones are not
            slowed down; the first one and the last are always looked at.
        steps: steps from one look to the next, within epochs; 0 for none.
        examples: rows of a look, always the same.
        span: the most steps back from the last of a row.

    Raises:
        InputError: a number that cannot be.
    """

    def __init__(
        self,
        *,
        every: int = 1,
        apart: int = 200,
        steps: int = 0,
        examples: int = 16,
        span: int = 200,
    ) -> None:
        if min(every, steps, apart) < 0 or every == steps == 0:
            raise InputError(
                "every, steps and apart must not be negative, nor the first two both be 0, not "
                f"{every}, {steps} and {apart}"
            )
        if min(examples, span) < 1:
            raise InputError(f"examples and span must be at least 1, not {examples} and {span}")
        self.every, self.apart, self.steps = every, apart, steps
        self.examples, self.span = examples, span
        self.path: Path | None = None
        self.last: Diagnosis | None = None
        self.taken = self.cut = self.looked = self.size = 0
        self.kept = 0.0
        self._before: dict[str, Tensor] = {}
        self._updates: dict[str, float] = {}

    def on_fit_start(self, trainer: Trainer) -> None:
        self.taken = self.cut = self.looked = self.size = 0
        self.kept, self.last = 0.0, None
        self.path = None if trainer.folder is None else trainer.folder / COURSE
        if self.path is not None and not trainer.resumed:
            first = trainer.seed == trainer.task.settings.seed
            _leave_out(self.path, None if first else trainer.seed)

    def on_backward_end(self, trainer: Trainer) -> None:
        limit, norm = _limit(trainer), trainer.gradient_norm
        if limit is not None and norm is not None:
            self.taken += 1
            if (size := float(norm)) > limit:
                self.cut += 1
                self.kept += limit / size
        if self._may_look(trainer, steps=trainer.steps + 1):
            self._before = {
                name: weight.detach().clone()
                for name, weight in trainer.task.named_parameters()
                if weight.requires_grad
            }

    def on_step_end(self, trainer: Trainer) -> None:
        if not self._before:
            return
        self._measure_updates(trainer)
        if self.steps and trainer.steps % self.steps == 0:
            self._look(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        if not self.every or trainer.epoch % self.every:
            return
        if not self.looked or trainer.steps >= self.looked + self.apart:
            self._look(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.every and trainer.steps:
            self._look(trainer)
        if self.last is None:
            return
        for verdict in self.last.verdicts:
            trainer.notify(str(verdict))

    def state_dict(self) -> dict[str, Any]:
        """What was counted since the last look, and how much has been written."""
        if self.path is not None and self.path.exists():
            self.size = self.path.stat().st_size
        return {"taken": self.taken, "cut": self.cut, "kept": self.kept, "looked": self.looked,
                "updates": dict(self._updates), "size": self.size}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what was written after the checkpoint, since it is done again."""
        self.taken, self.cut, self.kept = state["taken"], state["cut"], state["kept"]
        self.looked, self._updates = state["looked"], dict(state["updates"])
        self.size = state["size"]
        if self.path is not None and self.path.exists():
            os.truncate(self.path, min(self.size, self.path.stat().st_size))

    def _may_look(self, trainer: Trainer, *, steps: int) -> bool:
        """Whether there may be a look after the step that is the last of so many."""
        ends = trainer.batch_number == trainer.steps_per_epoch
        by_epoch = bool(self.every) and ends and trainer.epoch % self.every == 0
        return by_epoch or bool(self.steps and steps % self.steps == 0)

    @torch.no_grad()
    def _measure_updates(self, trainer: Trainer) -> None:
        """How far the step has moved each weight, of what it was."""
        weights = dict(trainer.task.named_parameters())
        names = [name for name, old in self._before.items() if old.any()]
        old = [self._before[name] for name in names]
        moved = torch._foreach_sub([weights[name].detach() for name in names], old)
        sizes, norms = torch._foreach_norm(moved), torch._foreach_norm(old)
        self._updates = {
            name: float(size / norm) for name, size, norm in zip(names, sizes, norms, strict=True)
        }
        self._before = {}

    def _look(self, trainer: Trainer) -> None:
        if not trainer.group.main or self.looked == trainer.steps:
            return
        assert trainer.rows is not None
        limit = _limit(trainer)
        clipping = None
        if limit is not None and self.taken:
            kept = self.kept / self.cut if self.cut else 1.0
            clipping = Clipping(limit=limit, steps=self.taken, cut=self.cut, kept=kept)
        self.last = examine(
            trainer.task,
            choose_rows(trainer.rows, self.examples).to(trainer.task.device),
            split="train",
            span=self.span,
            updates=self._updates,
            clipping=clipping,
            epoch=trainer.epoch,
            step=trainer.steps,
            thorough=False,
        )
        self.taken, self.cut, self.kept, self.looked = 0, 0, 0.0, trainer.steps
        if self.path is not None:
            line = json.dumps({"seed": trainer.seed, **self.last.as_dict()})
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _limit(trainer: Trainer) -> float | None:
    """What the norm of a gradient is cut to, where it is."""
    return next((hook.norm for hook in trainer.hooks if isinstance(hook, ClipHook)), None)


def _leave_out(path: Path, seed: int | None) -> None:
    """Take the lines of an earlier training of that seed out of a course; of None all."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True) if seed is not None else []
    mark = b'{"seed": %d, ' % (seed or 0)
    write_bytes(path, b"".join(line for line in lines if not line.startswith(mark)))
