"""Plans of cells, each made once: for a kind of cell, its size and its dropout."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.nn.cells.base import Cell, GatedCell
from seqnlp.nn.engines.plan import Plan, make_plan
from seqnlp.nn.engines.recorder import UntraceableError
from seqnlp.nn.engines.trace import trace
from seqnlp.nn.noise import Noise

_KNOWN: dict[object, Plan | str] = {}
# A cell whose attributes change at every call must not fill the memory.
_MOST = 512
MODULE = frozenset(vars(nn.Module()))
"""The attributes that every module has."""


def find_plan(cell: GatedCell, noise: Noise | None) -> Plan:
    """The plan of a cell with these masks.

    Raises:
        UntraceableError: `update` does something that is not pointwise.
    """
    masks = () if noise is None else tuple(noise.masks)
    keep = () if noise is None else tuple(share is not None for share in noise.keep)
    key = (kind_of(cell), masks, keep)
    found = _KNOWN.get(key)
    if found is None:
        try:
            found = make_plan(trace(cell, masks=masks, keep=keep))
        except UntraceableError as error:
            # The words alone: an error holds the frames that it went through, and their tensors.
            found = str(error)
        while len(_KNOWN) >= _MOST:
            _KNOWN.pop(next(iter(_KNOWN)))
        _KNOWN[key] = found
    if isinstance(found, str):
        raise UntraceableError(found)
    return found


def find_obstacle(cell: Cell, x: Tensor, noise: Noise | None) -> str | None:
    """Why no plan can run this cell on this input, in a sentence; None where one can."""
    if not isinstance(cell, GatedCell):
        return f"{type(cell).__name__} is not a GatedCell"
    kind = type(cell)
    if kind.forward is not GatedCell.forward or kind.noisy_step is not GatedCell.noisy_step:
        return f"{kind.__name__} has a step of its own"
    if x.dtype not in (torch.float32, torch.float64):
        return f"it computes float32 and float64, not {str(x.dtype).removeprefix('torch.')}"
    if any(parameter.dtype != x.dtype for parameter in cell.parameters()):
        return "input and parameters are of different types"
    try:
        find_plan(cell, noise)
    except UntraceableError as error:
        return f"{kind.__name__}.update cannot be traced: {error}"
    return None


def kind_of(cell: GatedCell) -> object:
    """What a trace depends on: the code, the size and the attributes of the cell and its class.

    An attribute that is no plain value stands for itself, and is held, so that its identity is not
    used again; what is changed inside of it, and global variables, are not seen.
    """
    own = type(cell)
    code = tuple(
        (name, _freeze(value))
        for base in _written(own)
        for name, value in vars(base).items()
        if not name.startswith("__")
    )
    shapes = tuple((name, tuple(p.shape)) for name, p in cell.author_parameters().items())
    kind = cell.bias.dtype
    return (own, code, cell.gates, cell.states, kind, attributes_of(cell), shapes)


def code_of(kind: type[GatedCell]) -> list[object]:
    """All that a class and its bases define, down to `GatedCell`."""
    found: list[object] = []
    for base in _written(kind):
        found += vars(base).values()
    return found


@lru_cache(maxsize=_MOST)
def _written(kind: type[GatedCell]) -> tuple[type, ...]:
    return tuple(base for base in kind.__mro__ if base not in GatedCell.__mro__)


def attributes_of(cell: nn.Module) -> object:
    """The plain attributes of a cell and of the modules in it, as a key."""
    plain = [(name, _freeze(value)) for name, value in vars(cell).items() if name not in MODULE]
    inside = [
        (name, type(module), attributes_of(module))
        for name, module in cell._modules.items()
        if module is not None
    ]
    return (cell.training, *plain, *inside)


def _freeze(value: Any) -> object:
    if isinstance(value, Tensor):
        # Its numbers cannot enter a trace.
        return (type(value), tuple(value.shape), value.dtype)
    if isinstance(value, dict):
        return tuple((_freeze(key), _freeze(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(_freeze, value))
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return (type(value), value)


class _Same:
    """Equal where it is the same object."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
