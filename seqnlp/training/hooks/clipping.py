"""Gradient clipping: the remedy for gradients that explode through time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from seqnlp.errors import InputError
from seqnlp.training.hooks.base import Hook
from seqnlp.training.trainer import Trainer


class ClipHook(Hook):
    """Gradient clipping by total norm, by value, or adaptively by each unit's weight norm.

    Args:
        norm: the most that the norm over all gradients may be (Pascanu et al. 2013,
            arXiv:1211.5063, algorithm 1).
        value: the most that any element may be, in absolute value.
        adaptive: the most that a unit's gradient norm may be relative to its weight norm (Brock et
            al. 2021, arXiv:2102.06171, equation 3).
    Several may be given; the order is adaptive, value, norm.
    """

    order = 30

    def __init__(
        self,
        *,
        norm: float | None = None,
        value: float | None = None,
        adaptive: float | None = None,
    ) -> None:
        for name, limit in (("norm", norm), ("value", value), ("adaptive", adaptive)):
            if limit is not None and not limit > 0:
                raise InputError(f"the limit {name!r} must be positive, not {limit}")
        self.norm, self.value, self.adaptive = norm, value, adaptive

    def on_backward_end(self, trainer: Trainer) -> None:
        weights = [weight for weight in trainer.task.parameters() if weight.grad is not None]
        if self.adaptive is not None:
            for weight in weights:
                clip_adaptive(weight, self.adaptive)
        if self.value is not None:
            clip_grad_value_(weights, self.value)
        if self.norm is not None:
            trainer.gradient_norm = clip_grad_norm_(weights, self.norm)


def clip_adaptive(weight: Tensor, limit: float, *, floor: float = 1e-3) -> None:
    """Scale each row of a gradient to at most `limit` times the norm of its row of weights.

    Rows whose weights are smaller than `floor` count as `floor`, so that zeros can grow. Vectors
    are rows of one element.
    """
    assert weight.grad is not None
    rows = weight.detach().reshape(weight.shape[0] if weight.ndim else 1, -1)
    gradient = weight.grad.view(rows.shape)
    most = limit * rows.norm(dim=1, keepdim=True).clamp_min(floor)
    size = gradient.norm(dim=1, keepdim=True)
    gradient.mul_(torch.where(size > most, most / size.clamp_min(1e-12), torch.ones_like(size)))
