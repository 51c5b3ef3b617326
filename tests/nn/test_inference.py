"""Cells that are prepared for inference: the same values, and nothing of what has changed since."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqnlp.nn import GatedCell, Gates, GRUCell, LSTMCell, RecurrentEncoder, State, unroll
from seqnlp.nn.engines import build, inference
from seqnlp.nn.engines.inference import prepare
from seqnlp.nn.layer import set_engine
from tests.nn.gated import GATED, make_registered

B, T, D, H = 5, 7, 9, 20
RAGGED = torch.tensor([7, 2, 0, 7, 4])

compiled = pytest.mark.skipif(build.toolchain() is None, reason="nothing can be compiled here")


class Leaky(GatedCell):
    """A cell of a user's with whatever may change later: attributes, a parameter, its start."""

    gates, states, recurrent_bias = 2, 2, True
    slope = 0.5
    slopes: list[float]

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.leak = nn.Parameter(torch.full((hidden_size,), 0.3))
        self.factor, self.start, self.slopes = 1.0, 0.25, [0.1]

    def initial_state(self, batch_size: int) -> State:
        return tuple(leaf + self.start for leaf in super().initial_state(batch_size))

    def update(self, x_gates: Gates, h_gates: Gates, state: State, leak: Tensor) -> State:
        new = torch.tanh(x_gates[0] + h_gates[0] * x_gates[1])
        memory = self.factor * leak * state[1] + self.slopes[0] * new
        return new * self.slope + memory, memory


def both_ways(cell: GatedCell, x: Tensor, **options: Any) -> list[tuple[Tensor, ...]]:
    """Outputs and final state of the reference and of the fused engine."""
    with torch.no_grad():
        runs = [unroll(cell, x, engine=name, **options) for name in ("reference", "fused")]
    return [(outputs, *final) for outputs, final in runs]


def agree(cell: GatedCell, x: Tensor, **options: Any) -> None:
    expected, found = both_ways(cell, x, **options)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GATED)
def test_every_cell_computes_what_the_loop_over_steps_does(name: str) -> None:
    cell = make_registered(name, D, H, torch.float32)
    x = torch.randn(B, T, D)
    state = unroll(cell, torch.randn(B, 2, D))[1]
    state = tuple(leaf.detach() for leaf in state)
    for reverse in (False, True):
        agree(cell, x, reverse=reverse)
        agree(cell, x, lengths=RAGGED, state=state, reverse=reverse)


@settings(max_examples=25)
@given(
    batch=st.sampled_from([1, 1, 2, 3, 13, 40]), steps=st.integers(1, 60),
    inputs=st.integers(1, 70), hidden=st.integers(1, 140), threads=st.integers(1, 3),
    reverse=st.booleans(), ragged=st.booleans(), kind=st.sampled_from([LSTMCell, GRUCell, Leaky]),
)  # fmt: skip
def test_any_sizes_on_any_number_of_threads(
    batch: int, steps: int, inputs: int, hidden: int, threads: int, reverse: bool, ragged: bool,
    kind: type[GatedCell],
) -> None:  # fmt: skip
    torch.manual_seed(batch + steps)
    cell, x = kind(inputs, hidden), torch.randn(batch, steps, inputs)
    lengths = torch.randint(0, steps + 1, (batch,)) if ragged else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(inference.PRODUCTS_A_THREAD, "float", 1)
        patch.setattr(torch, "get_num_threads", lambda: threads)
        agree(cell, x, lengths=lengths, reverse=reverse)


def test_two_directions_write_into_one_array_and_read_any_strides() -> None:
    encoder = RecurrentEncoder(D, hidden_size=H, layers=2).eval()
    x = torch.randn(T, D, B).permute(2, 0, 1)
    with torch.no_grad():
        for lengths in (torch.full((B,), T), RAGGED.clamp(min=1)):
            set_engine(encoder, "fused")
            found = encoder(x, lengths)
            set_engine(encoder, "reference")
            expected = encoder(x, lengths)
            torch.testing.assert_close(found.states, expected.states)
            torch.testing.assert_close(found.summary, expected.summary)


def replace_weight(cell: Leaky) -> None:
    cell.weight_h = nn.Parameter(cell.weight_h.detach() * 2)


def give_other_data(cell: Leaky) -> None:
    cell.bias.data = cell.bias.data + 1


def write_in_place(cell: Leaky) -> None:
    cell.weight_x.mul_(2)


def load(cell: Leaky) -> None:
    cell.load_state_dict({name: value * 2 for name, value in cell.state_dict().items()})


def step_an_optimizer(cell: Leaky) -> None:
    with torch.enable_grad():
        unroll(cell, torch.randn(2, 3, D))[0].sum().backward()  # type: ignore[no-untyped-call]
    torch.optim.AdamW(cell.parameters(), lr=0.1).step()


def step_in_one_call(cell: Leaky, kind: type[torch.optim.Optimizer] = torch.optim.SGD) -> None:
    with torch.enable_grad():
        unroll(cell, torch.randn(2, 3, D))[0].sum().backward()  # type: ignore[no-untyped-call]
    kind(cell.parameters(), lr=0.1, fused=True).step()  # type: ignore[call-arg]


def average(cell: Leaky) -> None:
    for parameter in cell.parameters():
        parameter.data.mul_(0.9).add_(torch.full_like(parameter, 0.1))


def write_a_row(cell: Leaky) -> None:
    cell.weight_h.data[3] = 1


def write_a_column(cell: Leaky) -> None:
    cell.weight_x.data[:, -1] = 1


def write_by_numpy(cell: Leaky) -> None:
    numbers = cell.weight_x.detach().numpy()
    numbers *= 2


@compiled
@pytest.mark.parametrize(
    "change",
    [
        step_in_one_call,
        partial(step_in_one_call, kind=torch.optim.Adam),
        partial(step_in_one_call, kind=torch.optim.Adagrad),
        average,
        write_a_row,
        write_a_column,
        write_by_numpy,
        replace_weight,
        give_other_data,
        write_in_place,
        load,
        step_an_optimizer,
        lambda cell: cell.leak.add_(1),
        lambda cell: cell.bias_h.zero_(),
        lambda cell: setattr(cell, "factor", 0.5),
        lambda cell: setattr(cell, "start", 1.0),
        lambda cell: cell.slopes.__setitem__(0, 0.9),
        lambda cell: setattr(type(cell), "slope", type(cell).slope * 2),
    ],
)
def test_whatever_changes_is_seen(change: Callable[[Leaky], object]) -> None:
    torch.manual_seed(0)
    cell, x = type("Own", (Leaky,), {})(D, H), torch.randn(1, T, D)
    agree(cell, x)
    before = both_ways(cell, x)[1]
    with torch.no_grad():
        change(cell)
    assert not torch.allclose(both_ways(cell, x)[1][0], before[0], atol=1e-3)
    agree(cell, x)


def test_weights_that_are_computed_are_those_of_now() -> None:
    cell, x = LSTMCell(D, H), torch.randn(1, T, D)
    parametrizations.weight_norm(cell, "weight_h")  # type: ignore[no-untyped-call]
    agree(cell, x)
    with torch.no_grad():
        cell.parametrizations["weight_h"].original0.mul_(2)  # type: ignore[index, union-attr]
    agree(cell, x)


@compiled
def test_a_cell_is_prepared_once_and_let_go_with_it() -> None:
    cell = LSTMCell(D, H)
    made = prepare(cell)
    assert made is not None
    assert prepare(cell) is made
    assert prepare(copy.deepcopy(cell)) is not made
    own = Leaky(D, H)
    with torch.no_grad():
        unroll(own, torch.randn(1, T, D), engine="fused")
    gone = weakref.ref(own)
    del own
    gc.collect()
    assert gone() is None


@compiled
def test_what_is_not_float32_or_needs_gradients_is_left_to_others() -> None:
    assert prepare(LSTMCell(D, H).double()) is None
    with torch.inference_mode():
        assert prepare(LSTMCell(D, H)) is None
    cell, x = LSTMCell(D, H), torch.randn(1, T, D)
    unroll(cell, x, engine="fused")[0].sum().backward()  # type: ignore[no-untyped-call]
    assert cell.weight_h.grad is not None
    with torch.inference_mode():
        own = LSTMCell(D, H)
        agree(own, x)


@compiled
def test_numbers_that_are_not_finite_stay_in_their_row() -> None:
    cell, x = GRUCell(D, H), torch.randn(B, T, D)
    bad = x.clone()
    bad[1, 3, 0] = torch.nan
    with torch.no_grad():
        clean, found = (unroll(cell, each, engine="fused")[0] for each in (x, bad))
    assert bool(found[1, 3:].isnan().all())
    assert torch.equal(found[[0, 2, 3, 4]], clean[[0, 2, 3, 4]])
    assert torch.equal(found[1, :3], clean[1, :3])
