"""Tracing: what an update may do, against autograd, and what is kept of a trace."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn, tanh

from seqnlp.nn import GatedCell, unroll
from seqnlp.nn.engines import plans
from seqnlp.nn.engines.operations import UntraceableError
from seqnlp.nn.engines.trace import trace
from tests.nn.gated import assert_equal, make_cell, make_inputs, results
from tests.nn.zoo import PARAMETRIC, ZOO

RAGGED = [5, 2, 0, 3]


def assert_as_reference(cell: GatedCell, tolerance: float = 1e-12) -> None:
    x, state = make_inputs(cell, 4, 5, cell.weight_h.dtype)
    for lengths in (None, RAGGED):
        expected = results(cell, x, lengths, state, engine="reference")
        assert_equal(results(cell, x, lengths, state), expected, tolerance)


@pytest.fixture
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqnlp.nn.engines.plan.build.load", lambda source: None)


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.parametrize("hidden", [1, 5])
@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_every_operation_is_traced(name: str, hidden: int) -> None:
    if hidden == 1 and name in ("var", "std", "var_mean"):
        pytest.skip("the variance of one number is none")
    cell = make_cell(lambda x, h, s: (ZOO[name](x, h, s[0]),), gates=2, sizes=(3, hidden))
    assert_as_reference(cell)


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.parametrize("name", PARAMETRIC)
def test_parameters_may_be_computed_with(name: str) -> None:
    function, shape = PARAMETRIC[name]
    cell = make_cell(
        lambda x, h, s, p: (0.5 * tanh(function(x[0] + h[0], x[0], p)),), p=torch.rand(shape) + 0.5
    )
    assert_as_reference(cell)


@pytest.mark.usefixtures("_uncompiled")
@pytest.mark.parametrize("recurrent_bias", [False, True])
def test_leaves_may_be_exchanged_and_repeated(recurrent_bias: bool) -> None:
    def update(x: Any, h: Any, s: Any) -> Any:
        new = tanh(x[0] + h[0]) * h[2] + s[1]
        return new, s[2], s[1], new

    cell = make_cell(update, gates=3, states=4, recurrent_bias=recurrent_bias)
    assert_as_reference(cell)


class Changing(GatedCell):
    """Its update reads plain attributes and a module."""

    gates = 1

    def __init__(self, activation: nn.Module) -> None:
        super().__init__(3, 5)
        self.activation = activation
        self.slopes = {"a": [1.0, 0.5]}
        self.unread = torch.zeros(2)

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (self.slopes["a"][0] * self.activation(x_gates[0] + h_gates[0]),)


class Tempered(GatedCell):
    """Its update reads its class."""

    gates = 1
    slope = 2.0

    def __init__(self) -> None:
        super().__init__(3, 5)
        self.double()

    def squash(self, z: Tensor) -> Tensor:
        return tanh(z)

    def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
        return (self.slope * self.squash(x_gates[0] + h_gates[0]),)


@pytest.mark.usefixtures("_uncompiled")
def test_what_update_reads_from_the_cell_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Changing(nn.Tanh()).double()
    assert_as_reference(cell)
    cell.slopes["a"][0] = 0.25
    assert_as_reference(cell)
    # Another cell of the class, and another option of a module of one type.
    for activation in (nn.ReLU(), nn.LeakyReLU(0.1), nn.LeakyReLU(0.5)):
        assert_as_reference(Changing(activation).double())
    cell.activation = nn.Sigmoid()
    assert_as_reference(cell)
    # What the class says, and what another function of it does.
    assert_as_reference(Tempered())
    for name, value in (("slope", 0.25), ("squash", lambda self, z: torch.sin(z))):
        monkeypatch.setattr(Tempered, name, value)
        assert_as_reference(Tempered())
    cell.update = lambda x, h, s: (torch.sin(x[0] + h[0]),)  # type: ignore[method-assign, assignment]
    assert_as_reference(cell)


@pytest.mark.usefixtures("_uncompiled")
def test_the_type_of_numbers_may_be_asked_for() -> None:
    def update(x: Any, h: Any, s: Any) -> Any:
        return (x[0] / (x[0].abs() + 1e6 * torch.finfo(x[0].dtype).eps) + h[0],)

    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        assert_as_reference(make_cell(update, dtype=dtype), tolerance)
    cell = make_cell(update, dtype=torch.float32)
    assert_as_reference(cell, 1e-5)
    assert_as_reference(cell.double())


@pytest.mark.usefixtures("_uncompiled")
def test_what_changes_no_trace_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    traced = []

    def watch(*args: Any, **options: Any) -> Any:
        traced.append(args)
        return trace(*args, **options)

    monkeypatch.setattr(plans, "trace", watch)
    for time in (1, 4):
        cell = Changing(nn.Tanh()).double()
        cell.unread = torch.rand(2)
        unroll(cell, torch.randn(time, time, 3).double(), engine="fused")
    assert len(traced) <= 1


def test_tracing_leaves_random_numbers_and_gradients_alone() -> None:
    cell = make_cell(lambda x, h, s: (tanh(x[0] + h[0]),))
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.no_grad():
        trace(cell)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(1), expected)
    assert all(parameter.grad is None for parameter in cell.parameters())


def test_a_refusal_holds_no_tensors() -> None:
    cell = make_cell(lambda x, h, s: (x[0] + h[0].cumsum(1),))
    batches = []
    for _ in range(3):
        x = torch.randn(2, 12, 3).double()
        batches.append(weakref.ref(x))
        unroll(cell, x)
        del x
    gc.collect()
    assert [batch() for batch in batches] == [None] * 3


@pytest.mark.usefixtures("_uncompiled")
def test_a_state_may_be_one_number_for_a_row() -> None:
    assert_as_reference(
        make_cell(lambda x, h, s, p: (p.tanh().expand_as(x[0]),), p=torch.rand(()) + 0.5)
    )


def test_a_gate_that_is_an_output_too_is_not_merged() -> None:
    cell = make_cell(lambda x, h, s: (tanh(x[0] + h[0]), x[0].detach()), states=2)
    assert trace(cell).merged == (False,)


def test_whole_numbers_are_not_taken_for_truths() -> None:
    def update(x: Any, h: Any, s: Any) -> Any:
        z = x[0] + h[0]
        return (z * (torch.where(z > 0, 3, 0) | torch.where(z > 1, 4, 0)),)

    with pytest.raises(UntraceableError, match="^bitwise_or of whole numbers is not known"):
        trace(make_cell(update))
