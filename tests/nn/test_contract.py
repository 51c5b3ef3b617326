"""What every registered cell owes, run by every engine that takes it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial

import pytest
import torch
from torch import Tensor

from seqnlp import registry
from seqnlp.nn import Cell, GatedCell, Padding, Role, State, engines, initialize, unroll
from tests.nn.test_engines import OddCell

B, T, D, H = 4, 5, 3, 4
RAGGED = [5, 2, 0, 3]
EXACT = {"rtol": 1e-11, "atol": 1e-12}


def _registered(name: str) -> Callable[..., Cell]:
    return lambda *sizes, **options: registry.cells.get(name)(*sizes, **options)


CELLS: dict[str, Callable[[int, int], Cell]] = {
    **{name: _registered(name) for name in sorted(registry.cells.names())},
    "rnn relu": partial(_registered("rnn"), activation="relu"),
    "rnn prelu": partial(_registered("rnn"), activation="prelu"),
    "layer_norm_lstm norm_input": partial(_registered("layer_norm_lstm"), norm_input=True),
    "layer_norm_gru norm_input": partial(_registered("layer_norm_gru"), norm_input=True),
    "slstm exp": partial(_registered("slstm"), forget="exp"),
    "odd": OddCell,
}


def make(name: str) -> Cell:
    """Float64, every parameter away from where it begins, and statistics that have seen batches."""
    torch.manual_seed(0)
    cell = CELLS[name](D, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.rand_like(parameter))
        if cell.rows_interact:
            for _ in range(2):
                unroll(cell, torch.randn(B, T, D, dtype=torch.float64))
    return cell


def start_of(cell: Cell, batch: int) -> State:
    """A state that the cell may come to, as leaves that take gradients."""
    with torch.no_grad():
        state = unroll(cell, torch.randn(batch, 2, D, dtype=torch.float64))[1]
    return tuple(
        leaf.requires_grad_(leaf.dtype.is_floating_point or leaf.is_complex()) for leaf in state
    )


def gradients(outputs: Tensor, state: State, wanted: list[Tensor]) -> list[Tensor]:
    """Of a sum that weighs every output and every leaf differently."""
    generator = torch.Generator().manual_seed(9)
    total = outputs.new_zeros(())
    for leaf in (outputs, *state):
        real = torch.view_as_real(leaf) if leaf.is_complex() else leaf
        if real.is_floating_point():
            weights = torch.rand(real.shape, generator=generator, dtype=torch.float64)
            total = total + (real * weights).sum()
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


def differentiable(*tensors: Tensor) -> list[Tensor]:
    return [tensor for tensor in tensors if tensor.requires_grad]


def loop(
    cell: Cell, x: Tensor, lengths: list[int], state: State, reverse: bool
) -> tuple[Tensor, State]:
    """Each row by itself, step by step."""
    rows, finals = [], []
    for row, length in enumerate(lengths):
        now = tuple(leaf[row : row + 1] for leaf in state)
        outputs = [x.new_zeros(cell.hidden_size)] * x.shape[1]
        for t in reversed(range(length)) if reverse else range(length):
            output, now = cell(x[row : row + 1, t], now)
            outputs[t] = output[0]
        rows.append(torch.stack(outputs))
        finals.append(now)
    return torch.stack(rows), tuple(map(torch.cat, zip(*finals, strict=True)))


def _pairs() -> list[tuple[str, str]]:
    found = []
    for name in CELLS:
        x = torch.zeros(1, 1, D, dtype=torch.float64)
        cell = make(name)
        for engine in sorted(registry.engines.names()):
            if engines.find(engine).supports(cell, x):
                found.append((name, engine))
    return found


PAIRS = _pairs()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [[T] * B, RAGGED])
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_values_states_and_gradients_are_those_of_each_row_alone(
    name: str, engine: str, lengths: list[int], reverse: bool
) -> None:
    cell = make(name).eval()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    start = start_of(cell, B)
    wanted = differentiable(x, *start, *cell.parameters())
    found = unroll(cell, x, torch.tensor(lengths), start, reverse=reverse, engine=engine)
    expected = loop(cell, x, lengths, start, reverse)
    torch.testing.assert_close(found, expected, **EXACT)
    for one, other in zip(gradients(*found, wanted), gradients(*expected, wanted), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_padding_is_invisible(name: str, engine: str, reverse: bool, garbage: float) -> None:
    cell = make(name)
    clean = torch.randn(B, T, D, dtype=torch.float64)
    lengths = torch.tensor(RAGGED)
    dirty = clean.masked_fill(~(torch.arange(T) < lengths[:, None]).unsqueeze(2), garbage)
    results = []
    for x in (clean, dirty):
        own = deepcopy(cell)  # its statistics, if it has any, change in training
        wanted = [x.requires_grad_(), *own.parameters()]
        outputs, state = unroll(own, x, lengths, reverse=reverse, engine=engine)
        results.append([outputs, *state, *gradients(outputs, state, wanted), *own.buffers()])
    for first, second in zip(*results, strict=True):
        assert torch.equal(first, second)
    assert not results[0][0][~(torch.arange(T) < lengths[:, None])].any()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_a_row_of_nothing_but_nan_has_zeros_on_its_padding(
    name: str, engine: str, reverse: bool
) -> None:
    cell = make(name).eval()
    x = torch.randn(B, T, D, dtype=torch.float64).index_fill(0, torch.tensor([1]), float("nan"))
    x.requires_grad_()
    absent = torch.arange(T) >= torch.tensor(RAGGED)[:, None]
    outputs, _ = unroll(cell, x, torch.tensor(RAGGED), reverse=reverse, engine=engine)
    assert outputs[1][~absent[1]].isnan().any()
    assert not outputs[absent].any()
    (gradient,) = torch.autograd.grad(outputs.sum(), x)
    assert not gradient[absent].any()


@pytest.mark.parametrize("lengths", [None, RAGGED])
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_both_directions_are_two_runs(name: str, engine: str, lengths: list[int] | None) -> None:
    cells = [make(name).eval(), make(name).eval()]
    with torch.no_grad():
        for parameter in cells[1].parameters():
            parameter.mul_(0.7)
    x = torch.randn(B, T, D, dtype=torch.float64)
    padding = Padding.of(None if lengths is None else torch.tensor(lengths), x)
    x = (x if padding is None else padding.zero(x)).requires_grad_()
    wanted = [x, *cells[0].parameters(), *cells[1].parameters()]
    found = engines.find(engine).run_both(*cells, x, padding)
    ends = None if lengths is None else torch.tensor(lengths)
    runs = [
        unroll(c, x, ends, reverse=r, engine="reference")[0]
        for c, r in zip(cells, (False, True), strict=True)
    ]
    expected = torch.cat(runs, 2)
    torch.testing.assert_close(found, expected, **EXACT)
    for one, other in zip(
        gradients(found, (), wanted), gradients(expected, (), wanted), strict=True
    ):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_two_halves_make_a_whole(name: str, engine: str, training: bool) -> None:
    cell = make(name).train(training)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    start = start_of(cell, B)
    wanted = differentiable(x, *start, *cell.parameters())
    whole, final = unroll(cell, x, state=start, engine=engine)
    first, state = unroll(cell, x[:, :2], state=start, engine=engine)
    second, end = unroll(cell, x[:, 2:], state=state, engine=engine)
    halves = torch.cat([first, second], 1)
    torch.testing.assert_close((halves, end), (whole, final), **EXACT)
    for one, other in zip(
        gradients(halves, end, wanted), gradients(whole, final, wanted), strict=True
    ):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize(("name", "engine"), PAIRS)
def test_the_first_run_may_be_a_prediction(name: str, engine: str) -> None:
    """What an engine prepares when it meets a size may be wanted where gradients are off."""
    torch.manual_seed(0)
    cell = CELLS[name](D, H + 3).double().eval()
    x = torch.randn(B, T, D, dtype=torch.float64)
    with torch.inference_mode():
        outputs, state = unroll(cell, x, engine=engine)
    torch.testing.assert_close((outputs, state), unroll(cell, x, engine="reference"), **EXACT)
    learned = unroll(cell, x.requires_grad_(), engine=engine)[0]
    (gradient,) = torch.autograd.grad(learned.sum(), x)
    (expected,) = torch.autograd.grad(unroll(cell, x, engine="reference")[0].sum(), x)
    torch.testing.assert_close(gradient, expected, **EXACT)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_gradients_of_a_step_are_numerically_right(name: str, training: bool) -> None:
    cell = make(name).train(training)
    x = torch.randn(B, D, dtype=torch.float64, requires_grad=True)
    state = start_of(cell, B)
    moving = differentiable(x, *state, *cell.parameters())

    def step(*_: Tensor) -> tuple[Tensor, ...]:
        output, new = cell(x, state)
        leaves = [torch.view_as_real(leaf) if leaf.is_complex() else leaf for leaf in new]
        return (output, *(leaf for leaf in leaves if leaf.is_floating_point()))

    assert torch.autograd.gradcheck(step, moving)


@pytest.mark.parametrize("name", CELLS)
def test_initialization_reaches_the_parameters_and_repeats(name: str) -> None:
    cell = CELLS[name](D, H)
    for role, block in cell.weight_blocks():
        with torch.no_grad():
            block.fill_(3.0)
        owners = [p for p in cell.parameters() if block.data_ptr() in _addresses(p)]
        assert len(owners) == 1, role  # a view, not a copy
        assert (owners[0] == 3.0).any(), role
    drawn = []
    for _ in range(2):
        torch.manual_seed(1)
        initialize(cell, forget_bias=1.25)
        drawn.append([p.detach().clone() for p in cell.parameters()])
    assert all(map(torch.equal, *drawn))
    for role, block in cell.weight_blocks():
        if role is Role.FORGET_BIAS:
            assert (block == 1.25).all()
        elif role is not Role.BIAS:
            assert not (block == 3.0).any()


def _addresses(parameter: Tensor) -> range:
    size = parameter.element_size()
    return range(parameter.data_ptr(), parameter.data_ptr() + size * parameter.numel(), size)


@pytest.mark.parametrize("name", [name for name in CELLS if isinstance(make(name), GatedCell)])
def test_every_parameter_of_a_gated_cell_counts(name: str) -> None:
    cell = make(name)
    x = torch.randn(B, T, D, dtype=torch.float64)
    outputs, _ = unroll(cell, x, engine="reference")
    for parameter, gradient in zip(
        cell.parameters(), torch.autograd.grad(outputs.sum(), list(cell.parameters())), strict=True
    ):
        assert gradient.shape == parameter.shape
        assert gradient.abs().sum() > 1e-6
