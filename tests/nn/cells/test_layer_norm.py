"""Cells with layer norms against the formulas, the norm being torch.nn.LayerNorm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seqnlp.nn import GatedCell, LayerNormGRUCell, LayerNormLSTMCell, initialize
from tests.nn.cells.steps import B, D, H, array, assert_step, draw, products, scramble, sigmoid


def norm(cell: GatedCell, x: object, gain: str, shift: str | None = None) -> Tensor:
    module = nn.LayerNorm(H, bias=shift is not None).double()
    with torch.no_grad():
        module.weight.copy_(getattr(cell, gain))
        if shift is not None:
            module.bias.copy_(getattr(cell, shift))
    normal: Tensor = module(torch.as_tensor(x))
    return normal.detach().numpy()


def sums(cell: LayerNormLSTMCell | LayerNormGRUCell, x: Tensor, h: Tensor) -> list[list[Tensor]]:
    """What stands for x_k and for h_k in the formula."""
    x_gates, h_gates = products(cell, x, h)
    found_x, found_h = [], []
    for name, x_k, h_k in zip(cell.names, x_gates, h_gates, strict=True):
        normal = (
            norm(cell, x_k, f"input_gain_{name}", f"input_shift_{name}") if cell.norm_input else x_k
        )
        found_x.append(normal)
        found_h.append(norm(cell, h_k, f"gain_{name}"))
    return [found_x, found_h]


@pytest.mark.parametrize("norm_input", [False, True])
def test_a_step_of_the_lstm_is_the_formula(norm_input: bool) -> None:
    cell = scramble(LayerNormLSTMCell(D, H, norm_input=norm_input))
    x, (h, c) = draw(cell)
    i, f, g, o = (a + b for a, b in zip(*sums(cell, x, h), strict=True))
    new = sigmoid(f) * array(c) + sigmoid(i) * array(torch.tanh(torch.tensor(g)))
    shown = torch.tanh(torch.tensor(norm(cell, new, "gain_c", "shift_c")))
    assert_step(cell(x, (h, c)), sigmoid(o) * array(shown), new)


@pytest.mark.parametrize("norm_input", [False, True])
def test_a_step_of_the_gru_is_the_formula(norm_input: bool) -> None:
    cell = scramble(LayerNormGRUCell(D, H, norm_input=norm_input))
    x, (h,) = draw(cell)
    (x_r, x_z, x_n), (h_r, h_z, h_n) = sums(cell, x, h)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = array(torch.tanh(torch.tensor(x_n + r * (h_n + array(cell.shift_n)))))
    assert_step(cell(x, (h,)), (1 - z) * n + z * array(h))


@pytest.mark.parametrize("make", [LayerNormLSTMCell, LayerNormGRUCell])
def test_the_scale_of_the_recurrent_weight_does_not_matter(
    make: type[LayerNormLSTMCell] | type[LayerNormGRUCell],
) -> None:
    torch.manual_seed(0)
    cell = make(D, H, norm_input=True).double()
    x, state = draw(cell)
    before = cell(x, state)[0]
    with torch.no_grad():
        cell.weight_h.mul_(1e4)
        cell.weight_x.mul_(1e4)
        cell.bias.mul_(1e4)
    torch.testing.assert_close(cell(x, state)[0], before, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("norm_input", [False, True])
def test_the_forget_gate_begins_open_behind_a_norm_too(norm_input: bool) -> None:
    """A norm takes away what all units have in common: a bias before it would do nothing."""
    torch.manual_seed(1)
    x, h, c = torch.randn(64, D), torch.randn(64, H), torch.ones(64, H)
    opened = []
    for bias in (0.0, 4.0):
        cell = LayerNormLSTMCell(D, H, norm_input=norm_input)
        initialize(cell, forget_bias=bias)
        with torch.no_grad():  # i shut: c' is f
            for i in [cell.input_shift_i] if norm_input else [cell.bias.chunk(4)[0]]:
                i.fill_(-50.0)
        f = cell(x, (h, c))[1][1]
        opened.append(f.mean().item())
    assert opened[0] == pytest.approx(0.5, abs=0.1)
    assert opened[1] > 0.9


def test_one_unit_has_nothing_to_be_compared_with() -> None:
    cell = LayerNormGRUCell(D, 1)
    output, _ = cell(torch.randn(B, D), cell.initial_state(B))
    assert output.isfinite().all()
    assert repr(cell) == "LayerNormGRUCell(3, 1, norm_input=False)"
