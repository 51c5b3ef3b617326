"""Initial weights by name, gate block by gate block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from seqnlp.errors import UnknownNameError
from seqnlp.nn.cells.base import Cell, GatedCell

Initializer = Callable[[Tensor, int], object]


def _uniform(weight: Tensor, hidden_size: int) -> None:
    bound = hidden_size**-0.5
    nn.init.uniform_(weight, -bound, bound)


INITIALIZERS: Mapping[str, Initializer] = MappingProxyType(
    {
        "orthogonal": lambda weight, _: nn.init.orthogonal_(weight),
        "xavier": lambda weight, _: nn.init.xavier_uniform_(weight),
        "kaiming": lambda weight, _: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
        "identity": lambda weight, _: nn.init.eye_(weight),
        "uniform": _uniform,
        "normal": lambda weight, _: nn.init.normal_(weight, std=weight.shape[1] ** -0.5),
    }
)
"""Name to a function of one gate's weight [H, I] or [H, H] and H.

orthogonal: Saxe et al. 2014, arXiv:1312.6120. xavier: uniform, Glorot and Bengio 2010. kaiming:
uniform, for relu, He et al. 2015, arXiv:1502.01852. identity: Le et al. 2015, arXiv:1504.00941.
uniform: within 1/sqrt(H), torch's own. normal: of variance 1/fan-in.
"""


def initialize(cell: Cell, *, input: str, recurrent: str, forget_bias: float) -> None:
    """Draw the weights of a gated cell anew and zero its biases, but for the forget gate's.

    Parameters that the cell's author registered keep their values, and so does a cell that is no
    `GatedCell`: only its author knows what its weights mean.

    Args:
        cell: changed in place.
        input: the initializer of each gate's input weight.
        recurrent: the initializer of each gate's recurrent weight.
        forget_bias: bias of the forget gate, in cells that declare one; 1 lets the gradient
            through at the start (Jozefowicz et al. 2015).

    Raises:
        UnknownNameError: no initializer has that name.
    """
    fill_input, fill_recurrent = find_initializer(input), find_initializer(recurrent)
    if not isinstance(cell, GatedCell):
        return
    with torch.no_grad():
        for block in cell.weight_x.chunk(cell.gates):
            fill_input(block, cell.hidden_size)
        for block in cell.weight_h.chunk(cell.gates):
            fill_recurrent(block, cell.hidden_size)
        cell.bias.zero_()
        if cell.bias_h is not None:
            cell.bias_h.zero_()
        if cell.forget_gate is not None:
            cell.bias.chunk(cell.gates)[cell.forget_gate].fill_(forget_bias)


def find_initializer(name: str) -> Initializer:
    """The initializer of that name.

    Raises:
        UnknownNameError: there is none; the message suggests the nearest.
    """
    if name not in INITIALIZERS:
        raise UnknownNameError("initializer", name, INITIALIZERS)
    return INITIALIZERS[name]
