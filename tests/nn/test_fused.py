"""The fused engine: registered gated cells against the reference loop, at every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn import Noise, Padding, engines, unroll
from tests.nn.gated import (
    GATED,
    assert_equal,
    make_cell,
    make_inputs,
    make_registered,
    results,
    weigh,
)

EXACT = 1e-12
SINGLE = 1e-6
# B, T, I, H: one of everything, more than a tile of rows, sizes beside those of vectors.
SIZES = [(1, 1, 1, 1), (13, 3, 2, 3), (2, 4, 33, 16), (5, 7, 5, 31), (4, 3, 7, 33), (2, 3, 1, 100)]
# Compiled in float32 for every run of the tests; the others when there is time.
SOME = ["gru", "layer_norm_lstm", "lstm"]


def lengths_of(batch: int, time: int) -> list[int]:
    """Ragged, not sorted, the last one empty where there is another."""
    return [(7 * row + time) % (time + 1) for row in range(batch - 1)] + [0 if batch > 1 else time]


@pytest.mark.parametrize("name", GATED)
def test_every_size_equals_the_reference_in_float64(name: str) -> None:
    for batch, time, size, hidden in SIZES:
        cell = make_registered(name, size, hidden)
        x, state = make_inputs(cell, batch, time)
        for lengths in (None, lengths_of(batch, time), [0] * batch):
            for reverse in (False, True):
                expected = results(cell, x, lengths, state, reverse=reverse, engine="reference")
                assert_equal(results(cell, x, lengths, state, reverse=reverse), expected, EXACT)


@pytest.mark.parametrize(
    "name", [n if n in SOME else pytest.param(n, marks=pytest.mark.slow) for n in GATED]
)
def test_float32_equals_the_reference_in_float64(name: str) -> None:
    for batch, time, size, hidden in SIZES:
        ways = [(None, False), (lengths_of(batch, time), True)]
        cell = make_registered(name, size, hidden, torch.float32)
        x, state = make_inputs(cell, batch, time, torch.float32)
        found, rough = (
            [results(cell, x, ends, state, reverse=r, engine=engine) for ends, r in ways]
            for engine in ("fused", "reference")
        )
        cell = cell.double()
        x, state = double(x), tuple(map(double, state))
        for one, other, (ends, reverse) in zip(found, rough, ways, strict=True):
            expected = results(cell, x, ends, state, reverse=reverse, engine="reference")
            # Sums over more features lose more.
            tolerance = SINGLE * max(1.0, hidden / 33)
            assert_equal(one, expected, tolerance, rough=other)


@pytest.mark.parametrize("name", ["lstm", "peephole"])
def test_float32_keeps_its_digits_in_long_sums(name: str) -> None:
    """The gradients of weights and parameters are sums over all steps of all rows, 9000 here."""
    cell = make_registered(name, 2, 3, torch.float32)
    x, state = make_inputs(cell, 90, 100, torch.float32)
    found = results(cell, x, None, state)
    x, state = double(x), tuple(map(double, state))
    assert_equal(found, results(cell.double(), x, None, state, engine="reference"), SINGLE)


def double(x: Tensor) -> Tensor:
    return x.detach().double().requires_grad_()


@pytest.fixture
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqnlp.nn.engines.plan.Plan.library", lambda plan, dtype: None)


@pytest.mark.usefixtures("_no_compiler")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", GATED)
def test_without_a_compiler_the_numbers_are_the_same(name: str, dtype: torch.dtype) -> None:
    cell = make_registered(name, 3, 9, dtype)
    x, state = make_inputs(cell, 5, 6, dtype)
    lengths = lengths_of(5, 6)
    for reverse in (False, True):
        found = results(cell, x, lengths, state, reverse=reverse)
        expected = results(cell, x, lengths, state, reverse=reverse, engine="reference")
        assert_equal(found, expected, EXACT if dtype is torch.float64 else 1e-5)


@pytest.mark.usefixtures("_no_compiler")
def test_without_a_compiler_leaves_may_be_exchanged() -> None:
    """Their gradients are, in the place where they are read."""

    def update(x: Any, h: Any, s: Any) -> Any:
        new = torch.tanh(x[0] + h[0] + s[1])
        return new, s[2], s[1], new

    cell = make_cell(update, states=4, sizes=(3, 8))
    x, state = make_inputs(cell, 4, 5)
    expected = results(cell, x, [5, 2, 0, 3], state, engine="reference")
    assert_equal(results(cell, x, [5, 2, 0, 3], state), expected, EXACT)


@pytest.mark.usefixtures("_no_compiler")
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_without_a_compiler_dropout_inside_has_its_gradients(name: str) -> None:
    """Of a unit that the recurrent product does not see, and of one that it sees enlarged."""
    cell = make_registered(name, 3, 8)
    x, state = make_inputs(cell, 4, 5)
    padding = Padding.of(torch.tensor([5, 2, 0, 3]), x)
    noise = Noise(hidden=torch.tensor([0.0, 2.5], dtype=torch.float64).repeat(4, 4))
    found = []
    for engine in ("fused", "reference"):
        outputs, final = engines.find(engine).run(
            cell, x, padding, state, reverse=False, want_state=True, noise=noise
        )
        assert final is not None
        wanted = [x, *state, *cell.parameters()]
        found.append([outputs, *final, *torch.autograd.grad(weigh([outputs, *final]), wanted)])
    assert_equal(found[0], found[1], EXACT)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), name=st.sampled_from(["gru", "layer_norm_lstm", "mgu", "peephole"]))
def test_any_batch_equals_the_reference(data: st.DataObject, name: str) -> None:
    batch = data.draw(st.integers(0, 6))
    time = data.draw(st.integers(0, 9))
    cell = make_registered(name, data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9)))
    lengths = data.draw(st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    reverse = data.draw(st.booleans())
    x, state = make_inputs(cell, batch, time)
    expected = results(cell, x, lengths, state, reverse=reverse, engine="reference")
    # Norms over few features can make much of a last bit: so much is forgiven as one of x does.
    near = (x.detach() * (1 + torch.finfo(x.dtype).eps)).requires_grad_()
    rough = results(cell, near, lengths, state, reverse=reverse, engine="reference")
    assert_equal(results(cell, x, lengths, state, reverse=reverse), expected, EXACT, rough)


VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "time first": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "features first": lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
    "every second step": lambda x: torch.stack([x, x + 1], 2).flatten(1, 2)[:, ::2],
    "every second feature": lambda x: torch.stack([x, x + 1], 3).flatten(2)[..., ::2],
    "one row for all": lambda x: x[:1].expand_as(x),
    "one step for all": lambda x: x[:, :1].expand_as(x),
    "one number for all": lambda x: x[:1, :1, :1].expand_as(x),
    "from its end": lambda x: x.flip(1),
}


@pytest.mark.parametrize("view", VIEWS)
def test_inputs_and_gradients_lie_in_memory_as_they_may(view: str) -> None:
    cell = make_registered("gru", 4, 4)
    lengths = lengths_of(3, 5)
    x, state = make_inputs(cell, 3, 5)
    change = VIEWS[view]
    weights = change(torch.randn(3, 5, 4, dtype=torch.float64))
    for ends in (lengths, None):
        found = []
        for engine in ("fused", "reference"):
            outputs, _ = unroll(
                cell, change(x), None if ends is None else torch.tensor(ends), state, engine=engine
            )
            found.append([outputs, *torch.autograd.grad(outputs, [x, *state], weights)])
        assert_equal(found[0], found[1], EXACT)


@pytest.mark.parametrize("name", ["gru", "peephole"])
def test_parameters_lie_in_memory_as_they_may(name: str) -> None:
    cell = make_registered(name, 3, 5)
    x, state = make_inputs(cell, 2, 4)
    expected = results(cell, x, None, state)
    for parameter in cell.parameters():
        numbers = parameter.detach()
        strided = torch.stack([numbers, numbers + 1], -1)[..., 0]
        parameter.data = strided if numbers.dim() == 1 else numbers.t().contiguous().t()
        assert not parameter.is_contiguous()
    assert_equal(results(cell, x, None, state), expected, EXACT)
