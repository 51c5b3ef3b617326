"""Emitted C++: every operation compiled, and the functions of pointwise.h over their whole range."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
import torch
from torch import Tensor, tanh

from seqnlp.nn.engines import build
from seqnlp.nn.engines.emit import Function, Result, emit, scratch_rows
from seqnlp.nn.engines.graph import Graph
from tests.nn.gated import assert_equal, make_cell, make_inputs, results
from tests.nn.zoo import PARAMETRIC, ZOO

pytestmark = pytest.mark.skipif(build.toolchain() is None, reason=str(build.obstacle()))
NAMES = [name for name in ZOO if name not in ("exp", "expm1", "power 3", "square")]
PARTS = [NAMES[part::3] for part in range(3)]
DTYPES = [
    torch.float64,
    pytest.param(torch.float32, marks=pytest.mark.slow),
]


def assert_as_reference(cell: Any, dtype: torch.dtype) -> None:
    cell = cell.to(dtype)
    x, state = make_inputs(cell, 4, 5, dtype)
    found = results(cell, x, [5, 2, 0, 3], state)
    rough = results(cell, x, [5, 2, 0, 3], state, engine="reference")
    if dtype is torch.float64:
        assert_equal(found, rough, 1e-12)
        return
    x, *rest = (leaf.detach().double().requires_grad_() for leaf in (x, *state))
    expected = results(cell.double(), x, [5, 2, 0, 3], tuple(rest), engine="reference")
    assert_equal(found, expected, 2e-6, rough)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("names", PARTS, ids=lambda names: f"{len(names)} from {names[0]}")
def test_every_operation_is_compiled(names: list[str], dtype: torch.dtype) -> None:
    """A leaf of the state for each, so that one kernel holds many."""

    def update(x: Any, h: Any, state: Any) -> Any:
        return tuple(ZOO[name](x, h, leaf) for name, leaf in zip(names, state, strict=True))

    assert_as_reference(make_cell(update, gates=2, states=len(names)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parameters_are_compiled(dtype: torch.dtype) -> None:
    names = list(PARAMETRIC)

    def update(x: Any, h: Any, state: Any, **given: Tensor) -> Any:
        return tuple(
            0.5 * tanh(PARAMETRIC[name][0](x[0] + h[0], x[0], given[f"p{index}"]))
            for index, name in enumerate(names)
        )

    torch.manual_seed(0)
    parameters: dict[str, Any] = {
        f"p{index}": torch.rand(PARAMETRIC[name][1]) + 0.5 for index, name in enumerate(names)
    }
    assert_as_reference(make_cell(update, states=len(names), **parameters), dtype)


@pytest.mark.parametrize("hidden", [1, 2, 17])
def test_leaves_may_be_exchanged(hidden: int) -> None:
    def update(x: Any, h: Any, s: Any) -> Any:
        new = tanh(x[0] + h[0]) * h[1] + s[1]
        return new, s[2], s[1], new

    cell = make_cell(update, gates=2, states=4, sizes=(3, hidden), recurrent_bias=True)
    assert_as_reference(cell, torch.float64)


def compile_functions(
    build_graph: Callable[[Graph, list[int]], list[int]], inputs: int, dtype: torch.dtype
) -> Callable[..., list[Tensor]]:
    """A function of arrays [rows, H] that gives values of a graph."""
    graph = Graph()
    values = [graph.add_input(f"i{k}", wide=True) for k in range(inputs)]
    wanted = tuple(Result(value, True) for value in build_graph(graph, values))
    function = Function(name="f", inputs=tuple(values), results=wanted)
    library = build.load(emit(graph, [function], dtype))
    assert library is not None

    def call(*arguments: Tensor) -> list[Tensor]:
        rows, hidden = arguments[0].shape
        found = [torch.full_like(arguments[0], nan) for _ in wanted]
        arrays = [*arguments, *found]
        pointers = (ctypes.c_void_p * len(arrays))(*(a.data_ptr() for a in arrays))
        strides = (ctypes.c_int64 * len(arrays))(*[hidden] * len(arrays))
        scratch = arguments[0].new_empty(max(1, scratch_rows(graph, function) * hidden))
        library.f(
            ctypes.c_int64(rows), ctypes.c_int64(hidden), pointers, strides,
            ctypes.c_void_p(scratch.data_ptr()),
        )  # fmt: skip
        return found

    return call


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "expm1": torch.expm1,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
}


def every_magnitude(dtype: torch.dtype) -> Tensor:
    """Numbers of both signs, from the smallest to the largest, dense where functions bend."""
    dense = torch.linspace(-120, 120, 40001, dtype=torch.float64)
    if dtype is torch.float64:
        dense = torch.cat([dense, torch.linspace(-760, 760, 40001, dtype=torch.float64)])
    tiny = torch.finfo(dtype).tiny
    powers = 2.0 ** torch.arange(-150, 128, 0.37, dtype=torch.float64)
    edges = torch.tensor([0.0, tiny, tiny / 8, torch.finfo(dtype).max], dtype=torch.float64)
    positive = torch.cat([powers, edges, 1 + powers[powers < 1]])
    return torch.cat([dense, positive, -positive]).to(dtype)


def compile_all(dtype: torch.dtype) -> Callable[..., list[Tensor]]:
    return compile_functions(lambda graph, v: [graph.add(n, v[0]) for n in FUNCTIONS], 1, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_functions_are_exact_to_a_few_units_in_the_last_place(dtype: torch.dtype) -> None:
    finfo = torch.finfo(dtype)
    x = every_magnitude(dtype)
    for (name, function), found in zip(
        FUNCTIONS.items(), compile_all(dtype)(x.unsqueeze(0)), strict=True
    ):
        values, expected = found[0].double(), function(x.double())
        large = expected.abs() > finfo.max
        assert (values[large].abs() >= finfo.max * (1 - 4 * finfo.eps)).all(), name
        # Numbers below the smallest normal one may be nothing.
        unit = (expected.abs() * finfo.eps).clamp(min=2 * finfo.tiny)
        errors = ((values - expected).abs() / unit)[~large]
        worst = int(errors.argmax())
        assert errors[worst] <= 4, (name, float(errors[worst]), float(x[~large][worst]))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_gates_are_hardly_worse_than_the_nearest_number(name: str) -> None:
    """Whose error is 0.29 units on average: what gates lose, a norm over few features enlarges."""
    x = torch.linspace(-4, 4, 100001, dtype=torch.float64).float()
    (found,) = compile_functions(lambda graph, v: [graph.add(name, v[0])], 1, torch.float32)(
        x[None]
    )
    expected = FUNCTIONS[name](x.double())
    errors = (found[0].double() - expected) / 2.0 ** (expected.abs().log2().floor() - 23)
    assert float(errors.square().mean().sqrt()) < 0.35


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_functions_at_infinity_and_of_nothing(dtype: torch.dtype) -> None:
    # As many as fill vectors and leave a rest, since both have code of their own.
    for count in (1, 19):
        x = torch.tensor([[-inf], [inf], [nan], [0.0]], dtype=dtype).expand(4, count).contiguous()
        for function, found in zip(FUNCTIONS.values(), compile_all(dtype)(x), strict=True):
            tiny = torch.finfo(dtype).tiny
            torch.testing.assert_close(found, function(x), rtol=0, atol=tiny, equal_nan=True)


def test_what_is_not_a_number_stays_seen() -> None:
    def build_graph(graph: Graph, v: list[int]) -> list[int]:
        zero = graph.add_constant(0.0)
        return [
            graph.add("maximum", *v),
            graph.add("minimum", *v),
            graph.add("maximum", *reversed(v)),
            graph.add("minimum", *reversed(v)),
            graph.add("where", graph.add("gt", v[1], zero), v[0], v[1]),
            graph.add("where", graph.add("le", v[0], zero), zero, v[0]),
            graph.add("mul", graph.add("largest", v[0]), v[1]),
            graph.add("mul", graph.add("sum", v[0]), v[1]),
        ]

    call = compile_functions(build_graph, 2, torch.float32)
    for count in (1, 5, 40):
        for place in {0, count // 2, count - 1}:
            a, b = torch.ones(2, count), torch.ones(2, count)
            a[0, place] = nan
            *each, largest, total = call(a, b)
            for found in each:
                assert torch.equal(found.isnan(), a.isnan())
            for found in (largest, total):
                assert found[0].isnan().all()
                assert not found[1].isnan().any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_constants_are_written_exactly(dtype: torch.dtype) -> None:
    numbers = (0.1, -1e-30, 1e30, 2.0**-140, inf, -inf, nan, 3, -0.5)
    call = compile_functions(
        lambda graph, v: [graph.add("mul", v[0], graph.add_constant(n)) for n in numbers], 1, dtype
    )
    x = torch.full((1, 3), 1.5, dtype=dtype)
    for number, found in zip(numbers, call(x), strict=True):
        expected = x * torch.tensor(number, dtype=dtype)
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_sums_that_wait_for_sums_use_scratch() -> None:
    def build_graph(graph: Graph, v: list[int]) -> list[int]:
        value, first = v[0], graph.add("tanh", v[0])
        found = []
        for _ in range(4):
            costly = graph.add("exp", value)
            value = graph.add("div", graph.add("mul", costly, first), graph.add("sum", costly))
            found.append(graph.add("add", value, first))
        return found

    x = torch.randn(3, 21, dtype=torch.float64)
    value, first = x, torch.tanh(x)
    for found in compile_functions(build_graph, 1, torch.float64)(x):
        value = value.exp() * first / value.exp().sum(1, keepdim=True)
        torch.testing.assert_close(found, value + first, rtol=1e-14, atol=1e-15)
