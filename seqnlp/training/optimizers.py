"""Optimizers by their names in torch.optim."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.graph import increment_version

from seqnlp.config import TrainSettings
from seqnlp.errors import SettingsError, suggest
from seqnlp.tasks.base import Task


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

    def tell(*_: object) -> None:
        """Fused updates leave the count of changes as it was, by which others know old weights."""
        increment_version(weights)

    optimizer.register_step_post_hook(tell)
    return optimizer
