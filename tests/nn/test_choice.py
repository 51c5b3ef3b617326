"""The rules by which "auto" chooses between torch's recurrences and fused ones."""

from __future__ import annotations

import pytest
import torch

from seqnlp import registry
from seqnlp.nn import Cell, GRUCell, LSTMCell, Padding, RNNCell, engines
from seqnlp.nn.engines import build
from seqnlp.nn.engines.choice import prefers_fused

CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}


# B, T, H; whether fused in training, and where nothing learns but gradients are not switched off.
@pytest.mark.parametrize(
    ("kind", "sizes", "in_training", "frozen"),
    [
        ("gru", (4, 4, 8), False, False),
        ("gru", (4, 5, 8), True, False),
        ("gru", (4, 10, 8), True, True),
        ("rnn", (64, 400, 8), True, True),
        ("lstm", (4, 4, 8), False, False),
        ("lstm", (8, 99, 8), False, False),
        ("lstm", (8, 100, 8), True, False),
        ("lstm", (7, 100, 8), False, False),
        ("lstm", (1, 30, 255), False, False),
        ("lstm", (1, 30, 256), False, True),
        ("lstm", (4, 32, 256), False, True),
        ("lstm", (4, 33, 256), False, False),
        ("gru", (16, 1, 256), False, True),
        ("lstm", (16, 1, 256), False, True),
        ("gru", (15, 1, 256), False, False),
        ("gru", (64, 1, 64), False, False),
        ("gru", (16, 2, 256), False, False),
    ],
)
def test_full_rows(kind: str, sizes: tuple[int, int, int], in_training: bool, frozen: bool) -> None:
    batch, time, hidden = sizes
    cell, x = CELLS[kind](3, hidden), torch.zeros(batch, time, 3)
    assert prefers_fused(cell, x, None) is in_training
    with torch.no_grad():
        assert prefers_fused(cell, x, None)
        assert prefers_fused(cell.double(), x.double(), None) is frozen
    fixed = CELLS[kind](3, hidden).requires_grad_(False)
    assert prefers_fused(fixed, x, None) is frozen
    assert prefers_fused(fixed, x.requires_grad_(), None) is in_training
    if build.toolchain() is not None:
        chosen = engines.select("auto", cell.float(), x).name
        assert chosen == ("fused" if in_training else "native")


@pytest.mark.parametrize(
    ("lengths", "fused"), [([20, 16], False), ([20, 15], True), ([1, 1], True)]
)
def test_padding_is_left_to_the_engine_that_skips_it(lengths: list[int], fused: bool) -> None:
    cell, x = LSTMCell(3, 8), torch.zeros(2, 20, 3)
    padding = Padding.of(torch.tensor(lengths), x)
    assert prefers_fused(cell, x, padding) is fused
    with torch.no_grad():
        assert prefers_fused(cell, x.double(), padding) is fused


def test_two_directions_are_one_reason_in_training() -> None:
    cell, x = LSTMCell(3, 8), torch.zeros(2, 20, 3)
    assert prefers_fused(cell, x, None, both_directions=True)
    assert not prefers_fused(cell, x[:, :4], None, both_directions=True)
    with torch.no_grad():
        assert not prefers_fused(cell, x.double(), None, both_directions=True)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm", "min_gru", "layer_norm_gru", "sru"])
def test_a_step_of_many_rows_is_that_of_the_cell(kind: str, learns: bool) -> None:
    torch.manual_seed(0)
    cell = registry.cells.get(kind)(200, 128)
    x = torch.randn(24, 200)
    state = tuple(torch.randn_like(leaf) for leaf in cell.initial_state(24))
    with torch.set_grad_enabled(learns):
        found = engines.find("fused").step(cell, x, state)
        expected = cell(x, state)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if learns:
        gradients = [torch.autograd.grad(each.sum(), list(cell.parameters())) for each in
                     (found[0], expected[0])]  # fmt: skip
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
