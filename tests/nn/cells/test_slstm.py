"""The sLSTM against the formula without a stabilizer, whose numbers may not overflow."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from seqnlp.errors import SettingsError
from seqnlp.nn import RecurrentEncoder, SLSTMCell, unroll
from tests.nn.cells.steps import Array, B, D, H, array, products, scramble, sigmoid

Forget = Literal["sigmoid", "exp"]


def run_plain(cell: SLSTMCell, x: Tensor) -> tuple[Array, Array, Array]:
    """Equations 8 to 14 of the paper: the outputs, and the last c and n."""
    h, c, n = (np.zeros((len(x), cell.hidden_size)) for _ in range(3))
    outputs = []
    for x_t in x.unbind(1):
        i, f, z, o = (a + b for a, b in zip(*products(cell, x_t, torch.tensor(h)), strict=True))
        forget = np.exp(f) if cell.forget == "exp" else sigmoid(f)
        c = forget * c + np.exp(i) * np.tanh(z)
        n = forget * n + np.exp(i)
        h = sigmoid(o) * c / n
        outputs.append(h)
    return np.stack(outputs, 1), c, n


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
def test_the_stabilizer_changes_no_output(forget: Forget) -> None:
    torch.manual_seed(0)
    cell = scramble(SLSTMCell(D, H, forget=forget))
    x = torch.randn(B, 9, D, dtype=torch.float64)
    outputs, (h, c, n, m) = unroll(cell, x)
    expected, plain_c, plain_n = run_plain(cell, x)
    np.testing.assert_allclose(array(outputs), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(array(c * m.exp()), plain_c, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(array(n * m.exp()), plain_n, rtol=1e-10, atol=1e-12)
    assert torch.equal(h, outputs[:, -1])
    assert n.min() >= 1


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
@pytest.mark.parametrize("size", [-300.0, 300.0])
@pytest.mark.parametrize("gate", [0, 1])
def test_no_gate_is_too_large_or_too_small(gate: int, size: float, forget: Forget) -> None:
    """Float32 ends at exp(89) and exp(-104)."""
    torch.manual_seed(1)
    cell = SLSTMCell(D, H, forget=forget)
    with torch.no_grad():
        cell.bias.chunk(4)[gate].fill_(size)
    x = torch.randn(B, 30, D, requires_grad=True)
    outputs, state = unroll(cell, x)
    total = outputs.sum() + sum(leaf.sum() for leaf in state[1:3])
    found = torch.autograd.grad(total, [x, *cell.parameters()])
    assert all(each.isfinite().all() for each in (outputs, *state, *found))
    assert (outputs.abs() <= 1).all()
    assert outputs.std() > 0.01


def test_a_large_input_gate_revises_what_was_stored() -> None:
    cell = SLSTMCell(1, 1).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias[1] = 50.0  # never forgets
        cell.weight_x[0] = 30.0  # i = exp(30 x)
        cell.weight_x[2] = 1.0  # z = tanh(x)
        cell.bias[3] = 50.0  # shows all
    x = torch.tensor([[[-1.0], [0.0], [1.0]]], dtype=torch.float64)
    outputs, _ = unroll(cell, x)
    wanted = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64).tanh()
    torch.testing.assert_close(outputs.flatten(), wanted, rtol=0, atol=1e-9)


def test_the_forget_gate_has_two_functions() -> None:
    assert repr(SLSTMCell(3, 5)) == "SLSTMCell(3, 5, forget='sigmoid')"
    with pytest.raises(SettingsError) as caught:
        RecurrentEncoder(D, cell="slstm", cell_options={"forget": "tanh"})
    assert str(caught.value) == (
        "model.cell_options.forget: Input should be 'sigmoid' or 'exp', not 'tanh'"
    )
