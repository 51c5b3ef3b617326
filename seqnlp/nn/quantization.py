"""Quantization of trained networks for inference on a CPU."""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import TypeVar

import torch
from torch import nn

from seqnlp.errors import InputError, suggest
from seqnlp.nn.cells.base import Cell, GatedCell
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.engines import AUTO, find
from seqnlp.nn.engines.plans import find_obstacle
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.modes import in_mode

KINDS = ("int8",)

M = TypeVar("M", bound=nn.Module)
_log = logging.getLogger(__name__)
# The sums of so many products of two codes fit 32 bits.
_WIDEST = (1 << 31) // 127**2


def quantize(module: M, kind: str = "int8") -> M:
    """A copy for inference on a CPU, whose gated cells have int8 weights.

    Weights get one scale a row, once; inputs and outputs of the recurrence get one a row when
    they come. Everything else stays float32: embeddings, pooling, heads, and cells that are not
    gated or whose `update` cannot be traced, which a warning names.

    Args:
        module: a network, an encoder or a cell; it is left as it is.
        kind: "int8".

    Raises:
        InputError: another kind, nothing in the module that can be int8, or it is not on a CPU.

    Source: dynamic quantization as in Jacob et al. 2018, arXiv:1712.05877, symmetric.
    """
    if kind not in KINDS:
        raise InputError(f"weights cannot be quantized as {kind!r}; {suggest(kind, KINDS)}")
    if isinstance(module, Cell):
        obstacle = _find_obstacle(module)
        if obstacle is not None:
            raise InputError(f"this cell cannot be {kind}: {obstacle}")
        return QuantizedCell(module)  # type: ignore[arg-type, return-value]
    made = deepcopy(module).eval().requires_grad_(False)
    obstacles: dict[str, str] = {}
    done = 0
    for part in made.modules():
        if not isinstance(part, RecurrentLayer):
            continue
        for side, cell in list(part.named_children()):
            if not isinstance(cell, Cell) or isinstance(cell, QuantizedCell):
                continue
            name = type(cell).__name__
            obstacle = f"{name} zones out" if part.dropout.zoneout else _find_obstacle(cell)
            if obstacle is None:
                quantized = QuantizedCell(cell)  # type: ignore[arg-type]
                setattr(part, side, quantized)
                # Torch's own recurrences, for one, take float weights only.
                x = torch.empty(1, 1, cell.input_size)
                if part.engine != AUTO and not find(part.engine).supports(quantized, x):
                    part.engine = AUTO
                done += 1
            else:
                obstacles.setdefault(name, obstacle)
    told = "; ".join(obstacles.values())
    if not done:
        raise InputError(f"nothing here can be {kind}: {told or 'there is no recurrent layer'}")
    if obstacles:
        _log.warning("not all cells became %s: %s", kind, told)
    return made


def _find_obstacle(cell: Cell) -> str | None:
    """Why a cell's weights cannot be int8, in a sentence; None where they can."""
    name = type(cell).__name__
    if not isinstance(cell, GatedCell):
        return f"{name} is not a GatedCell"
    if cell.weight_x.dtype != torch.float32:
        return f"{name} is {str(cell.weight_x.dtype).removeprefix('torch.')}, not float32"
    if max(cell.input_size, cell.hidden_size) > _WIDEST:
        return f"{name} adds up more than {_WIDEST} products"
    with in_mode(cell, training=False):  # as it is run later
        return find_obstacle(cell, cell.weight_x.new_empty(1, 1, cell.input_size), None)


def weight_bytes(module: nn.Module) -> int:
    """The size of all parameters and buffers of a module, those that it shares once."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())
