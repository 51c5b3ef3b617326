"""Engines: the loops that run cells over time, and the choice among them."""

from __future__ import annotations

from torch import Tensor

from seqnlp import registry
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn.cells.base import Cell
from seqnlp.nn.engines.base import Engine
from seqnlp.nn.engines.choice import prefers_fused
from seqnlp.nn.engines.fused import FusedEngine
from seqnlp.nn.engines.native import NativeEngine
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.reference import ReferenceEngine
from seqnlp.nn.noise import Noise

__all__ = [
    "AUTO",
    "Engine",
    "FusedEngine",
    "NativeEngine",
    "Padding",
    "ReferenceEngine",
    "check",
    "find",
    "select",
]

AUTO = "auto"

_NATIVE = NativeEngine()
_FUSED = FusedEngine()
_REFERENCE = ReferenceEngine()
_FOUND: dict[str, Engine] = {}


def select(
    name: str,
    cell: Cell,
    x: Tensor,
    noise: Noise | None = None,
    padding: Padding | None = None,
) -> Engine:
    """The engine of that name; "auto" is the one that is fastest for the cell on this input.

    Args:
        name: a registered engine, or "auto".
        cell: what it is to run.
        x: float [B, T, I].
        noise: dropout inside the recurrence.
        padding: where the rows end.

    Raises:
        UnknownNameError: no engine has that name.
        InputError: the engine cannot run this cell.
    """
    if name == AUTO:
        return _choose(cell, x, noise, padding)
    engine = find(name)
    obstacle = engine.obstacle(cell, x, noise)
    if obstacle is not None:
        raise InputError(
            f"the engine {name!r} cannot run {type(cell).__name__}({cell.extra_repr()}): "
            f"{obstacle}; use 'reference', which runs every cell, or 'auto'"
        )
    return engine


def _choose(cell: Cell, x: Tensor, noise: Noise | None, padding: Padding | None) -> Engine:
    fused = _FUSED.supports(cell, x, noise)
    if _NATIVE.supports(cell, x, noise):
        return _FUSED if fused and prefers_fused(cell, x, padding) else _NATIVE
    return _FUSED if fused else _REFERENCE


def check(name: str) -> None:
    """Refuse a name that `select` would not know, before there is anything to run.

    Raises:
        UnknownNameError: it is neither an engine's nor "auto".
    """
    if name != AUTO:
        find(name)


def find(name: str) -> Engine:
    """The registered engine of that name, whatever cells it can run.

    Raises:
        UnknownNameError: no engine has that name.
    """
    # Asked at every call, where going through the metadata of all packages would show.
    if name not in _FOUND:
        known = registry.engines.names()
        if name not in known:
            raise UnknownNameError("engine", name, [AUTO, *known])
        _FOUND[name] = registry.engines.get(name)()
    return _FOUND[name]
