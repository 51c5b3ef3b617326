"""Initial weights by name, gate block by gate block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import build
from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn.cells.base import Cell, Role

AUTO = "auto"

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
        "small": lambda weight, _: nn.init.normal_(weight, std=0.001),
    }
)
"""Name to a function of one gate's weight [H, I] or [H, H] and H.

orthogonal: Saxe et al. 2014, arXiv:1312.6120. xavier: uniform, Glorot and Bengio 2010. kaiming:
uniform, for relu, He et al. 2015, arXiv:1502.01852. identity: Le et al. 2015, arXiv:1504.00941.
uniform: within 1/sqrt(H), torch's own. normal: of variance 1/fan-in. small: of deviation 0.001,
for the input of an identity-initialized network, Le et al. 2015.
"""


def initialize(
    cell: Cell, *, input: str = AUTO, recurrent: str = AUTO, forget_bias: float = 1.0
) -> None:
    """Draw the weights of a cell anew and zero its biases, but for the forget gate's.

    What is drawn are the cell's `weight_blocks`; its other parameters keep their values.

    Args:
        cell: changed in place.
        input: the initializer of each gate's input weight; "auto" for the one that the cell names.
        recurrent: the initializer of each gate's recurrent weight, or "auto".
        forget_bias: bias of the forget gate, in cells that declare one; 1 lets the gradient
            through at the start (Jozefowicz et al. 2015).

    Raises:
        UnknownNameError: no initializer has that name.
    """
    fill_input = _find(input, own=cell.input_init)
    fill_recurrent = _find(recurrent, own=cell.recurrent_init)
    with torch.no_grad():
        for role, block in cell.weight_blocks():
            match role:
                case Role.INPUT:
                    fill_input(block, cell.hidden_size)
                case Role.RECURRENT:
                    fill_recurrent(block, cell.hidden_size)
                case Role.BIAS:
                    block.zero_()
                case Role.FORGET_BIAS:
                    block.fill_(forget_bias)


def make_cell(
    name: str,
    options: Mapping[str, object],
    input_size: int,
    hidden_size: int,
    *,
    input_init: str = AUTO,
    recurrent_init: str = AUTO,
    forget_bias: float = 1.0,
) -> Cell:
    """A registered cell, initialized.

    Args:
        name: registered.
        options: what the cell's constructor takes beside its sizes.
        input_size: I.
        hidden_size: H.
        input_init: see `initialize`, and so are the others.
        recurrent_init: the initializer of each gate's recurrent weight.
        forget_bias: bias of the forget gate.

    Raises:
        UnknownNameError: no cell or initializer has that name.
        SettingsError: an option that the cell does not have.
        InputError: what is registered is no `Cell`, or does not take these sizes.
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    factory = registry.cells.get(name)
    cell: object = build(factory, options, where="model.cell_options", **sizes)
    if not isinstance(cell, Cell):
        raise InputError(
            f"the cell {name!r} is a {type(cell).__name__}, which is no Cell; derive it from "
            "seqnlp.GatedCell, seqnlp.LinearCell or seqnlp.Cell"
        )
    if "_parameters" not in vars(cell):
        raise InputError(
            f"{type(cell).__name__}.__init__ has made no module of it; call "
            "super().__init__(input_size, hidden_size) first"
        )
    initialize(cell, input=input_init, recurrent=recurrent_init, forget_bias=forget_bias)
    return cell


def _find(name: str, *, own: str) -> Initializer:
    name = own if name == AUTO else name
    if name not in INITIALIZERS:
        raise UnknownNameError("initializer", name, [AUTO, *INITIALIZERS])
    return INITIALIZERS[name]


def glorot(*modules: nn.Module | None) -> None:
    """Draw the linear maps in modules as Glorot and Bengio 2010 do, with biases of zero."""
    for module in modules:
        for part in () if module is None else module.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
