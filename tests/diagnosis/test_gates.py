"""What happens inside of a step: activations by name, dead units, recurrent weights."""

from __future__ import annotations

import math
import re

import pytest
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.diagnosis.gates import dead_units, measure_blocks, measure_gates
from seqnlp.errors import InputError
from seqnlp.nn.cells import Cell, GatedCell, State
from seqnlp.nn.cells.base import Gates
from seqnlp.nn.cells.irnn import IRNNCell
from seqnlp.nn.cells.lstm import LSTMCell
from seqnlp.nn.cells.projected import ProjectedLSTMCell
from seqnlp.nn.cells.rnn import RNNCell
from tests.diagnosis.making import read, scaled_rnn


def made(name: str) -> Cell:
    torch.manual_seed(0)
    cell: Cell = registry.cells.get(name)(3, 4)
    return cell.eval()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("rnn", ["hidden tanh"]),
        ("irnn", ["hidden relu"]),
        ("lstm", ["forget sigmoid", "input sigmoid", "candidate tanh", "output sigmoid", "memory tanh"]),
        ("peephole", ["candidate tanh", "forget sigmoid", "input sigmoid", "output sigmoid", "memory tanh"]),
        ("cifg", ["forget sigmoid", "candidate tanh", "output sigmoid", "memory tanh"]),
        ("gru", ["reset sigmoid", "update sigmoid", "candidate tanh"]),
        ("mgu", ["forget sigmoid", "candidate tanh"]),
        ("layer_norm_gru", ["reset sigmoid", "update sigmoid", "candidate tanh"]),
        ("slstm", ["candidate tanh", "output sigmoid"]),
        ("min_gru", ["update sigmoid"]),
        ("qrnn", ["candidate tanh", "forget sigmoid", "sigmoid 2 sigmoid"]),
        ("sru", ["forget sigmoid", "sigmoid 2 sigmoid", "memory tanh"]),
        ("gru_reset_before", ["sigmoid 1 sigmoid", "sigmoid 2 sigmoid", "tanh tanh"]),
        ("lru", []),
    ],
)  # fmt: skip
def test_activations_have_the_names_of_their_gates(name: str, wanted: list[str]) -> None:
    found = measure_gates([read(made(name), torch.randn(2, 5, 3))])
    assert [f"{use.name} {use.kind}" for use in found] == wanted


def test_saturation_is_counted_over_all_real_steps_and_units() -> None:
    torch.manual_seed(0)
    cell = LSTMCell(3, 4).eval()
    with torch.no_grad():
        cell.weight_x *= 8
    x, lengths = torch.randn(3, 6, 3), [6, 2, 4]
    reading = read(cell, x, lengths=lengths)
    kept: dict[str, list[Tensor]] = {"forget": [], "candidate": []}
    for row, length in enumerate(lengths):
        state = cell.initial_state(1)
        for t in range(length):
            sums = x[row : row + 1, t] @ cell.weight_x.T + cell.bias + state[0] @ cell.weight_h.T
            kept["forget"].append(torch.sigmoid(sums.chunk(4, dim=1)[1]))
            kept["candidate"].append(torch.tanh(sums.chunk(4, dim=1)[2]))
            _, state = cell(x[row : row + 1, t], state)
    uses = {use.name: use for use in measure_gates([reading])}
    forget, candidate = (torch.cat(kept[name]) for name in ("forget", "candidate"))
    assert uses["forget"].low == pytest.approx((forget < 0.05).float().mean().item())
    assert uses["forget"].high == pytest.approx((forget > 0.95).float().mean().item())
    assert uses["forget"].mean == pytest.approx(forget.mean().item(), rel=1e-5)
    assert uses["candidate"].saturated == pytest.approx(
        (candidate.abs() > 0.95).float().mean().item()
    )
    assert uses["candidate"].saturated > 0.1


def test_zeros_of_a_relu_are_its_low_values() -> None:
    cell = IRNNCell(1, 4).eval()
    with torch.no_grad():
        cell.weight_x.copy_(torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]))
    reading = read(cell, torch.ones(2, 5, 1))
    (use,) = measure_gates([reading])
    assert (use.low, use.high) == (0.5, 0.0)
    assert dead_units([reading]) == 2


def test_units_are_dead_that_do_not_vary() -> None:
    cell = scaled_rnn(6, 0.5)
    with torch.no_grad():
        cell.weight_h.zero_()
        cell.weight_x[:2].zero_()
        cell.bias[1] = 0.7
        cell.weight_x[2] *= 1e-6
    assert dead_units([read(cell, torch.randn(4, 9, 2))]) == 3


class Author(GatedCell):
    """A cell of someone who has named nothing."""

    gates = 2
    forget_gate = 1

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        new, keep = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        keep = keep.sigmoid_()
        return (keep * state[0] + torch.nn.functional.relu(new),)


def test_gates_without_names_are_numbered_but_for_the_one_that_forgets() -> None:
    torch.manual_seed(0)
    cell = Author(3, 4).eval()
    reading = read(cell, torch.randn(2, 5, 3))
    assert [(use.name, use.kind) for use in measure_gates([reading])] == [
        ("forget", "sigmoid"), ("gate 1", "relu"),
    ]  # fmt: skip
    assert [each.name for each in measure_blocks(cell)] == ["gate 1", "forget"]


LSTM = ["forget", "input", "candidate", "output", "memory"]


@pytest.mark.parametrize("bias", [0.0, 100.0, -100.0])
def test_frozen_and_saturated_activations_have_their_names_too(bias: float) -> None:
    """Those that let no gradient through are the ones that are asked for."""
    cell = made("lstm").requires_grad_(False)
    cell.bias += bias
    uses = measure_gates([read(cell, 100 * torch.randn(2, 5, 3))])
    assert [use.name for use in uses] == LSTM


def test_activations_of_a_cell_without_gates_are_numbered() -> None:
    names = [
        use.name for use in measure_gates([read(made("projected_lstm"), torch.randn(2, 5, 3))])
    ]
    assert names == ["sigmoid 1", "sigmoid 2", "tanh 1", "sigmoid 3", "tanh 2"]


def test_names_are_as_many_as_gates() -> None:
    class Wrong(Author):
        gate_names = ("one",)

    with pytest.raises(InputError, match=re.escape("Wrong.gate_names must name 2 gates, not 1")):
        Wrong(3, 4)


def test_the_spectral_radius_is_of_each_gates_block() -> None:
    cell = LSTMCell(3, 4)
    with torch.no_grad():
        for n, block in enumerate(cell.weight_h.chunk(4)):
            torch.nn.init.orthogonal_(block)
            block *= 0.5 * (n + 1)
    found = measure_blocks(cell)
    assert [each.name for each in found] == ["input", "forget", "candidate", "output"]
    assert [each.radius for each in found] == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=1e-5)
    assert [each.norm for each in found] == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=1e-5)


def test_the_radius_is_no_norm() -> None:
    cell = RNNCell(3, 2)
    with torch.no_grad():
        cell.weight_h.copy_(torch.tensor([[0.5, 7.0], [0.0, -0.25]]))
    (found,) = measure_blocks(cell)
    assert found.radius == pytest.approx(0.5)
    assert found.norm == pytest.approx(torch.linalg.svdvals(cell.weight_h)[0].item())


def test_blocks_that_are_not_square_have_a_norm_alone() -> None:
    found = measure_blocks(ProjectedLSTMCell(3, 4, cell_size=6))
    assert [each.name for each in found] == [f"block {n}" for n in range(1, 6)]
    assert all(each.radius is None and each.norm > 0 for each in found)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_have_no_radius(value: float) -> None:
    cell = RNNCell(3, 4)
    with torch.no_grad():
        cell.weight_h[1, 2] = value
    (found,) = measure_blocks(cell)
    assert found.radius is None
    assert math.isnan(found.norm)
