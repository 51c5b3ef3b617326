"""The GRU of its first paper against its formula, and torch's GRU where the two agree."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from seqnlp.nn import ResetBeforeGRUCell, initialize, unroll
from tests.nn.cells.steps import B, D, H, array, assert_step, draw, scramble, sigmoid


def test_a_step_is_the_formula() -> None:
    cell = scramble(ResetBeforeGRUCell(D, H))
    x, (h,) = draw(cell)
    w_r, w_z, w_n = np.split(array(cell.weight_x), 3)
    u_r, u_z, u_n = np.split(array(cell.weight_h), 3)
    b_r, b_z, b_n = np.split(array(cell.bias), 3)
    a, old = array(x), array(h)
    r = sigmoid(a @ w_r.T + old @ u_r.T + b_r)
    z = sigmoid(a @ w_z.T + old @ u_z.T + b_z)
    n = np.tanh(a @ w_n.T + (r * old) @ u_n.T + b_n)
    assert_step(cell(x, (h,)), (1 - z) * n + z * old)


def test_it_is_torchs_gru_where_the_recurrent_weight_of_n_is_diagonal() -> None:
    """(r * h) U = r * (h U) for a diagonal U alone."""
    torch.manual_seed(0)
    cell, module = scramble(ResetBeforeGRUCell(D, H)), nn.GRU(D, H, batch_first=True).double()
    x = torch.randn(B, 6, D, dtype=torch.float64)
    with torch.no_grad():
        module.weight_ih_l0.copy_(cell.weight_x)
        module.weight_hh_l0.copy_(cell.weight_h)
        module.bias_ih_l0.copy_(cell.bias)
        module.bias_hh_l0.zero_()
        assert not torch.allclose(unroll(cell, x)[0], module(x)[0])
        for weight in (cell.weight_h, module.weight_hh_l0):
            weight[2 * H :] = torch.diag(torch.linspace(-1, 1, H).double())
    torch.testing.assert_close(unroll(cell, x)[0], module(x)[0], rtol=1e-12, atol=1e-13)


def test_its_weights_are_drawn_gate_by_gate() -> None:
    cell = ResetBeforeGRUCell(D, H)
    initialize(cell)
    for block in cell.weight_h.chunk(3):
        torch.testing.assert_close(block @ block.T, torch.eye(H))
    assert cell.weight_x.abs().max() <= (6 / (D + H)) ** 0.5
    assert (cell.bias == 0).all()
    assert repr(cell) == "ResetBeforeGRUCell(3, 5)"
