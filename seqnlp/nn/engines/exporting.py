"""Whether a network is being recorded for use elsewhere, and what its recurrences become there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from seqnlp.nn.engines.base import Engine

Target: TypeAlias = Literal["onnx", "torch"]
"""What a program is recorded for: ONNX, or torch's own compiler and runtime."""

_TARGET: ContextVar[Target | None] = ContextVar("_TARGET", default=None)


@contextmanager
def exporting(target: Target) -> Iterator[None]:
    """In this block networks do what `torch.export` can record for any batch and length.

    No kernel of our own is called and no value is looked at: every recurrence becomes operations
    that the target knows, or one loop, and every batch counts as ragged. Only for networks in
    evaluation, without gradients.
    """
    token = _TARGET.set(target)
    try:
        yield
    finally:
        _TARGET.reset(token)


def exporting_to() -> Target | None:
    """What is being recorded for where this is called; None where nothing is."""
    return _TARGET.get()


@cache
def engine_for(target: Target) -> Engine:
    """The engine that takes the place of every other while something is recorded."""
    from seqnlp.nn.engines.exported import OnnxEngine, TorchEngine

    return OnnxEngine() if target == "onnx" else TorchEngine()
