"""The peephole LSTM against its formula, and against torch's LSTM where no gate looks."""

from __future__ import annotations

import numpy as np
import torch

from seqnlp.nn import LSTMCell, PeepholeLSTMCell, initialize, unroll
from tests.nn.cells.steps import B, D, H, array, assert_step, draw, products, scramble, sigmoid


def test_a_step_is_the_formula() -> None:
    cell = scramble(PeepholeLSTMCell(D, H))
    x, state = draw(cell)
    (x_i, x_f, x_g, x_o), (h_i, h_f, h_g, h_o) = products(cell, x, state[0])
    c = array(state[1])
    i = sigmoid(x_i + h_i + array(cell.peephole_i) * c)
    f = sigmoid(x_f + h_f + array(cell.peephole_f) * c)
    new = f * c + i * np.tanh(x_g + h_g)
    o = sigmoid(x_o + h_o + array(cell.peephole_o) * new)  # it sees the new memory
    assert_step(cell(x, state), o * np.tanh(new), new)


def test_it_begins_as_torchs_lstm() -> None:
    torch.manual_seed(0)
    cell = PeepholeLSTMCell(D, H)
    initialize(cell)
    plain = LSTMCell(D, H)
    plain.load_state_dict({k: v for k, v in cell.state_dict().items() if "peephole" not in k})
    x = torch.randn(B, 6, D)
    torch.testing.assert_close(unroll(cell, x)[0], unroll(plain, x, engine="native")[0])
    unroll(cell, x)[0].sum().backward()
    for name in ("peephole_i", "peephole_f", "peephole_o"):
        assert getattr(cell, name).grad.abs().min() > 0, name
