"""The minimal gated unit against its formula, and as a GRU with one gate for two."""

from __future__ import annotations

import numpy as np
import torch

from seqnlp.nn import GRUCell, MGUCell
from tests.nn.cells.steps import D, H, array, assert_step, draw, products, scramble, sigmoid


def test_a_step_is_the_formula() -> None:
    cell = scramble(MGUCell(D, H))
    x, (h,) = draw(cell)
    (x_f, x_n), (h_f, h_n) = products(cell, x, h)
    f = sigmoid(x_f + h_f)
    n = np.tanh(x_n + f * h_n)
    assert_step(cell(x, (h,)), (1 - f) * array(h) + f * n)


def test_it_is_the_gru_whose_update_gate_is_what_the_reset_gate_leaves() -> None:
    cell, gru = scramble(MGUCell(D, H)), GRUCell(D, H).double()
    with torch.no_grad():
        for name in ("weight_x", "weight_h", "bias", "bias_h"):
            f, n = getattr(cell, name).chunk(2)
            getattr(gru, name).copy_(torch.cat([f, -f, n]))
    x, state = draw(cell)
    torch.testing.assert_close(cell(x, state)[0], gru(x, state)[0], rtol=1e-12, atol=1e-13)
