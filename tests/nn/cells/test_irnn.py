"""The identity-initialized network: torch's RNN with relu, and what it starts from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqnlp.nn import Gates, IRNNCell, NativeForm, RecurrentEncoder, State, initialize
from tests.nn.cells.steps import D, H, array, assert_step, draw, products, scramble


def test_a_step_is_the_formula() -> None:
    cell = scramble(IRNNCell(D, H))
    x, (h,) = draw(cell)
    ((x_h,), (h_h,)) = products(cell, x, h)
    assert_step(cell(x, (h,)), np.maximum(x_h + h_h, 0))
    assert array(cell(x, (h,))[0]).min() == 0


@pytest.mark.parametrize("initialized", [False, True])
def test_it_begins_by_copying_its_state(initialized: bool) -> None:
    torch.manual_seed(0)
    cell = IRNNCell(40, 50)
    if initialized:
        initialize(cell)
    assert torch.equal(cell.weight_h, torch.eye(50))
    assert cell.weight_x.std().item() == pytest.approx(0.001, rel=0.05)
    assert (cell.bias == 0).all()
    h = torch.rand(4, 50)
    assert torch.equal(cell(torch.zeros(4, 40), (h,))[0], h)


def test_an_encoder_keeps_that_unless_told_otherwise() -> None:
    encoder = RecurrentEncoder(D, cell="irnn", hidden_size=H, layers=2)
    for layer in encoder.layers:
        for cell in (layer.forward_cell, layer.backward_cell):
            assert torch.equal(cell.weight_h, torch.eye(H))
            assert cell.weight_x.abs().max() < 0.006
    told = RecurrentEncoder(
        D, cell="irnn", hidden_size=H, input_init="identity", recurrent_init="orthogonal"
    )
    cell = told.layers[0].forward_cell
    assert torch.equal(cell.weight_x, torch.eye(H, D))
    assert not torch.equal(cell.weight_h, torch.eye(H))
    torch.testing.assert_close(cell.weight_h @ cell.weight_h.T, torch.eye(H))


def test_torch_computes_it_unless_a_subclass_changes_it() -> None:
    class Leaky(IRNNCell):
        def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
            return (torch.nn.functional.leaky_relu(x_gates[0] + h_gates[0]),)

    assert IRNNCell(D, H).native() is NativeForm.RNN_RELU
    assert Leaky(D, H).native() is None
