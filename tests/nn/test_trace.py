"""Tracing: what an update may do, against autograd; what it may not, and what is said of it."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn, tanh

from seqnlp.errors import InputError
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


PRODUCT = "a product belongs to the engine: declare one more gate, or write a Cell"
VARIES = "it depends on the number of rows, or is another from one call to the next: write a Cell"
COUNTER = itertools.count()
RANDOM = "random numbers come from outside, as masks"
APART = "work on each gate by itself"
ROWS = "mixes the rows of a batch: use torch.where in place of if, or write a Cell"
POINTWISE = "use pointwise operations and sums over the last dimension"
NONE_OF = "that is none of update's arguments: register it as a parameter and take it by its name"

OTHER = torch.rand(5)
REFUSED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "mm": (lambda a: a @ a.new_ones(5, 5), f"mm is not known to the engine: {PRODUCT}"),
    "linear": (lambda a: F.linear(a, torch.ones(5, 5).to(a)), f"t is not known to the engine: {PRODUCT}"),
    "bmm": (
        lambda a: torch.bmm(a.unsqueeze(1), torch.ones(len(a), 5, 1).to(a)),
        f"bmm is not known to the engine: {PRODUCT}",
    ),
    "add_": (lambda a: tanh(a).add_(1), "add_ changes a tensor in place: use add"),
    "relu_": (lambda a: F.relu(a, inplace=True), "relu_ changes a tensor in place: use relu"),
    "item": (
        lambda a: a.new_ones(()).item() * a,
        "_local_scalar_dense is not known to the engine: "
        "use torch.where in place of if, and no item()",
    ),
    "if": (
        lambda a: a if a.new_ones(()) > 0 else -a,
        "_local_scalar_dense is not known to the engine: "
        "use torch.where in place of if, and no item()",
    ),
    "rand_like": (lambda a: a * torch.rand_like(a), f"rand_like is not known to the engine: {RANDOM}"),
    "randn": (lambda a: a * torch.randn(5), f"randn is not known to the engine: {RANDOM}"),
    "bernoulli": (
        lambda a: a * a.sigmoid().bernoulli(),
        f"bernoulli is not known to the engine: {RANDOM}",
    ),
    "dropout": (lambda a: F.dropout(a, 0.5), RANDOM),
    "cat": (lambda a: torch.cat([a, a], 1), f"cat is not known to the engine: {APART}"),
    "stack": (lambda a: torch.stack([a, a]).sum(0), APART),
    "slice": (lambda a: a[:, :2], f"slice is not known to the engine: {APART}"),
    "select": (lambda a: a * a[:, 0].unsqueeze(1), f"select is not known to the engine: {APART}"),
    "chunk": (lambda a: a.chunk(5, 1)[0] * a, f"split is not known to the engine: {APART}"),
    "flip": (lambda a: a.flip(1), f"flip is not known to the engine: {APART}"),
    "cumsum": (lambda a: a.cumsum(1), f"cumsum is not known to the engine: {APART}"),
    "view": (lambda a: a.view(-1, 5, 1).squeeze(2), f"view takes a row's features apart: {APART}"),
    "atan": (lambda a: torch.atan(a), f"atan is not known to the engine: {POINTWISE}"),
    "mean of rows": (lambda a: a - a.mean(0), f"mean {ROWS}"),
    "sum of all": (lambda a: a * a.sum(), f"sum {ROWS}"),
    "softmax of rows": (lambda a: F.softmax(a, 0), f"amax {ROWS}"),
    "mean of means": (lambda a: a * a.mean(1).mean(), f"mean {ROWS}"),
    "every pair of rows": (lambda a: (a.unsqueeze(1) * a.unsqueeze(0)).sum(1), f"sum {ROWS}"),
    "a fractional power": (
        lambda a: a.abs() ** 0.3,
        "pow takes multiples of 0.5 up to 8 as exponents: use exp and log",
    ),
    "a large power": (
        lambda a: a**9,
        "pow takes multiples of 0.5 up to 8 as exponents: use exp and log",
    ),
    "a power of a tensor": (
        lambda a: a.abs() ** a,
        "pow takes numbers as exponents: use exp and log",
    ),
    "a power of a number": (lambda a: 2**a, "pow takes numbers as exponents: use exp and log"),
    "rounding": (
        lambda a: torch.div(a, 0.7, rounding_mode="floor"),
        "div with a rounding_mode is not known to the engine",
    ),
    "an integer": (
        lambda a: a * a.long(),
        "the conversion to int64 is not known to the engine: it has real numbers",
    ),
    "half precision": (
        lambda a: a.half().double(),
        "the conversion to float16 is not known to the engine: it has real numbers",
    ),
    "a list of numbers": (
        lambda a: a * torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5]),
        f"update reads a tensor [5] {NONE_OF}",
    ),
    "another tensor": (lambda a: a * OTHER, f"mul reads a tensor [5] {NONE_OF}"),
    "the number of rows": (lambda a: a / len(a), VARIES),
    "a branch on the number of rows": (lambda a: a / 2 if len(a) > 3 else a, VARIES),
    "a counter": (lambda a: a * next(COUNTER), VARIES),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_traced_is_named_with_what_to_do(name: str) -> None:
    change, message = REFUSED[name]
    cell = make_cell(lambda x, h, s: (change(x[0] + h[0]),))
    with pytest.raises(UntraceableError) as caught:
        trace(cell)
    assert str(caught.value).endswith(message)
    # The reference loop runs it, or says itself what is wrong.
    x, _ = make_inputs(cell, 2, 3)
    obstacle = plans.find_obstacle(cell, x, None)
    assert obstacle == f"ZooCell.update cannot be traced: {caught.value}"


def test_an_update_that_fails_is_an_error_of_its_author() -> None:
    with pytest.raises(InputError) as caught:
        trace(make_cell(lambda x, h, s: (x[0] * [1][2],)))
    assert str(caught.value) == (
        "ZooCell.update fails on gates and state [3, 5]: IndexError: list index out of range"
    )


def test_a_parameter_that_update_does_not_take_is_named() -> None:
    class Forgetful(GatedCell):
        gates = 1

        def __init__(self) -> None:
            super().__init__(3, 5)
            self.slope = nn.Parameter(torch.ones(5))

        def update(self, x_gates: Any, h_gates: Any, state: Any) -> Any:
            return (tanh(x_gates[0] + h_gates[0]),)

    with pytest.raises(InputError) as caught:
        trace(Forgetful())
    assert str(caught.value) == (
        "Forgetful.update does not take the parameter 'slope', which the cell registers: "
        "add slope to its arguments"
    )


@pytest.mark.parametrize("engine", ["fused", "reference", "auto"])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda a: a, "a Tensor: expected a tuple of one tensor"),
        (lambda a: [a], "a list: expected a tuple of one tensor"),
        (lambda a: (a, a), "a tuple of 2: expected a tuple of one tensor"),
        (lambda a: (a[:, :2],), "the leaf [2, 2]: expected a tensor [B, H], here [2, 5]"),
        (lambda a: (1.0,), "the leaf float: expected a tensor [B, H], here [2, 5]"),
    ],
)
def test_what_is_no_state_is_refused_by_every_engine(
    returned: Any, message: str, engine: str
) -> None:
    cell = make_cell(lambda x, h, s: returned(x[0] + h[0]))
    with pytest.raises(InputError) as caught:
        unroll(cell, torch.zeros(2, 12, 3).double(), engine=engine)
    found = str(caught.value).replace("[3, 5]", "[2, 5]").replace("[3, 2]", "[2, 2]")
    # Traced on a few rows of its own, or named by the operation that took the features apart.
    assert found == f"ZooCell.update returned {message}" or "slice is not known" in found


@pytest.mark.parametrize("shape", [(5, 5), (2,), (1, 5), (1, 1)])
def test_a_parameter_of_another_shape_is_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(UntraceableError) as caught:
        trace(make_cell(lambda x, h, s, p: (x[0] + h[0],), p=torch.ones(shape)))
    assert str(caught.value) == (
        f"the parameter 'p' is {list(shape)}: the engine takes [5], one number for each feature, "
        "or a single number"
    )


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
