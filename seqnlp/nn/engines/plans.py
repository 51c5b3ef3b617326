"""Plans of cells, each made once: for a kind of cell, its size and its dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.nn.cells.base import Cell, GatedCell
from seqnlp.nn.engines.plan import Plan, make_plan
from seqnlp.nn.engines.recorder import UntraceableError
from seqnlp.nn.engines.trace import trace
from seqnlp.nn.noise import Noise

_KNOWN: dict[object, Plan | UntraceableError] = {}
_MODULE = frozenset(vars(nn.Module()))


def find_plan(cell: GatedCell, noise: Noise | None) -> Plan:
    """The plan of a cell with these masks.

    Raises:
        UntraceableError: `update` does something that is not pointwise.
    """
    masks = () if noise is None else tuple(noise.masks)
    keep = () if noise is None else tuple(share is not None for share in noise.keep)
    key = (_kind(cell), masks, keep)
    if key not in _KNOWN:
        try:
            _KNOWN[key] = make_plan(trace(cell, masks=masks, keep=keep))
        except UntraceableError as error:
            _KNOWN[key] = error
    found = _KNOWN[key]
    if isinstance(found, UntraceableError):
        raise found
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


def _kind(cell: GatedCell) -> object:
    """All that a trace depends on: the code, the size and the plain attributes of the cell.

    A cell whose `update` reads something else from self is traced by what that is now: what an
    attribute refers to is held, so that its identity is not used again.
    """
    own = type(cell)
    shapes = tuple((name, tuple(p.shape)) for name, p in cell.author_parameters().items())
    kind = cell.bias.dtype
    return (own, own.update, cell.gates, cell.states, kind, attributes_of(cell), shapes)


def attributes_of(cell: nn.Module) -> object:
    """The plain attributes of a cell and of the modules in it, as a key."""
    plain = [(name, _freeze(value)) for name, value in vars(cell).items() if name not in _MODULE]
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
