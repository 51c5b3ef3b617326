"""The pass over time of linear cells, compiled and in Python, against the step by step loop."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn import (
    LinearCell,
    LRUCell,
    MinGRUCell,
    MinLSTMCell,
    Padding,
    QRNNCell,
    ReferenceEngine,
    SRUCell,
    State,
)
from seqnlp.nn.engines import abi, build, gated_linear, linear, scan

CELLS: dict[str, Callable[[int, int], LinearCell]] = {
    "min_gru": MinGRUCell,
    "min_lstm": MinLSTMCell,
    "sru": SRUCell,
    "qrnn": QRNNCell,
    "qrnn3": lambda i, h: QRNNCell(i, h, window=3),
    "lru": lambda i, h: LRUCell(i, h, state_size=3),
}


@pytest.fixture(params=["fused", "compiled", "loop"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs with all kernels, with the pass over time alone compiled, and without any."""
    if request.param != "loop" and build.toolchain() is None:
        pytest.skip(str(build.obstacle()))
    if request.param != "fused":
        monkeypatch.setattr(linear, "find_kernel", lambda *_: None)
    if request.param == "loop":
        monkeypatch.setattr(scan, "_kernels", lambda x: None)


def run_both_ways(
    cell: LinearCell, x: Tensor, lengths: list[int] | None, state: State, *, reverse: bool
) -> list[list[Tensor]]:
    """Outputs, final state and all gradients, of the loop over steps and of `run_linear`."""
    padding = Padding.of(None if lengths is None else torch.tensor(lengths), x)
    if padding is not None:
        x = padding.zero(x)
    leaves = [x.detach().requires_grad_(), *(leaf.detach().requires_grad_() for leaf in state)]
    inputs = [*leaves, *cell.parameters()]
    generator = torch.Generator().manual_seed(0)
    weights: list[Tensor] = []
    results = []
    for run in (ReferenceEngine().run, linear.run_linear):
        outputs, final = run(
            cell, leaves[0], padding, tuple(leaves[1:]), reverse=reverse, want_state=True
        )
        assert final is not None
        found = [outputs, *final]
        weights = weights or [
            torch.randn(leaf.shape, generator=generator, dtype=leaf.dtype) for leaf in found
        ]
        gradients = torch.autograd.grad(found, inputs, weights, materialize_grads=True)
        results.append([*(leaf.detach() for leaf in found), *gradients])
    return results


def random_state(cell: LinearCell, batch: int) -> State:
    return tuple(torch.randn_like(leaf) for leaf in cell.initial_state(batch))


def assert_close(results: list[list[Tensor]], rtol: float) -> None:
    """Close relative to the largest number of each tensor."""
    for expected, found in zip(*results, strict=True):
        scale = float(expected.abs().max()) if expected.numel() else 1.0
        torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [7, 1, 0, 4, 7]])
@pytest.mark.parametrize(
    ("dtype", "rtol"), [(torch.float32, 1e-6), (torch.float64, 1e-12)], ids=["float32", "float64"]
)
@pytest.mark.parametrize("kind", CELLS)
def test_equals_the_loop_over_steps(
    kind: str, dtype: torch.dtype, rtol: float, lengths: list[int] | None, reverse: bool
) -> None:
    torch.manual_seed(0)
    cell = CELLS[kind](3, 40).to(dtype)
    x = torch.randn(5, 7, 3, dtype=dtype)
    assert_close(run_both_ways(cell, x, lengths, random_state(cell, 5), reverse=reverse), rtol)


@given(st.data())
@settings(max_examples=40)
def test_equals_the_loop_at_any_size(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(CELLS)))
    batch, time = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9))
    sizes = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 70)))
    lengths = data.draw(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    cell = CELLS[kind](*sizes).double()
    x = torch.randn(batch, time, sizes[0]).double()
    state = random_state(cell, batch)
    results = run_both_ways(cell, x, lengths, state, reverse=data.draw(st.booleans()))
    assert_close(results, 1e-12)


@pytest.mark.parametrize("kind", CELLS)
def test_wide_states_on_two_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of columns, shared out between threads that finish when they may."""
    monkeypatch.setattr(scan, "_threads", lambda x: 3)
    monkeypatch.setattr(gated_linear, "_NUMBERS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    torch.manual_seed(1)
    cell = CELLS[kind](2, 1300).double() if kind != "lru" else LRUCell(2, 1300).double()
    for batch in (1, 4):
        lengths = [5] if batch == 1 else [5, 2, 5, 1]
        x = torch.randn(batch, 5, 2).double()
        results = run_both_ways(cell, x, lengths, random_state(cell, batch), reverse=False)
        assert_close(results, 1e-12)


def scan_on(threads: int, a: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """States, last states and gradients of scaled ones, over rows of all lengths."""
    monkeypatch.setattr(scan, "_threads", lambda x: threads)
    torch.manual_seed(3)
    b, first = torch.randn(40, 30, 8).requires_grad_(), torch.randn(40, 8).requires_grad_()
    padding = Padding(lengths=torch.arange(40) % 31, time=30)
    found = scan.scan(a, b, first, padding, reverse=False)
    gradients = torch.autograd.grad(found, [a, b, first], [torch.randn_like(f) for f in found])
    return [*found, *gradients]


@pytest.mark.parametrize("shared", [False, True])
def test_threads_are_those_of_torch_and_change_nothing(
    shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = torch.rand((8,) if shared else (40, 30, 8)).requires_grad_()
    one = scan_on(1, a, monkeypatch)
    two = scan_on(2, a, monkeypatch)
    for index, (x, y) in enumerate(zip(one, two, strict=True)):
        # A gradient that is a sum over rows is one of each thread's sums.
        torch.testing.assert_close(x, y, rtol=1e-5 if shared and index == 2 else 0, atol=0)
    for _ in range(20):
        assert all(map(torch.equal, two, scan_on(2, a, monkeypatch)))
    asked: list[int] = []

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    def team(function: int, data: int, threads: int, flags: int) -> None:
        """One thread, however many are asked for."""
        asked.append(threads)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(function)(data)

    monkeypatch.setattr(abi, "team", lambda: ctypes.cast(team, ctypes.c_void_p).value)
    assert all(map(torch.equal, two, scan_on(2, a, monkeypatch)))
    assert asked == ([2, 2] if scan._kernels(a) is not None else [])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients_are_numerically_right_and_so_are_theirs(
    dtype: torch.dtype, shared: bool, reverse: bool
) -> None:
    torch.manual_seed(2)
    padding = Padding(lengths=torch.tensor([3, 1, 0]), time=3)
    a = torch.randn((2,) if shared else (3, 3, 2), dtype=dtype, requires_grad=True)
    b = torch.randn(3, 3, 2, dtype=dtype, requires_grad=True)
    first = torch.randn(3, 2, dtype=dtype, requires_grad=True)

    def run(a: Tensor, b: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
        return scan.scan(a, b, first, padding, reverse=reverse)

    assert torch.autograd.gradcheck(run, (a, b, first))
    assert torch.autograd.gradgradcheck(run, (a, b, first))


def test_what_stands_on_padding_changes_nothing() -> None:
    """The coefficients there, that is: inputs are zero there already."""
    torch.manual_seed(3)
    padding = Padding(lengths=torch.tensor([4, 2, 0]), time=4)
    first = torch.randn(3, 5)
    clean_a, clean_b = torch.rand(3, 4, 5), torch.randn(3, 4, 5)
    for garbage in (1e30, float("inf"), float("nan")):
        results = []
        for fill in (0.0, garbage):
            absent = ~padding.mask.unsqueeze(2)
            a = clean_a.masked_fill(absent, fill).requires_grad_()
            b = clean_b.masked_fill(absent, fill).requires_grad_()
            h, last = scan.scan(a, b, first, padding, reverse=False)
            found = torch.autograd.grad(h.sum() + last.sum(), [a, b])
            results.append([h, last, *found])
        for one, other in zip(*results, strict=True):
            assert torch.equal(one, other)


def test_any_layout_is_read_as_it_is() -> None:
    torch.manual_seed(4)
    first = torch.randn(2, 3)
    a, b = torch.rand(2, 6, 3), torch.randn(2, 6, 3)
    expected = scan.scan(a, b, first, None, reverse=False)[0]
    layouts: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
        lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        lambda x: torch.cat([x, x], 2)[..., 3:],
        lambda x: torch.cat([x, x], 1)[:, :6],
    ]
    for layout in layouts:
        assert torch.equal(scan.scan(layout(a), layout(b), first, None, reverse=False)[0], expected)
    fixed = a[:1, :1].expand(2, 6, 3)
    torch.testing.assert_close(
        scan.scan(fixed, b, first, None, reverse=False),
        scan.scan(fixed[0, 0], b, first, None, reverse=False),
    )


def test_gradients_of_one_result_alone() -> None:
    torch.manual_seed(5)
    a, b = torch.rand(2, 4, 3).double().requires_grad_(), torch.randn(2, 4, 3).double()
    h, last = scan.scan(a, b, torch.ones(2, 3).double(), None, reverse=False)
    (through_states,) = torch.autograd.grad(h[:, -1].sum(), a, retain_graph=True)
    (through_last,) = torch.autograd.grad(last.sum(), a)
    torch.testing.assert_close(through_states, through_last)
    assert through_last.abs().min() > 0


def test_ten_thousand_steps_lose_no_digits() -> None:
    torch.manual_seed(6)
    time, size = 10_000, 4
    logits = torch.randn(2, time, size) * 4
    # From forgetting at once to hardly forgetting in ten thousand steps.
    a32, b32 = (
        torch.sigmoid(logits + torch.tensor([-4.0, 0.0, 4.0, 9.0])),
        torch.randn(2, time, size),
    )
    results = []
    for dtype in (torch.float64, torch.float32):
        a, b = a32.to(dtype).requires_grad_(), b32.to(dtype).requires_grad_()
        h, _ = scan.scan(a, b, torch.ones(2, size, dtype=dtype), None, reverse=False)
        results.append([h, *torch.autograd.grad(h.square().sum(), [a, b])])
    for exact, found in zip(*results, strict=True):
        scale = exact.abs().amax((0, 1))
        assert ((found.double() - exact).abs().amax((0, 1)) / scale).max() < 2e-6


def test_half_precision_runs_in_the_loop() -> None:
    a, b = torch.full((1, 2, 1), 0.5, dtype=torch.bfloat16), torch.ones(1, 2, 1).bfloat16()
    h, _ = scan.scan(a, b, torch.ones(1, 1).bfloat16(), None, reverse=False)
    assert h.dtype == torch.bfloat16
    assert h.flatten().tolist() == [1.5, 1.75]


def test_final_state_is_made_only_where_it_is_wanted() -> None:
    cell = QRNNCell(2, 3)
    x = torch.randn(1, 4, 2)
    run = linear.run_linear
    outputs, state = run(cell, x, None, cell.initial_state(1), reverse=False, want_state=False)
    assert state is None
    assert torch.equal(
        outputs, run(cell, x, None, cell.initial_state(1), reverse=False, want_state=True)[0]
    )
