"""The fused engine in training: which gradients, when, on how many threads, and what stays seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from seqnlp.nn import GatedCell, LSTMCell, Noise, Padding, engines, unroll
from seqnlp.nn.engines import build, call
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
RAGGED = [4, 0, 2]


@pytest.mark.parametrize("name", ["gru", "peephole"])
def test_what_alone_needs_gradients_gets_its_own(name: str) -> None:
    cell = make_registered(name, 3, 5)
    x, state = make_inputs(cell, 3, 4)
    inputs = [x, *state, *cell.parameters()]
    for index in (0, cell.states):  # of the outputs alone, of one final leaf alone

        def read(index: int = index) -> torch.Tensor:
            outputs, final = unroll(cell, x, torch.tensor(RAGGED), state, engine="fused")
            return weigh([(outputs, *final)[index]])

        expected = torch.autograd.grad(read(), inputs)
        for position, wanted in enumerate(inputs):
            for tensor in inputs:
                tensor.requires_grad_(tensor is wanted)
            assert_equal(torch.autograd.grad(read(), wanted), [expected[position]], EXACT)
        for tensor in inputs:
            tensor.requires_grad_()


def test_gradients_may_be_taken_twice_and_in_any_order() -> None:
    cells = [make_registered("gru", 3, 6), make_registered("gru", 3, 6)]
    with torch.no_grad():
        cells[1].weight_h.mul_(0.5)
    inputs = [make_inputs(cell, 3, 4 + index)[0] for index, cell in enumerate(cells)]
    pairs = list(zip(cells, inputs, strict=True))

    def run(cell: GatedCell, x: torch.Tensor) -> torch.Tensor:
        return weigh([unroll(cell, x, engine="fused")[0]])

    expected = [torch.autograd.grad(run(c, x), [x, *c.parameters()]) for c, x in pairs]
    totals = [run(c, x) for c, x in pairs]
    with torch.no_grad():
        run(*pairs[0])
    for keep in (True, False):
        for index in (0, 1):
            wanted = [inputs[index], *cells[index].parameters()]
            found = torch.autograd.grad(totals[index], wanted, retain_graph=keep)
            for one, other in zip(found, expected[index], strict=True):
                assert torch.equal(one, other)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(totals[0], inputs[0])


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("reverse", [False, True])
def test_outputs_may_be_changed_in_place(name: str, reverse: bool) -> None:
    cell = make_registered(name, 3, 5)
    x, state = make_inputs(cell, 3, 4)
    found = []
    for engine in ("fused", "reference"):
        outputs, final = unroll(
            cell, x, torch.tensor(RAGGED), state, reverse=reverse, engine=engine
        )
        outputs.mul_(2).masked_fill_(x[..., :1] > 1, 3.0)
        for leaf in final:
            leaf.add_(1)
        wanted = [x, *state, *cell.parameters()]
        found.append([outputs, *final, *torch.autograd.grad(weigh([outputs, *final]), wanted)])
    assert_equal(found[0], found[1], EXACT)


def test_what_backward_reads_may_not_be_changed() -> None:
    cell = make_registered("lstm", 3, 5)
    x, state = make_inputs(cell, 2, 4)
    # Of full rows the outputs are the states that backward reads.
    outputs, _ = unroll(cell, x, None, state, engine="fused")
    outputs.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(outputs.sum(), x)
    total = unroll(cell, x, None, state, engine="fused")[0].sum()
    with torch.no_grad():
        cell.weight_h.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(total, x)


def test_a_gradient_is_not_changed_by_those_who_get_it() -> None:
    cell = make_registered("lstm", 3, 5)
    x, state = make_inputs(cell, 2, 4)
    outputs, final = unroll(cell, x, None, state, engine="fused")
    given = [torch.randn_like(leaf) for leaf in (outputs, *final)]
    before = [gradient.clone() for gradient in given]
    torch.autograd.grad([outputs, *final], [x, *state], given)
    assert all(map(torch.equal, given, before))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_kept(mode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make_registered("layer_norm_gru", 3, 5)
    x, state = make_inputs(cell, 3, 4)
    steps = []
    forward = call.Call.forward

    def watch(own: call.Call, *biases: Any) -> None:
        steps.append(own.step.function.name)
        forward(own, *biases)

    monkeypatch.setattr(call.Call, "forward", watch)
    expected = unroll(cell, x, torch.tensor(RAGGED), state, engine="fused")
    with mode():
        found = unroll(cell, x, torch.tensor(RAGGED), state, engine="fused")
    assert steps == ["forward", "inference"]
    assert not found[0].requires_grad
    for one, other in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def _many_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(call, "_PRODUCTS_A_THREAD", 1)
    monkeypatch.setattr(call, "_ROWS_A_THREAD", 1)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("_many_threads")
@pytest.mark.parametrize("name", ["gru", "peephole", "layer_norm_lstm"])
@pytest.mark.parametrize("lengths", [None, [9, 0, 1, 5, 9, 2, 7], [1, 0, 0, 0, 0, 0, 0]])
def test_any_number_of_threads_gives_the_same(name: str, lengths: list[int] | None) -> None:
    cell = make_registered(name, 3, 33)
    x, state = make_inputs(cell, 7, 9)
    found = []
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        found.append(results(cell, x, lengths, state))
    for other in found[1:]:
        # Without a compiler the products are torch's, whose sums depend on its threads.
        exact = build.toolchain() is not None
        for one, two in zip(found[0][: 1 + cell.states], other, strict=False):
            assert not exact or torch.equal(one, two)
        # Sums over rows are added up thread by thread.
        assert_equal(other, found[0], EXACT)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", GATED)
def test_every_kind_of_noise_at_once_equals_the_reference(name: str, reverse: bool) -> None:
    batch, time, hidden = 3, 4, 6
    cell = make_registered(name, 3, hidden)
    x, state = make_inputs(cell, batch, time)
    padding = Padding.of(torch.tensor(RAGGED), x)
    assert padding is not None
    x = padding.zero(x.detach()).requires_grad_()

    def draw(*shape: int) -> torch.Tensor:
        return (torch.rand(shape) > 0.3).double() / 0.7

    for long in (False, True):
        shape = (batch, time, hidden) if long else (batch, hidden)
        noise = Noise(
            hidden=draw(batch, hidden),
            weight=draw(*cell.weight_h.shape),
            masks={mask: draw(*shape) for mask in cell.masks},
            keep=(torch.rand(batch, time, hidden).double(), *[None] * (cell.states - 1)),
        )
        found = []
        for engine in ("fused", "reference"):
            outputs, final = engines.find(engine).run(
                cell, x, padding, state, reverse=reverse, want_state=True, noise=noise
            )
            assert final is not None
            wanted = [x, *state, *cell.parameters()]
            found.append([outputs, *final, *torch.autograd.grad(weigh([outputs, *final]), wanted)])
        assert_equal(found[0], found[1], EXACT)


@pytest.mark.parametrize("name", ["lstm", "layer_norm_gru", "slstm"])
def test_gradients_are_numerically_right_once_and_twice(name: str) -> None:
    cell = make_registered(name, 2, 2)
    x, state = make_inputs(cell, 2, 3)

    def run(x: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, ...]:
        leaves = rest[: cell.states]
        outputs, final = unroll(cell, x, torch.tensor([3, 1]), leaves, engine="fused")
        return (outputs, *final)

    assert torch.autograd.gradcheck(run, (x, *state, *cell.parameters()))
    assert torch.autograd.gradgradcheck(run, (x, *state, *cell.parameters()))


@pytest.mark.parametrize("way", ["detach", "no_grad"])
def test_gradients_of_gradients_refuse_what_is_detached(way: str) -> None:
    """The traced graph knows its gradient, but not that of its gradient."""

    def update(x: Any, h: Any, state: Any) -> Any:
        if way == "detach":
            return (torch.tanh(x[0] + h[0]) * torch.sigmoid(x[0]).detach(),)
        with torch.no_grad():
            scale = torch.sigmoid(x[0])
        return (torch.tanh(x[0] + h[0]) * scale,)

    cell = make_cell(update)
    x, state = make_inputs(cell, 2, 3)
    expected = results(cell, x, None, state, engine="reference")
    assert_equal(results(cell, x, None, state), expected, EXACT)
    outputs, _ = unroll(cell, x, None, state, engine="fused")
    with pytest.raises(RuntimeError) as caught:
        torch.autograd.grad(outputs.sum(), x, create_graph=True)
    assert str(caught.value) == (
        "update detaches a value: take gradients of gradients by the engine 'reference'"
    )


def test_gradients_of_gradients_at_a_kink_are_those_of_the_reference() -> None:
    def update(x: Any, h: Any, state: Any) -> Any:
        a = x[0] + h[0]
        return (torch.relu(a) + a.clamp(0, 1) + a.clamp(max=0) + torch.sin(state[0]),)

    cell = make_cell(update)
    with torch.no_grad():
        cell.bias.zero_()
    x = torch.zeros(2, 3, 3, dtype=torch.float64, requires_grad=True)
    found = []
    for engine in ("fused", "reference"):
        outputs, _ = unroll(cell, x, engine=engine)
        (first,) = torch.autograd.grad(weigh([outputs]), x, create_graph=True)
        found.append([first, *torch.autograd.grad(weigh([first * first]), [cell.weight_x])])
    assert_equal(found[0], found[1], EXACT)


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e300])
@pytest.mark.parametrize("name", GATED)
def test_a_row_that_goes_wrong_is_seen_and_touches_no_other(name: str, garbage: float) -> None:
    cell = make_registered(name, 3, 9)
    x, state = make_inputs(cell, 5, 4)
    dirty = x.detach().clone()
    dirty[2, 1, 0] = garbage
    dirty.requires_grad_()
    found = []
    for given in (x, dirty):
        outputs, final = unroll(cell, given, torch.tensor([4, 1, 3, 0, 2]), state, engine="fused")
        (gradient,) = torch.autograd.grad(outputs.sum(), given)
        found.append([outputs, *final, gradient])
    others = [0, 1, 3, 4]
    for clean, spoiled in zip(*found, strict=True):
        assert torch.equal(clean[others], spoiled[others])
    assert torch.equal(found[0][0][2, 0], found[1][0][2, 0])
    expected, _ = unroll(cell, dirty, torch.tensor([4, 1, 3, 0, 2]), state, engine="reference")
    assert_equal([found[1][0][2, :3]], [expected[2, :3]], EXACT)
    if garbage != garbage:
        assert found[1][0][2, 1:3].isnan().all()


def test_a_wrapper_of_the_weights_is_read_at_every_call() -> None:
    cell = LSTMCell(3, 4).double()
    torch.nn.utils.parametrizations.weight_norm(cell, "weight_h")
    x, state = make_inputs(cell, 2, 3)
    for _ in range(2):
        expected = results(cell, x, None, state, engine="reference")
        assert_equal(results(cell, x, None, state), expected, EXACT)
        with torch.no_grad():
            for parameter in cell.parameters():
                parameter.mul_(1.5)
