"""The LSTM with coupled gates against its formula, and as an LSTM whose i is 1 - f."""

from __future__ import annotations

import numpy as np
import torch

from seqnlp.nn import CIFGCell, LSTMCell, initialize
from tests.nn.cells.steps import D, H, array, assert_step, draw, products, scramble, sigmoid


def test_a_step_is_the_formula() -> None:
    cell = scramble(CIFGCell(D, H))
    x, state = draw(cell)
    f, g, o = (a + b for a, b in zip(*products(cell, x, state[0]), strict=True))
    c = sigmoid(f) * array(state[1]) + (1 - sigmoid(f)) * np.tanh(g)
    assert_step(cell(x, state), sigmoid(o) * np.tanh(c), c)


def test_it_is_the_lstm_whose_input_gate_is_what_the_forget_gate_leaves() -> None:
    cell, lstm = scramble(CIFGCell(D, H)), LSTMCell(D, H).double()
    with torch.no_grad():
        for name in ("weight_x", "weight_h", "bias"):
            f, g, o = getattr(cell, name).chunk(3)
            getattr(lstm, name).copy_(torch.cat([-f, f, g, o]))  # sigmoid(-f) is 1 - sigmoid(f)
    x, state = draw(cell)
    for leaf, wanted in zip(cell(x, state)[1], lstm(x, state)[1], strict=True):
        torch.testing.assert_close(leaf, wanted, rtol=1e-12, atol=1e-13)


def test_it_begins_by_remembering() -> None:
    cell = CIFGCell(2, 2)
    initialize(cell, forget_bias=1.5)
    assert cell.bias.tolist() == [1.5, 1.5, 0, 0, 0, 0]
