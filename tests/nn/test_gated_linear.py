"""Gated linear cells in one compiled call: what an author writes in `mix`, and where that ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.nn import GatedLinearCell, Gates, LinearCell, MinGRUCell, SRUCell, unroll
from seqnlp.nn.engines import build, gated_linear, linear

pytestmark = pytest.mark.skipif(build.toolchain() is None, reason="no kernel can be compiled")


class CountedGatesCell(GatedLinearCell):
    """A user's own: three gates, a Python number, operations of several kinds, and a gate unread."""

    gates = 4

    def __init__(self, input_size: int, hidden_size: int, *, slope: float = 0.5) -> None:
        super().__init__(input_size, hidden_size, window=2)
        self.slope = slope

    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        keep = torch.sigmoid(x_gates[0]) * torch.exp(-torch.relu(x_gates[2]))
        return keep, torch.where(x_gates[1] > 0, x_gates[1], self.slope * x_gates[1]) - keep


def has_kernel(cell: GatedLinearCell, x: Tensor) -> bool:
    return gated_linear.find_kernel(cell, x, cell.initial_state(x.shape[0])[0]) is not None


def compare(cell: LinearCell, x: Tensor, lengths: list[int] | None, *, reverse: bool) -> None:
    """Outputs, state and gradients against the loop over steps, float64."""
    x = x.detach().requires_grad_()
    given = None if lengths is None else torch.tensor(lengths)
    results = []
    for engine in ("reference", "fused"):
        outputs, state = unroll(cell, x, given, reverse=reverse, engine=engine)
        weights = torch.linspace(-1, 1, outputs.numel(), dtype=x.dtype).view(outputs.shape)
        total = (outputs * weights).sum() + state[0].square().sum()
        found = torch.autograd.grad(total, [x, *cell.parameters()], materialize_grads=True)
        results.append([outputs, *state, *found])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@given(st.data())
@settings(max_examples=40)
def test_a_cell_of_ones_own_equals_the_loop_at_any_size(data: st.DataObject) -> None:
    """Lengths on either side of the hundred steps that are worked on at once among them."""
    batch, time = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 9) | st.just(230))
    sizes = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 70)))
    lengths = data.draw(st.none() | st.lists(st.integers(0, time), min_size=batch, max_size=batch))
    torch.manual_seed(data.draw(st.integers(0, 99)))
    cell = CountedGatesCell(*sizes).double()
    x = torch.randn(batch, time, sizes[0], dtype=torch.float64)
    assert has_kernel(cell, torch.cat([x, x[:, :1]], 1))
    compare(cell, x, lengths, reverse=data.draw(st.booleans()))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("lengths", [None, [230, 3, 97, 0, 96]])
def test_threads_change_nothing(
    threads: int, lengths: list[int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gated_linear, "_NUMBERS_A_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    torch.manual_seed(1)
    cell = MinGRUCell(7, 33).double()
    for time in (230, 4):
        x = torch.randn(5, time, 7, dtype=torch.float64)
        given = None if lengths is None else [min(n, time) for n in lengths]
        compare(cell, x, given, reverse=False)


def test_inputs_of_any_layout_are_read_in_place() -> None:
    torch.manual_seed(2)
    cell = MinGRUCell(3, 5).double()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    layouts: list[Callable[[Tensor], Tensor]] = [
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
        lambda x: x.transpose(1, 2).contiguous().transpose(1, 2),
        lambda x: torch.cat([x, x], 2)[..., 3:],
        lambda x: torch.cat([x, x], 1)[:, :6],
        lambda x: x[:1].expand(4, 6, 3),
    ]
    for layout in layouts:
        compare(cell, layout(x), None, reverse=False)
        compare(cell, layout(x), [6, 2, 0, 3], reverse=True)


def test_second_derivatives() -> None:
    torch.manual_seed(3)
    cell = CountedGatesCell(2, 2).double()
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor) -> tuple[Tensor, Tensor]:
        outputs, state = unroll(cell, x, torch.tensor([4, 2]), engine="fused")
        return outputs, state[0]

    assert torch.autograd.gradcheck(run, (x,))
    assert torch.autograd.gradgradcheck(run, (x,))


def test_attributes_of_a_cell_are_part_of_its_kernel() -> None:
    torch.manual_seed(4)
    x = torch.randn(1, 3, 2)
    cell = CountedGatesCell(2, 3, slope=0.5)
    before = unroll(cell, x, engine="fused")[0]
    cell.slope = 0.25
    changed = unroll(cell, x, engine="fused")[0]
    assert not torch.allclose(before, changed)
    torch.testing.assert_close(changed, unroll(cell, x, engine="reference")[0])


def test_what_is_not_pointwise_takes_the_general_way() -> None:
    class Normalized(MinGRUCell):
        """Its gates depend on each other's features."""

        def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
            return super().mix((torch.softmax(x_gates[0], dim=-1), x_gates[1]))

    class Shifted(MinGRUCell):
        """Its coefficients are its own."""

        def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
            a, b = super().coefficients(x)
            return a, b + 1

    class FromSelf(MinGRUCell):
        """Reads a parameter that `mix` is not given."""

        def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
            a, b = super().mix(x_gates)
            return a, b * self.bias[: self.hidden_size].exp()

    torch.manual_seed(5)
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    for kind in (Normalized, Shifted, FromSelf):
        cell = kind(3, 4).double()
        assert not has_kernel(cell, x)
        compare(cell, x, [4, 2], reverse=True)


def test_other_kinds_of_numbers_take_the_general_way() -> None:
    cell = MinGRUCell(3, 4)
    assert has_kernel(cell, torch.zeros(1, 2, 3))
    assert not has_kernel(cell, torch.zeros(1, 2, 3, dtype=torch.float64))
    assert not has_kernel(cell.bfloat16(), torch.zeros(1, 2, 3).bfloat16())


def test_nothing_is_not_a_number_where_gates_are_far_out() -> None:
    x = torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4]).view(1, 5, 1)
    for kind in (MinGRUCell, SRUCell):
        cell = kind(1, 3)
        outputs, _ = unroll(cell, x, engine="fused")
        found = torch.autograd.grad(outputs.sum(), list(cell.parameters()))
        assert all(value.isfinite().all() for value in (outputs, *found))


def test_only_wanted_gradients_are_computed() -> None:
    cell = MinGRUCell(3, 4)
    x = torch.randn(2, 5, 3, requires_grad=True)
    cell.bias.requires_grad_(False)
    unroll(cell, x, engine="fused")[0].sum().backward()
    assert x.grad is not None
    assert cell.weight.grad is not None
    assert cell.bias.grad is None


def test_a_batch_compiles_nothing_anew() -> None:
    cell = CountedGatesCell(2, 3)
    unroll(cell, torch.randn(2, 3, 2), engine="fused")
    before = build.built()
    for batch, time in ((1, 1), (5, 40), (3, 7)):
        unroll(cell, torch.randn(batch, time, 2), engine="fused")
    assert build.built() == before
    assert linear.find_kernel is gated_linear.find_kernel
