"""Gradients through time, against theory and against autograd over the whole sequence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.diagnosis.reading import Reading
from seqnlp.diagnosis.through_time import Flow, measure_flow
from seqnlp.nn.cells import Cell
from seqnlp.nn.cells.base import State
from seqnlp.nn.cells.irnn import IRNNCell
from seqnlp.nn.cells.lstm import LSTMCell
from tests.diagnosis.making import read, scaled_rnn

CELLS = [name for name, package in registry.cells.names().items() if package == "seqnlp"]


@pytest.mark.parametrize(
    ("radius", "vanishes", "explodes"), [(0.5, 20, None), (1.0, None, None), (1.5, None, 35)]
)
def test_a_rotation_carries_its_radius_to_the_power_of_the_steps(
    radius: float, vanishes: int | None, explodes: int | None
) -> None:
    # Inputs so small that tanh is the identity.
    cell = scaled_rnn(8, radius)
    found = measure_flow([read(cell, 1e-9 * torch.randn(4, 41, 2))], span=100)
    assert found.steps == 40
    np.testing.assert_allclose(found.carry, [radius**k for k in range(41)], rtol=1e-4)
    assert found.factor == pytest.approx(radius, rel=1e-5)
    assert (found.vanishes_at, found.explodes_at) == (vanishes, explodes)
    if radius < 1:
        assert found.half_life == pytest.approx(math.log(0.5) / math.log(radius), rel=1e-4)


def test_a_saturated_rotation_loses_what_its_slope_takes() -> None:
    cell = scaled_rnn(8, 1.0)
    with torch.no_grad():
        cell.weight_x.zero_()
        cell.weight_h.copy_(torch.eye(8))
        cell.bias.fill_(1.0)
    found = measure_flow([read(cell, torch.zeros(2, 30, 2))], span=100)
    h, slopes = torch.zeros(()), []
    for _ in range(30):
        h = torch.tanh(h + 1.0)
        slopes.append(float(1 - h * h))
    wanted = np.cumprod([1.0, *slopes[::-1][:29]])
    np.testing.assert_allclose(found.carry, wanted, rtol=1e-4)


@pytest.mark.parametrize("name", CELLS)
def test_all_cells_agree_with_autograd_over_the_rest_of_the_row(name: str) -> None:
    torch.manual_seed(2)
    cell: Cell = registry.cells.get(name)(3, 5).eval()
    x, gradient = torch.randn(1, 7, 3), torch.randn(1, 7, 5)
    reading = read(cell, x, gradient)
    found = measure_flow([reading], span=100)
    direction = _first_direction(5)
    for distance in range(7):
        state = _state_before(reading, 7 - distance)
        outputs = _outputs_after(cell, x[:, 7 - distance :], state)
        if outputs:
            carried = _norm(torch.sum(outputs[-1] * direction), state)
            assert found.carry[distance] == pytest.approx(carried, rel=1e-3, abs=1e-7)
        loss = sum(
            (torch.sum(output * gradient[:, 7 - distance + n]) for n, output in enumerate(outputs)),
            torch.zeros((), requires_grad=True),
        )
        own = gradient[:, 6 - distance]
        assert found.output[distance] == pytest.approx(own.norm().item(), rel=1e-5)
        if torch.equal(state[0], reading.outputs[:, 6 - distance]):
            loss = loss + torch.sum(state[0] * own)
        expected = _norm(loss, state)
        assert found.state[distance] == pytest.approx(expected, rel=1e-3, abs=1e-7)


def _first_direction(size: int) -> Tensor:
    drawn = torch.randn(1, size, generator=torch.Generator().manual_seed(0))
    return drawn / drawn.norm()


def _state_before(reading: Reading, step: int) -> State:
    """The state before a step, or after the last one, as leaves of a graph."""
    steps = reading.x.shape[1]
    if step == steps:
        _, state = reading.cell(reading.x[:, -1], tuple(leaf[:, -1] for leaf in reading.states))
    else:
        state = tuple(leaf[:, step] for leaf in reading.states)
    return tuple(
        leaf.detach().requires_grad_(leaf.is_floating_point() or leaf.is_complex())
        for leaf in state
    )


def _outputs_after(cell: Cell, x: Tensor, state: State) -> list[Tensor]:
    outputs = []
    for x_t in x.unbind(1):
        output, state = cell(x_t, state)
        outputs.append(output)
    return outputs


def _norm(value: Tensor, state: State) -> float:
    leaves = [leaf for leaf in state if leaf.requires_grad]
    found = torch.autograd.grad(value, leaves, allow_unused=True, retain_graph=True)
    return math.sqrt(sum(float(each.abs().square().sum()) for each in found if each is not None))


def test_rows_are_counted_from_their_own_ends() -> None:
    cell = scaled_rnn(4, 0.7)
    x, gradient = torch.randn(4, 12, 2), torch.randn(4, 12, 4)
    lengths = [12, 5, 9, 0]
    alone = [
        measure_flow([read(cell, x[n : n + 1, :size], gradient[n : n + 1, :size])], span=100)
        for n, size in enumerate(lengths)
        if size
    ]
    together = measure_flow([read(cell, x, gradient, lengths=lengths)], span=100)
    # A quarter of three rows have all the steps of the longest.
    assert together.steps == 11
    for distance in range(12):
        rows = [each.state[distance] for each in alone if distance <= each.steps]
        assert together.state[distance] == pytest.approx(float(np.median(rows)), rel=1e-5)
        rows = [each.output[distance] for each in alone if distance <= each.steps]
        assert together.output[distance] == pytest.approx(float(np.median(rows)), rel=1e-5)


def test_steps_that_less_than_a_quarter_of_the_rows_have_do_not_count() -> None:
    cell = scaled_rnn(4, 0.7)
    found = measure_flow([read(cell, torch.randn(5, 12, 2), lengths=[12, 5, 5, 5, 5])], span=100)
    assert found.steps == 4
    assert measure_flow([read(cell, torch.randn(5, 12, 2))], span=3).steps == 3


def test_several_calls_of_a_layer_are_one_set_of_rows() -> None:
    cell = scaled_rnn(4, 0.7)
    x = torch.randn(4, 6, 2)
    once = measure_flow([read(cell, x)], span=100)
    twice = measure_flow([read(cell, x[:1]), read(cell, x[1:])], span=100)
    np.testing.assert_allclose(once.state, twice.state, rtol=1e-5)


def test_an_lstm_with_an_open_forget_gate_carries() -> None:
    torch.manual_seed(0)
    cell = LSTMCell(2, 8).eval()
    with torch.no_grad():
        for n, bias in enumerate((-30.0, 30.0, 0.0, 0.0)):
            cell.bias.chunk(4)[n].fill_(bias)
    found = measure_flow([read(cell, torch.randn(4, 200, 2))], span=500)
    assert found.steps == 199
    # What comes by the memory comes whole; what comes by the closed input gate does not.
    np.testing.assert_allclose(found.carry[1:], found.carry[1], rtol=1e-4)
    assert found.factor == pytest.approx(1.0, abs=1e-5)
    assert found.vanishes_at is None


def test_an_irnn_carries_what_is_positive() -> None:
    torch.manual_seed(0)
    cell = IRNNCell(2, 8).eval()
    with torch.no_grad():
        cell.weight_x.abs_()
    found = measure_flow([read(cell, torch.rand(4, 200, 2))], span=500)
    np.testing.assert_allclose(found.carry, 1.0, rtol=1e-5)
    assert found.half_life is None or found.half_life > 1e4


def test_norms_beyond_what_a_float_holds_are_bounded() -> None:
    shrinks = measure_flow(
        [read(scaled_rnn(4, 1e-10, activation="identity"), torch.randn(1, 60, 2))], span=100
    )
    assert shrinks.carry[30] == pytest.approx(1e-300)
    grows = measure_flow(
        [read(scaled_rnn(4, 1e10, activation="identity"), torch.zeros(1, 60, 2))], span=100
    )
    assert grows.carry[30:] == (1e300,) * 30
    with torch.no_grad():
        dead = scaled_rnn(4, 1.0)
        dead.weight_h.zero_()
    nothing = measure_flow([read(dead, torch.randn(1, 5, 2))], span=100)
    assert nothing.carry == (1.0, 0.0, 0.0, 0.0, 0.0)
    assert (nothing.vanishes_at, nothing.half_life) == (1, 0.0)


def test_a_truncated_gradient_ends_at_the_border() -> None:
    cell = scaled_rnn(4, 0.9)
    gradient = torch.zeros(2, 10, 4)
    gradient[:, -1] = 1.0
    reading = read(cell, torch.randn(2, 10, 2), gradient)
    whole = measure_flow([reading], span=100)
    values = {**vars(reading), "truncation": 4}
    cut = measure_flow([Reading(**values)], span=100)
    # Ten steps are stretches of 4, 4 and 2: the state before step 8 has no gradient.
    assert [each > 0 for each in cut.state] == [True, True, *[False] * 8]
    assert cut.state[:2] == whole.state[:2]
    assert cut.carry == whole.carry


def test_one_step_says_nothing() -> None:
    found = measure_flow([read(scaled_rnn(4, 0.7), torch.randn(3, 1, 2))], span=100)
    assert (found.carry, found.steps) == ((1.0,), 0)
    assert math.isnan(found.factor)
    assert found.half_life is None


def test_the_factor_is_that_of_the_second_half() -> None:
    """A memory of two time scales: what matters for long rows is the slower one."""
    carry = tuple(0.5 * 0.2**k + 0.5 * 0.99**k for k in range(101))
    flow = Flow(state=carry, output=carry, carry=carry)
    assert flow.factor == pytest.approx(0.99, rel=1e-4)
    assert flow.half_life == pytest.approx(69, rel=0.01)
