"""Tracing: what an update may not do, and what is said of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn, tanh

from seqnlp.errors import InputError
from seqnlp.missteps import place
from seqnlp.nn import GatedCell, unroll
from seqnlp.nn.engines import plans
from seqnlp.nn.engines.operations import UntraceableError
from seqnlp.nn.engines.trace import trace
from tests.nn.gated import make_cell, make_inputs

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
    assert caught.value.__cause__ is not None
    assert str(caught.value) == (
        "ZooCell.update fails on gates and state [3, 5]: raised IndexError: list index out of range "
        f"at {place(caught.value.__cause__)}; count from 0 and up to as many as there are: "
        "gates = ... and states = ... of a GatedCell say so"
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
        (lambda a: a, "a Tensor: expected a tuple of one tensor, return (h,)"),
        (lambda a: [a], "a list: expected a tuple of one tensor, return (h,)"),
        (lambda a: (a, a), "a tuple of 2: expected a tuple of one tensor, return (h,)"),
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
