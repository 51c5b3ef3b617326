"""What tests of single steps share: weights at random, and the products that a formula starts from.

Formulas are written in numpy, so that they share nothing with the cells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.nn import Cell, GatedCell, State

Array = NDArray[np.float64]
B, D, H = 4, 3, 5


def scramble(cell: Cell) -> Cell:
    """Float64, every parameter at random, even those that begin at zero or one."""
    cell = cell.double()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator).double() * 0.6)
    return cell


def draw(cell: Cell, batch: int = B) -> tuple[Tensor, State]:
    """An input and a state at random, float64."""
    generator = torch.Generator().manual_seed(8)
    shapes = [(batch, cell.input_size), *(leaf.shape for leaf in cell.initial_state(batch))]
    x, *state = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return x, tuple(state)


def array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().numpy()


def products(cell: GatedCell, x: Tensor, h: Tensor) -> tuple[list[Array], list[Array]]:
    """W_k x + b_k and U_k h (+ b'_k) of every gate k, one by one."""
    size = cell.hidden_size
    x_gates, h_gates = [], []
    for k in range(cell.gates):
        rows = slice(k * size, (k + 1) * size)
        x_gates.append(array(x) @ array(cell.weight_x)[rows].T + array(cell.bias)[rows])
        h_gates.append(array(h) @ array(cell.weight_h)[rows].T)
        if cell.bias_h is not None:
            h_gates[k] = h_gates[k] + array(cell.bias_h)[rows]
    return x_gates, h_gates


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def assert_step(found: tuple[Tensor, State], *expected: Array) -> None:
    """The new state is the expected one and its first leaf the output."""
    output, state = found
    assert output is state[0]
    for leaf, wanted in zip(state, expected, strict=True):
        np.testing.assert_allclose(array(leaf), wanted, rtol=1e-12, atol=1e-13)
