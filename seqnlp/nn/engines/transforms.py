"""Transforms of functions, as in torch.func: they follow torch's own operations, no kernels."""

from __future__ import annotations

import torch
from torch import _C, Tensor
from torch.autograd import forward_ad

from seqnlp.nn.engines.exporting import exporting_to

OBSTACLE = "its kernels are not operations of torch, which transforms of torch.func are made of"


def transforming() -> bool:
    """Whether a transform (grad, vjp, jvp, vmap, ...) is at work where this is called.

    Kernels are then left alone, since tensors may have no memory of their own; and so they are
    while a program is recorded. Derivatives that go forward do so without gradients, too.
    """
    # torch.autograd.Function asks the same; there is no public name for it.
    active: bool = _C._are_functorch_transforms_active()
    return active or forward_ad._current_level >= 0 or exporting_to() is not None


def is_mapped(tensor: Tensor) -> bool:
    """Whether vmap has this tensor stand for many, so that nothing can look at its numbers."""
    functorch = _C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        if functorch.is_batchedtensor(tensor):
            return True
        tensor = functorch.get_unwrapped(tensor)
    return False


def must_follow(*gradients: Tensor | None) -> bool:
    """Whether what a backward pass does with these must be operations of torch.

    That is where they are to be differentiated again, and where each stands for many, as those of
    `torch.autograd.grad(..., is_grads_batched=True)`.
    """
    if torch.is_grad_enabled() or transforming():
        return True
    legacy = _C._functorch.is_legacy_batchedtensor
    return any(gradient is not None and legacy(gradient) for gradient in gradients)
