"""Graphs of pointwise operations: what is entered once, merged, kept, and computed by torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import tanh

from seqnlp.nn.engines.graph import Graph
from seqnlp.nn.engines.operations import OPERATIONS
from seqnlp.nn.engines.plan import Place, make_plan
from seqnlp.nn.engines.trace import trace
from tests.nn.gated import make_cell, make_registered


def test_what_is_entered_twice_is_computed_once() -> None:
    graph = Graph()
    a, b = graph.add_input("a", wide=True), graph.add_input("b", wide=False)
    assert graph.add("add", a, b) == graph.add("add", b, a)
    assert graph.add("mul", a, b) == graph.add("mul", b, a)
    assert graph.add("sub", a, b) != graph.add("sub", b, a)
    assert graph.add_constant(1) == graph.add_constant(1.0)
    assert graph.add_input("a", wide=True) == a
    assert not graph.nodes[graph.add("mul", b, b)].wide
    assert graph.nodes[graph.add("mul", a, b)].wide
    assert not graph.nodes[graph.add("sum", a)].wide


@pytest.mark.parametrize(
    ("operation", "number", "left", "right"),
    [
        ("add", 0.0, True, True),
        ("mul", 1.0, True, True),
        ("sub", 0.0, True, False),
        ("div", 1.0, True, False),
        ("mul", 0.0, False, False),  # zero times infinity is none
        ("maximum", 0.0, False, False),
    ],
)
def test_what_changes_nothing_is_left_out(
    operation: str, number: float, left: bool, right: bool
) -> None:
    graph = Graph()
    a, neutral = graph.add_input("a", wide=True), graph.add_constant(number)
    assert (graph.add(operation, a, neutral) == a) is left
    assert (graph.add(operation, neutral, a) == a) is right


def test_truths_and_numbers_are_told_apart() -> None:
    graph = Graph()
    a, b = graph.add_input("a", wide=True), graph.add_input("b", wide=True)
    truth = graph.add("gt", a, b)
    values = [
        graph.add("mul", truth, graph.add_constant(1.0)),
        graph.add("sub", graph.add_constant(1.0), truth),
        graph.add("add", truth, truth),
        graph.add("where", a, truth, b),
        graph.add("and", a, truth),
        graph.add("not", graph.add("mul", truth, b)),
        graph.add("sum", truth),
        graph.add("eq", truth, graph.add("lt", a, b)),
        graph.add("real", truth),
    ]
    x, y = torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([[0.5, 0.0, -3.0]])
    found = graph.evaluate({a: x, b: y}, values)
    expected = [
        [[1, 0, 1]], [[0, 1, 0]], [[2, 0, 2]], [[1, 0, 1]], [[1, 0, 1]], [[0, 1, 0]], [[2]],
        [[0, 1, 0]], [[1, 0, 1]],
    ]  # fmt: skip
    for value, tensor, numbers in zip(values, found, expected, strict=True):
        assert tensor.double().tolist() == numbers
        assert (tensor.dtype == torch.bool) is OPERATIONS[graph.nodes[value].operation].logical


def test_reachable_stops_where_it_is_told() -> None:
    graph = Graph()
    a, b = graph.add_input("a", wide=True), graph.add_input("b", wide=True)
    product = graph.add("mul", a, b)
    result = graph.add("exp", product)
    assert graph.reachable([result]) == {a, b, product, result}
    assert graph.reachable([result], stop=[product]) == {product, result}


def test_constants_alone_can_be_computed() -> None:
    graph = Graph()
    total = graph.add("add", graph.add_constant(2.0), graph.add_constant(3.0))
    assert graph.evaluate({}, [total])[0] == 5


@pytest.mark.parametrize(
    ("update", "merged"),
    [
        (lambda x, h, s: (tanh(x[0] + h[0]) * torch.sigmoid(x[1] + h[1]),), (True, True)),
        (lambda x, h, s: (tanh(x[0] + h[0]) * h[1],), (True, False)),
        (lambda x, h, s: (tanh(x[0] + h[0]) * (x[1] + h[1]) * x[1],), (True, False)),
        (lambda x, h, s: (tanh(x[0] + h[1]) * (x[1] + h[0]),), (False, False)),
        (lambda x, h, s: (tanh(x[0] + 2 * h[0]) * x[1],), (False, False)),
        (lambda x, h, s: (x[0] + h[0] + (x[1] + h[1]) * (x[0] + h[0]),), (True, True)),
        (lambda x, h, s: (tanh(x[0]),), (False, False)),
        (lambda x, h, s: (x[1],), (False, False)),
        # The gradients of the two are not one.
        (lambda x, h, s: (tanh(x[0] + h[0].detach()) + (h[1] + x[1]),), (False, True)),
    ],
)
def test_products_that_are_only_added_are_merged(update: Any, merged: tuple[bool, ...]) -> None:
    assert trace(make_cell(update, gates=2)).merged == merged


def test_what_is_costly_is_kept_and_what_is_cheap_is_not() -> None:
    def update(x: Any, h: Any, s: Any) -> Any:
        a = x[0] + h[0]
        return (tanh(a) * torch.sigmoid(a * 2) + 3 * s[0],)

    pointwise = trace(make_cell(update))
    kept = sorted(pointwise.graph.nodes[value].operation for value in pointwise.kept)
    assert kept == ["sigmoid", "tanh"]
    # A new state is there anyway.
    alone = trace(make_cell(lambda x, h, s: (tanh(x[0] + h[0]),)))
    assert alone.kept == ()
    assert alone.backward_inputs() == {alone.new_states[0], alone.gradients[0]}


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole", "rnn", "cifg"])
def test_what_is_kept_takes_the_place_of_the_gates(name: str) -> None:
    """No more memory than the gates is needed for the backward pass."""
    plan = make_plan(trace(make_registered(name, 3, 5)))
    assert plan.wide_kept == (1 if name in ("lstm", "peephole", "cifg") else 0)
    for step in (plan.inference, plan.forward, plan.backward):
        assert len(step.slots) == len(step.function.inputs) + len(step.function.results)
        written = step.slots[len(step.function.inputs) :]
        places = [(slot.array, slot.column) for slot in written]
        assert len(set(places)) == len(places), "nothing is written twice"
    assert not any(slot.place is Place.NEXT for slot in plan.forward.slots[: len(plan.runs)])


def test_every_operation_computes_what_its_source_says() -> None:
    """By torch here; test_emit compiles them. None is without a test there."""
    x = torch.tensor([[-1.5, 0.0, 0.25, 2.0]], dtype=torch.float64)
    y = torch.tensor([[0.5, 0.0, -2.0, 2.0]], dtype=torch.float64)
    graph = Graph()
    a, b = graph.add_input("a", wide=True), graph.add_input("b", wide=True)
    expected = {
        "sign": [-1, 0, 1, 1],
        "maximum": [0.5, 0, 0.25, 2],
        "minimum": [-1.5, 0, -2, 2],
        "ge": [0, 1, 1, 1],
        "ne": [1, 0, 1, 0],
        "neg": [1.5, 0, -0.25, -2],
    }
    for name, numbers in expected.items():
        arguments = (a, b) if name in ("maximum", "minimum", "ge", "ne") else (a,)
        (found,) = graph.evaluate({a: x, b: y}, [graph.add(name, *arguments)])
        assert found.double()[0].tolist() == numbers, name
    assert graph.evaluate({a: x}, [graph.add("largest", a)])[0].tolist() == [[2.0]]
    assert graph.evaluate({a: x}, [graph.add("sum", a)])[0].tolist() == [[0.75]]
