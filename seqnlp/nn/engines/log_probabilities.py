"""Log-probabilities of given classes under an output layer, in memory that no batch makes grow."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.nn.engines.softmax_loss import check_rows, refuse_more, room_for, run_rows
from seqnlp.nn.engines.transforms import transforming


def log_probabilities(
    x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """The log_softmax of x W' + b at each row's target, and its mean over the classes.

    Logits are made for a chunk of rows at a time, and again in backward, which knows only then
    what each row counts: one product more than `softmax_loss` needs.

    Args:
        x: float [N, D].
        weight: float [V, D].
        bias: float [V], or None.
        targets: int64 [N], each in 0..V-1.

    Returns:
        Both float [N], in nats; differentiable once by x, weight and bias; under torch.func as
        often as one likes, since all logits are held there.

    Raises:
        InputError: shapes or types are others; on a CPU, a target that is no class.
    """
    check_rows(x, weight, targets)
    if not len(x):
        # Nothing, on which backward may be called.
        empty = F.linear(x, weight, bias).sum(1)
        return empty, empty
    bias = None if bias is None else bias.to(weight.dtype)
    if transforming():
        logs = torch.log_softmax(F.linear(x.to(weight.dtype), weight, bias), 1)
        return logs.gather(1, targets.unsqueeze(1)).squeeze(1), logs.mean(1)
    found: tuple[Tensor, Tensor] = _LogProbabilities.apply(  # type: ignore[no-untyped-call]
        x.to(weight.dtype), weight, bias, targets
    )
    return found


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        means = x.new_empty(len(x), dtype=torch.float64)
        losses = run_rows(x, weight, bias, targets, [None] * 3, means=means)
        ctx.save_for_backward(x, weight, bias, targets)
        return -losses.to(x.dtype), means.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        refuse_more("log-probabilities of an output layer", "log_softmax of its logits")
        x, weight, bias, targets = ctx.saved_tensors
        found = room_for((x, weight, bias), ctx.needs_input_grad[:3])
        factors = torch.stack(gradients, 1).double().neg_()
        run_rows(x, weight, bias, targets, found, factors=factors)
        return (*found, None)
