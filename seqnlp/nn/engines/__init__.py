"""Engines: the loops that run cells over time, and the choice among them."""

from __future__ import annotations

import logging
import os

from torch import Tensor

from seqnlp import registry
from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.nn.cells.base import Cell
from seqnlp.nn.engines import build
from seqnlp.nn.engines.base import Engine
from seqnlp.nn.engines.choice import prefers_fused
from seqnlp.nn.engines.exporting import engine_for, exporting_to
from seqnlp.nn.engines.fused import FusedEngine
from seqnlp.nn.engines.native import NativeEngine
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.reference import ReferenceEngine
from seqnlp.nn.engines.transforms import OBSTACLE, transforming
from seqnlp.nn.engines.triton.engine import TritonEngine
from seqnlp.nn.noise import Noise

__all__ = [
    "AUTO",
    "VARIABLE",
    "Engine",
    "FusedEngine",
    "NativeEngine",
    "Padding",
    "ReferenceEngine",
    "TritonEngine",
    "check",
    "describe",
    "explain",
    "find",
    "may_fuse",
    "select",
]

AUTO = "auto"
VARIABLE = "SEQNLP_ENGINE"
"""Names the engine that "auto" means, in place of the measured rules."""

_log = logging.getLogger(__name__)
_NATIVE = NativeEngine()
_FUSED = FusedEngine()
_TRITON = TritonEngine()
_REFERENCE = ReferenceEngine()
_FOUND: dict[str, Engine] = {each.name: each for each in (_NATIVE, _FUSED, _TRITON, _REFERENCE)}
_TOLD: set[tuple[type[Cell], bool]] = set()


def select(
    name: str,
    cell: Cell,
    x: Tensor,
    noise: Noise | None = None,
    padding: Padding | None = None,
    *,
    both_directions: bool = False,
) -> Engine:
    """The engine of that name; "auto" is the one that is fastest for the cell on this input.

    While a program is recorded it is that of `exporting`, whatever the name.

    Args:
        name: a registered engine, or "auto", which SEQNLP_ENGINE may say the meaning of.
        cell: what it is to run.
        x: float [B, T, I].
        noise: dropout inside the recurrence.
        padding: where the rows end.
        both_directions: whether `run_both` is to run it, with a second one like it.

    Raises:
        UnknownNameError: no engine has that name.
        InputError: the engine cannot run this cell.
        SettingsError: SEQNLP_ENGINE names no engine.
    """
    target = exporting_to()
    if target is not None:
        return engine_for(target)
    meant = _meaning(name)
    if meant == AUTO:
        engine, why = _choose(cell, x, noise, padding, both_directions)
        case = (type(cell), why == OBSTACLE)
        if engine is _REFERENCE and case not in _TOLD:
            _TOLD.add(case)
            _log.warning("%s runs in the slower reference loop: %s", type(cell).__name__, why)
        return engine
    engine = find(meant)
    obstacle = engine.obstacle(cell, x, noise)
    if obstacle is not None:
        where = "" if meant == name else f"{VARIABLE}: "
        raise InputError(
            f"{where}the engine {meant!r} cannot run {type(cell).__name__}({cell.extra_repr()}): "
            f"{obstacle}; use 'reference', which runs every cell, or 'auto'"
        )
    return engine


def explain(
    name: str,
    cell: Cell,
    x: Tensor,
    noise: Noise | None = None,
    padding: Padding | None = None,
    *,
    both_directions: bool = False,
) -> tuple[Engine, str | None]:
    """What `select` gives, and why that is slower than it could be, where it is."""
    if _meaning(name) == AUTO:
        return _choose(cell, x, noise, padding, both_directions)
    engine = select(name, cell, x, noise, padding, both_directions=both_directions)
    return engine, build.obstacle() if engine is _FUSED else None


def _choose(
    cell: Cell, x: Tensor, noise: Noise | None, padding: Padding | None, both_directions: bool
) -> tuple[Engine, str | None]:
    if transforming():
        # Torch's own recurrences know some transforms alone.
        return _REFERENCE, OBSTACLE
    if x.device.type != "cpu":
        # On a GPU torch's own is cuDNN.
        if _NATIVE.supports(cell, x, noise):
            return _NATIVE, None
        obstacle = _TRITON.obstacle(cell, x, noise)
        return (_TRITON, None) if obstacle is None else (_REFERENCE, obstacle)
    obstacle = _FUSED.obstacle(cell, x, noise)
    if _NATIVE.supports(cell, x, noise):
        # Without a compiler the fused engine is a loop in Python.
        faster = prefers_fused(cell, x, padding, both_directions=both_directions)
        return (_FUSED if obstacle is None and faster and build.toolchain() else _NATIVE), None
    return (_FUSED, build.obstacle()) if obstacle is None else (_REFERENCE, obstacle)


def _meaning(name: str) -> str:
    """The name, or where that is "auto" what SEQNLP_ENGINE says.

    Raises:
        SettingsError: SEQNLP_ENGINE names no engine.
    """
    if name != AUTO:
        return name
    meant = os.environ.get(VARIABLE) or AUTO
    if meant != AUTO:
        try:
            find(meant)
        except UnknownNameError as error:
            raise SettingsError(f"{VARIABLE}: {error}") from None
    return meant


def may_fuse(name: str) -> bool:
    """Whether that name leaves the choice to us, or asks for what is compiled.

    Raises:
        SettingsError: SEQNLP_ENGINE names no engine.
    """
    return _meaning(name) in (AUTO, _FUSED.name)


def describe(name: str) -> str:
    """The name, or where SEQNLP_ENGINE says what it means, that: "SEQNLP_ENGINE=native".

    Raises:
        SettingsError: SEQNLP_ENGINE names no engine.
    """
    meant = _meaning(name)
    return name if meant == name else f"{VARIABLE}={meant}"


def check(name: str) -> None:
    """Refuse a name that `select` would not know, before there is anything to run.

    Raises:
        UnknownNameError: it is neither an engine's nor "auto".
        SettingsError: it is "auto", and SEQNLP_ENGINE names no engine.
    """
    meant = _meaning(name)
    if meant != AUTO:
        find(meant)


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
