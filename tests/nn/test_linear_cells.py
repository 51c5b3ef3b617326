"""Linear cells: each step against its formula in numpy, and where the weights start."""

from __future__ import annotations

import cmath
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import (
    LinearCell,
    LRUCell,
    MinGRUCell,
    MinLSTMCell,
    QRNNCell,
    SRUCell,
    State,
    initialize,
    unroll,
)

B, T, D, H = 3, 6, 4, 5

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def values(cell: LinearCell) -> dict[str, Array]:
    return {name: p.detach().numpy() for name, p in cell.named_parameters()}


def min_gru(x: Array, cell: LinearCell) -> Array:
    """Algorithm of Feng et al. 2024, section 3.1, row by row."""
    p, h, ys = values(cell), np.zeros(H), []
    for x_t in x:
        z = sigmoid(p["weight"][:H] @ x_t + p["bias"][:H])
        candidate = p["weight"][H:] @ x_t + p["bias"][H:]
        h = (1 - z) * h + z * candidate
        ys.append(h)
    return np.stack(ys)


def min_lstm(x: Array, cell: LinearCell) -> Array:
    """Section 3.2, with its divisions."""
    p, h, ys = values(cell), np.zeros(H), []
    for x_t in x:
        f, i, candidate = np.split(p["weight"] @ x_t + p["bias"], 3)
        f, i = sigmoid(f), sigmoid(i)
        h = f / (f + i) * h + i / (f + i) * candidate
        ys.append(h)
    return np.stack(ys)


def sru(x: Array, cell: LinearCell) -> Array:
    """Equations 3 to 7 of the first version."""
    p, c, ys = values(cell), np.zeros(H), []
    for x_t in x:
        u, f = np.split(p["weight"] @ x_t + p["bias"], 2)
        f = sigmoid(f)
        r = sigmoid(p["weight_r"] @ x_t + p["bias_r"])
        c = f * c + (1 - f) * u
        highway = p["weight_s"] @ x_t if "weight_s" in p else x_t
        ys.append(r * np.tanh(c) + (1 - r) * highway)
    return np.stack(ys)


def qrnn(x: Array, cell: LinearCell) -> Array:
    """The convolution as a sum over its taps, then fo-pooling."""
    p, c, ys = values(cell), np.zeros(H), []
    for t in range(len(x)):
        z, f, o = p["bias"][:H].copy(), p["bias"][H:].copy(), p["bias_o"].copy()
        for back in range(cell.window):
            if t - back < 0:
                continue
            tap = slice((cell.window - 1 - back) * D, (cell.window - back) * D)
            z += p["weight"][:H, tap] @ x[t - back]
            f += p["weight"][H:, tap] @ x[t - back]
            o += p["weight_o"][:, tap] @ x[t - back]
        z, f, o = np.tanh(z), sigmoid(f), sigmoid(o)
        c = f * c + (1 - f) * z
        ys.append(o * c)
    return np.stack(ys)


def lru(x: Array, cell: LinearCell) -> Array:
    """Number by number, on complex numbers of Python."""
    p = values(cell)
    size = len(p["nu"])
    state, ys = [0j] * size, []
    for x_t in x:
        y = p["weight_d"] @ x_t
        for n in range(size):
            turn = cmath.exp(-np.exp(p["nu"][n]) + 1j * np.exp(p["theta"][n]))
            b = complex(p["weight_b"][2 * n] @ x_t, p["weight_b"][2 * n + 1] @ x_t)
            state[n] = turn * state[n] + np.exp(p["gamma"][n]) * b
            column = p["weight_c"][:, 2 * n] - 1j * p["weight_c"][:, 2 * n + 1]
            y = y + (column * state[n]).real
        ys.append(y)
    return np.stack(ys)


CASES: dict[str, tuple[Callable[[], LinearCell], Callable[[Array, LinearCell], Array]]] = {
    "min_gru": (lambda: MinGRUCell(D, H), min_gru),
    "min_lstm": (lambda: MinLSTMCell(D, H), min_lstm),
    "sru": (lambda: SRUCell(D, H), sru),
    "sru, equal sizes": (lambda: SRUCell(H, H), sru),
    "qrnn": (lambda: QRNNCell(D, H), qrnn),
    "qrnn, window 1": (lambda: QRNNCell(D, H, window=1), qrnn),
    "qrnn, window 4": (lambda: QRNNCell(D, H, window=4), qrnn),
    "lru": (lambda: LRUCell(D, H), lru),
    "lru, state 3": (lambda: LRUCell(D, H, state_size=3, min_radius=0.5, max_phase=0.3), lru),
}


def make(case: str, seed: int = 0) -> LinearCell:
    torch.manual_seed(seed)
    cell = CASES[case][0]().double()
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            if name.startswith("bias"):
                parameter.uniform_(-1, 1)
    return cell


@pytest.mark.parametrize("case", CASES)
def test_cell_computes_its_formula(case: str) -> None:
    cell = make(case)
    x = torch.randn(B, T, cell.input_size, dtype=torch.float64)
    outputs, _ = unroll(cell, x, engine="reference")
    expected = np.stack([CASES[case][1](row, cell) for row in x.numpy()])
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", CASES)
def test_every_parameter_and_input_has_a_gradient(case: str) -> None:
    cell = make(case)
    x = torch.randn(B, T, cell.input_size, dtype=torch.float64, requires_grad=True)
    outputs, _ = unroll(cell, x, engine="reference")
    found = torch.autograd.grad(outputs.square().sum(), [x, *cell.parameters()])
    assert all(gradient.abs().max() > 0 for gradient in found)


def test_min_lstm_with_shut_gates_is_no_division_by_zero() -> None:
    cell = MinLSTMCell(D, H)
    with torch.no_grad():
        cell.weight.zero_()
        cell.bias.copy_(torch.cat([torch.full((2 * H,), -500.0), torch.ones(H)]))
    h, _ = unroll(cell, torch.zeros(1, 2, D), engine="reference")
    torch.testing.assert_close(h, torch.tensor([0.5, 0.75]).view(1, 2, 1).expand(1, 2, H))
    h.sum().backward()
    assert cell.bias.grad is not None
    assert cell.bias.grad.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_state_starts_with_zeros_of_the_parameters_kind(case: str) -> None:
    cell = make(case)
    state = cell.initial_state(7)
    real = "lru" not in case
    sizes = [(7, H)] if real else [(7, len(cell.get_parameter("nu")))]
    if cell.window > 1:
        sizes.append((7, cell.window - 1, cell.input_size))
    assert [tuple(leaf.shape) for leaf in state] == sizes
    assert {leaf.dtype for leaf in state} == {torch.float64 if real else torch.complex128}
    assert all((leaf == 0).all() for leaf in state)


def test_window_holds_the_last_inputs() -> None:
    cell = make("qrnn, window 4")
    x = torch.randn(B, T, D, dtype=torch.float64)
    _, (_, inputs) = unroll(cell, x, engine="reference")
    assert torch.equal(inputs, x[:, -3:])
    _, (_, inputs) = unroll(cell, x[:, :2], engine="reference")
    assert torch.equal(inputs, torch.cat([torch.zeros(B, 1, D), x[:, :2]], 1))


def test_radii_and_angles_start_on_the_ring() -> None:
    torch.manual_seed(0)
    cell = LRUCell(D, H, state_size=20_000, min_radius=0.6, max_radius=0.9, max_phase=1.5)
    a, _ = cell.coefficients(torch.zeros(1, 1, D))
    radius, phase = a.detach().abs(), a.detach().angle()
    assert radius.min() >= 0.6
    assert radius.max() <= 0.9
    assert phase.min() >= 0
    assert phase.max() <= 1.5
    # Uniform on a ring: the square of the radius is uniform, and so is the angle.
    share = (radius.square() - 0.36) / (0.81 - 0.36)
    for uniform in (share, phase / 1.5):
        counts = torch.histc(uniform, 10, 0, 1) / len(uniform)
        torch.testing.assert_close(counts, torch.full((10,), 0.1), rtol=0, atol=0.01)
    # gamma: what B x adds has variance 1 - |lambda|^2, so that the state's comes to that of B x.
    torch.testing.assert_close(cell.gamma.exp().square(), 1 - radius.square())


def test_lru_keeps_the_variance_of_its_input() -> None:
    torch.manual_seed(0)
    cell = LRUCell(8, H, state_size=200, min_radius=0.5, max_radius=0.95)
    _, (h,) = unroll(cell, torch.randn(50, 200, 8), engine="reference")
    expected = cell.weight_b.square().sum(1).view(-1, 2).sum(1)
    ratio = h.abs().square().mean(0) / expected
    assert 0.8 < ratio.mean() < 1.2


def test_extremes_of_the_ring_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *size: torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    cell = LRUCell(D, 2)
    outputs, _ = unroll(cell, torch.randn(1, 3, D), engine="reference")
    found = torch.autograd.grad(outputs.sum(), list(cell.parameters()))
    assert all(value.isfinite().all() for value in [*cell.parameters(), *found])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QRNNCell(D, H, window=0), "window must be at least 1, not 0"),
        (lambda: LRUCell(D, H, state_size=0), "state_size must be at least 1, not 0"),
        (lambda: LRUCell(D, H, max_phase=0.0), "max_phase must be above 0, not 0.0"),
        (
            lambda: LRUCell(D, H, min_radius=0.9, max_radius=0.5),
            "radii must be 0 <= min_radius < max_radius <= 1, not 0.9, 0.5",
        ),
    ],
)
def test_what_cannot_be_is_refused(build: Callable[[], LinearCell], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value) == message


def test_initialization_fills_gates_and_opens_the_forget_gate() -> None:
    torch.manual_seed(0)
    for case, forget in (("min_gru", None), ("min_lstm", 0), ("sru", 1), ("qrnn", 1)):
        cell = make(case)
        initialize(cell, input="identity", forget_bias=2.0)
        for name, weight in cell.named_parameters():
            if name.startswith("weight"):
                for block in weight.chunk(weight.shape[0] // H):
                    assert torch.equal(block, torch.eye(*block.shape, dtype=torch.float64))
            elif name == "bias":
                wanted = torch.zeros(len(weight), dtype=torch.float64)
                if forget is not None:
                    wanted[forget * H : (forget + 1) * H] = 2.0
                assert torch.equal(weight, wanted)
            else:
                assert (weight == 0).all()


def test_a_cell_of_two_methods_is_enough() -> None:
    class Average(LinearCell):
        """Half of what was, half of what comes."""

        def initial_state(self, batch_size: int) -> State:
            return (torch.zeros(batch_size, self.hidden_size),)

        def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return torch.full((self.hidden_size,), 0.5), 0.5 * x

    outputs, (h,) = unroll(Average(2, 2), torch.ones(1, 3, 2), engine="reference")
    torch.testing.assert_close(outputs[0, :, 0], torch.tensor([0.5, 0.75, 0.875]))
    assert torch.equal(h, outputs[:, -1])


def test_cells_print_their_sizes() -> None:
    assert repr(MinGRUCell(3, 5)) == "MinGRUCell(3, 5)"
    assert repr(QRNNCell(3, 5)) == "QRNNCell(3, 5, window=2)"
    assert repr(LRUCell(3, 5, state_size=4)) == "LRUCell(3, 5, state_size=4)"
