"""The projected LSTM against torch.nn.LSTM with `proj_size`."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqnlp.errors import InputError, SettingsError
from seqnlp.nn import ProjectedLSTMCell, RecurrentEncoder, initialize, unroll
from tests.nn.cells.steps import B, D, H, scramble


@pytest.mark.parametrize("cell_size", [None, H + 1])
def test_values_and_gradients_equal_torchs(cell_size: int | None) -> None:
    torch.manual_seed(0)
    cell = scramble(ProjectedLSTMCell(D, H, cell_size=cell_size))
    size = cell.cell_size
    assert size == (2 * H if cell_size is None else cell_size)
    module = nn.LSTM(D, size, proj_size=H, batch_first=True).double()
    theirs = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, module.weight_hr_l0]
    ours = [cell.weight_x, cell.weight_h, cell.bias, cell.projection]
    with torch.no_grad():
        module.bias_hh_l0.zero_()
        for their, our in zip(theirs, ours, strict=True):
            their.copy_(our)
    x = torch.randn(B, 6, D, dtype=torch.float64, requires_grad=True)
    h = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    c = torch.randn(B, size, dtype=torch.float64, requires_grad=True)
    outputs, state = unroll(cell, x, state=(h, c))
    expected, final = module(x, (h[None], c[None]))
    pairs = [(outputs, expected), (state[0], final[0][0]), (state[1], final[1][0])]
    totals = [sum((each[k] ** 2).sum() for each in pairs) for k in (0, 1)]
    found = torch.autograd.grad(totals[0], [x, h, c, *ours])
    wanted = torch.autograd.grad(totals[1], [x, h, c, *theirs])
    for one, other in [*pairs, *zip(found, wanted, strict=True)]:
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_its_weights_are_drawn_gate_by_gate_and_the_projection_too() -> None:
    cell = ProjectedLSTMCell(D, H, cell_size=8)
    initialize(cell, forget_bias=2.0)
    for block in cell.weight_h.chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(H))
    torch.testing.assert_close(cell.projection @ cell.projection.T, torch.eye(H))
    assert cell.bias.view(4, 8).tolist() == [[0.0] * 8, [2.0] * 8, [0.0] * 8, [0.0] * 8]
    assert repr(cell) == "ProjectedLSTMCell(3, 5, cell_size=8)"


def test_the_next_layer_sees_the_projection() -> None:
    encoder = RecurrentEncoder(
        D, cell="projected_lstm", cell_options={"cell_size": 9}, hidden_size=H, layers=2
    )
    assert encoder.layers[1].forward_cell.weight_x.shape == (4 * 9, 2 * H)
    assert encoder(torch.randn(B, 3, D), torch.full((B,), 3)).summary.shape == (B, 2 * H)


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match=r"^cell_size must be at least 1, not 0$"):
        ProjectedLSTMCell(D, H, cell_size=0)
    with pytest.raises(
        SettingsError, match=r"^model\.cell_options: cell_size must be at least 1, not -2$"
    ):
        RecurrentEncoder(D, cell="projected_lstm", cell_options={"cell_size": -2})
