"""Unrolling: engines against torch's modules and each other, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn import Cell, GRUCell, LSTMCell, Padding, RNNCell, State, engines, unroll

CELLS: dict[str, Callable[[int, int], Cell]] = {
    "lstm": LSTMCell,
    "gru": GRUCell,
    "rnn_tanh": RNNCell,
    "rnn_relu": lambda i, h: RNNCell(i, h, activation="relu"),
}
ENGINES = ["fused", "native", "reference"]
RAGGED = [4, 1, 6, 3, 6]


class OddCell(Cell):
    """A state of mixed ranks and dtypes: an integer count first, a matrix memory, h last."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.linear = nn.Linear(input_size + hidden_size, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        weight = self.linear.weight
        size = self.hidden_size
        count = torch.zeros(batch_size, dtype=torch.int64, device=weight.device)
        memory = weight.new_zeros(batch_size, size, size)
        return count, memory, weight.new_zeros(batch_size, size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        count, memory, h = state
        key = torch.tanh(self.linear(torch.cat([x, h], 1)))
        memory = 0.9 * memory + key.unsqueeze(2) * h.unsqueeze(1) + key.unsqueeze(1)
        h = torch.tanh((memory @ key.unsqueeze(2)).squeeze(2)) + 0.1 * count.unsqueeze(1)
        return 2 * h, (count + 1, memory, h)


def twin(cell: Cell) -> nn.RNNBase:
    """Torch's module on the same weights."""
    sizes = (cell.input_size, cell.hidden_size)
    if isinstance(cell, LSTMCell):
        module: nn.RNNBase = nn.LSTM(*sizes, batch_first=True)
    elif isinstance(cell, GRUCell):
        module = nn.GRU(*sizes, batch_first=True)
    else:
        assert isinstance(cell, RNNCell)
        module = nn.RNN(*sizes, batch_first=True, nonlinearity=cell.activation)
    module = module.to(cell.weight_x.dtype)
    with torch.no_grad():
        module.weight_ih_l0.copy_(cell.weight_x)
        module.weight_hh_l0.copy_(cell.weight_h)
        module.bias_ih_l0.copy_(cell.bias)
        module.bias_hh_l0.copy_(torch.zeros(()) if cell.bias_h is None else cell.bias_h)
    return module


def reverse_rows(x: Tensor, lengths: list[int]) -> Tensor:
    rows = [torch.cat([row[:n].flip(0), row[n:]]) for row, n in zip(x, lengths, strict=True)]
    return torch.stack(rows)


def gradients(outputs: Tensor, state: State, wanted: list[Tensor]) -> list[Tensor]:
    """Of a sum that weighs every output and every leaf differently."""
    generator = torch.Generator().manual_seed(9)
    total = outputs.new_zeros(())
    for leaf in (outputs, *state):
        if leaf.is_floating_point():
            weights = torch.rand(leaf.shape, generator=generator, dtype=torch.float64)
            total = total + (leaf * weights.to(leaf)).sum()
    return list(torch.autograd.grad(total, wanted))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("lengths", [None, RAGGED, [6] * 5])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", CELLS)
def test_values_state_and_gradients_equal_torch(
    kind: str, engine: str, reverse: bool, lengths: list[int] | None, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    batch, time, size, hidden = 5, 6, 3, 4
    cell = CELLS[kind](size, hidden).to(dtype)
    module = twin(cell)
    x = torch.randn(batch, time, size, dtype=dtype, requires_grad=True)
    start = tuple(
        torch.randn(batch, hidden, dtype=dtype, requires_grad=True)
        for _ in cell.initial_state(batch)
    )
    ends = lengths or [time] * batch
    outputs, state = unroll(
        cell, x, None if lengths is None else torch.tensor(lengths), start,
        reverse=reverse, engine=engine,
    )  # fmt: skip

    read = reverse_rows(x, ends) if reverse else x
    packed = pack_padded_sequence(read, torch.tensor(ends), batch_first=True, enforce_sorted=False)
    first = tuple(leaf.unsqueeze(0) for leaf in start)
    result, final = module(packed, first if len(first) > 1 else first[0])
    expected = pad_packed_sequence(result, batch_first=True, total_length=time)[0]
    expected = reverse_rows(expected, ends) if reverse else expected
    final = tuple(leaf[0] for leaf in (final if len(first) > 1 else (final,)))

    exact = dtype is torch.float64
    tolerance = {"rtol": 1e-12, "atol": 1e-13} if exact else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(outputs, expected, **tolerance)
    for leaf, wanted in zip(state, final, strict=True):
        torch.testing.assert_close(leaf, wanted, **tolerance)
    own = [cell.weight_x, cell.weight_h, cell.bias]
    theirs = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0]
    if cell.bias_h is not None:
        own, theirs = [*own, cell.bias_h], [*theirs, module.bias_hh_l0]
    mine = gradients(outputs, state, [x, *start, *own])
    others = gradients(expected, final, [x, *start, *theirs])
    for gradient, wanted in zip(mine, others, strict=True):
        torch.testing.assert_close(gradient, wanted, **tolerance)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), kind=st.sampled_from(list(CELLS)), reverse=st.booleans())
def test_engines_agree_at_any_size(data: st.DataObject, kind: str, reverse: bool) -> None:
    batch = data.draw(st.integers(0, 5))
    time = data.draw(st.integers(0, 7))
    hidden = data.draw(st.integers(1, 6))
    size = data.draw(st.integers(1, 5))
    drawn = data.draw(st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    torch.manual_seed(1)
    cell = CELLS[kind](size, hidden).double()
    x = torch.randn(batch, time, size).double().requires_grad_()
    lengths = torch.tensor(drawn, dtype=torch.int64)
    *results, (others, other_state) = [
        unroll(cell, x, lengths, reverse=reverse, engine=engine) for engine in ENGINES
    ]
    for outputs, state in results:
        assert outputs.shape == (batch, time, hidden)
        torch.testing.assert_close(outputs, others, rtol=1e-12, atol=1e-13)
        for leaf, other in zip(state, other_state, strict=True):
            torch.testing.assert_close(leaf, other, rtol=1e-12, atol=1e-13)
    for row, length in enumerate(drawn):
        assert (outputs[row, length:] == 0).all()
        if length == 0:
            assert all((leaf[row] == 0).all() for leaf in state)
    if batch and sum(drawn):
        wanted = [x, *cell.parameters()]
        expected = gradients(others, other_state, wanted)
        for outputs, state in results:
            for mine, other in zip(gradients(outputs, state, wanted), expected, strict=True):
                torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("hidden", [3, 4, 5])
def test_any_state_equals_each_row_alone(hidden: int, reverse: bool) -> None:
    """B = 4 here, so hidden = 4 is the case in which a [B, 1] mask would broadcast in silence."""
    torch.manual_seed(3)
    cell = OddCell(2, hidden).double()
    lengths = [5, 0, 3, 1]
    x = torch.randn(4, 5, 2).double()
    outputs, state = unroll(cell, x, torch.tensor(lengths), reverse=reverse)
    assert state[0].tolist() == lengths
    for row, length in enumerate(lengths):
        alone, final = unroll(cell, x[row : row + 1, :length], reverse=reverse)
        torch.testing.assert_close(outputs[row, :length], alone[0], rtol=1e-12, atol=1e-13)
        for leaf, wanted in zip(state, final, strict=True):
            torch.testing.assert_close(leaf[row], wanted[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("reverse", [False, True])
def test_unroll_is_the_loop_that_a_reader_would_write(reverse: bool) -> None:
    torch.manual_seed(4)
    cell = OddCell(2, 3).double()
    x = torch.randn(2, 4, 2).double()
    state, wanted = cell.initial_state(2), {}
    for t in reversed(range(4)) if reverse else range(4):
        wanted[t], state = cell(x[:, t], state)
    outputs, final = unroll(cell, x, reverse=reverse)
    torch.testing.assert_close(outputs, torch.stack([wanted[t] for t in range(4)], 1))
    for leaf, expected in zip(final, state, strict=True):
        torch.testing.assert_close(leaf, expected)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_numerically_right(engine: str, reverse: bool) -> None:
    torch.manual_seed(6)
    cell = LSTMCell(2, 2).double()
    x = torch.randn(2, 3, 2).double().requires_grad_()
    lengths = torch.tensor([3, 1])

    def run(x: Tensor) -> Tensor:
        outputs, state = unroll(cell, x, lengths, reverse=reverse, engine=engine)
        return torch.cat([outputs.flatten(), *(leaf.flatten() for leaf in state)])

    assert torch.autograd.gradcheck(run, (x,))


@pytest.mark.parametrize("engine", ENGINES)
def test_second_derivatives_pass_through_the_reversal(engine: str) -> None:
    torch.manual_seed(7)
    cell = GRUCell(2, 2).double()
    x = torch.randn(2, 3, 2).double().requires_grad_()
    lengths = torch.tensor([3, 2])
    assert torch.autograd.gradgradcheck(
        lambda x: unroll(cell, x, lengths, reverse=True, engine=engine)[0], (x,)
    )


def test_auto_is_the_reference_where_no_other_can_be() -> None:
    x = torch.zeros(1, 2, 3)
    assert engines.select("auto", LSTMCell(3, 4), x).name == "native"
    assert engines.select("auto", RNNCell(3, 4, activation="elu"), x).name == "fused"
    assert engines.select("auto", OddCell(3, 4), x).name == "reference"
    assert engines.select("reference", LSTMCell(3, 4), x).name == "reference"


def test_native_refuses_a_cell_that_it_cannot_run() -> None:
    with pytest.raises(InputError) as caught:
        unroll(RNNCell(3, 4, activation="elu"), torch.zeros(1, 2, 3), engine="native")
    assert str(caught.value) == (
        "the engine 'native' cannot run RNNCell(3, 4, activation='elu'): "
        "torch has no such recurrence; use 'reference', which runs every cell, or 'auto'"
    )


def test_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        unroll(LSTMCell(3, 4), torch.zeros(1, 2, 3), engine="nativ")
    assert str(caught.value).startswith(
        "no engine is named 'nativ'; did you mean 'native'? known: auto"
    )


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 5, 4), None, "x must be float [B, T, 3], not [2, 5, 4]"),
        ((2, 3), None, "x must be float [B, T, 3], not [2, 3]"),
        ((2, 5, 3), [1, 2, 3], "lengths must be int64 [2], one a row of x, not int64 [3]"),
        ((2, 5, 3), [1.0, 2.0], "lengths must be int64 [2], one a row of x, not float32 [2]"),
        ((2, 5, 3), [5, 6], "row 1 has length 6, but x has 5 steps"),
        ((2, 5, 3), [-1, 5], "row 0 has length -1, but x has 5 steps"),
    ],
)
def test_wrong_input_is_named(
    shape: tuple[int, ...], lengths: list[float] | None, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        unroll(
            LSTMCell(3, 4), torch.zeros(shape), None if lengths is None else torch.tensor(lengths)
        )
    assert str(caught.value) == message


def test_full_rows_need_no_padding() -> None:
    x = torch.zeros(3, 4, 2)
    assert Padding.of(None, x) is None
    assert Padding.of(torch.tensor([4, 4, 4]), x) is None
    padding = Padding.of(torch.tensor([4, 0, 2]), x)
    assert padding is not None
    assert padding.mask.tolist() == [[True] * 4, [False] * 4, [True, True, False, False]]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_reversal_is_its_own_inverse(data: st.DataObject) -> None:
    time = data.draw(st.integers(1, 6))
    drawn = data.draw(st.lists(st.integers(0, time), min_size=1, max_size=5))
    x = torch.randn(len(drawn), time, 2)
    padding = Padding(lengths=torch.tensor(drawn), time=time)
    assert torch.equal(padding.reverse(x), reverse_rows(x, drawn))
    assert torch.equal(padding.reverse(padding.reverse(x)), x)


def test_native_takes_gradients_in_evaluation() -> None:
    torch.manual_seed(8)
    cell = LSTMCell(2, 3).eval()
    x = torch.randn(1, 4, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(unroll(cell, x)[0].sum(), x)
    assert gradient.abs().min() > 0
