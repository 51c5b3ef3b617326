"""Every state of a recurrence, not its outputs alone."""

from __future__ import annotations

import pytest
import torch

from seqnlp import registry
from seqnlp.errors import InputError
from seqnlp.nn import Cell, GatedCell, LSTMCell, MinGRUCell, unroll, unroll_states

GATED = ["lstm", "gru", "peephole", "slstm"]


def states_of_prefixes(
    cell: Cell, x: torch.Tensor, length: int, reverse: bool
) -> list[torch.Tensor]:
    """What unroll calls the final state of every prefix of one row, step by step."""
    row = x[:length].flip(0) if reverse else x[:length]
    steps = [unroll(cell, row[None, : t + 1], engine="reference")[1] for t in range(length)]
    leaves = [torch.cat(leaf) for leaf in zip(*steps, strict=True)]
    return [leaf.flip(0) for leaf in leaves] if reverse else leaves


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("engine", ["reference", "fused", "auto"])
@pytest.mark.parametrize("name", GATED)
def test_a_state_is_the_final_one_of_the_steps_so_far(
    name: str, engine: str, reverse: bool
) -> None:
    torch.manual_seed(0)
    cell = registry.cells.get(name)(3, 4).double()
    x = torch.randn(3, 5, 3).double()
    lengths = [3, 5, 0]
    leaves, final = unroll_states(cell, x, torch.tensor(lengths), reverse=reverse, engine=engine)
    for row, length in enumerate(lengths):
        for leaf in leaves:
            assert (leaf[row, length:] == 0).all()
        if length:
            wanted = states_of_prefixes(cell, x[row], length, reverse)
            for leaf, expected in zip(leaves, wanted, strict=True):
                torch.testing.assert_close(leaf[row, :length], expected)
    outputs, last = unroll(cell, x, torch.tensor(lengths), reverse=reverse, engine="reference")
    torch.testing.assert_close(leaves[0], outputs)
    for leaf, expected in zip(final, last, strict=True):
        torch.testing.assert_close(leaf, expected)


def test_gradients_reach_through_every_state() -> None:
    torch.manual_seed(1)
    cell = LSTMCell(2, 3).double()
    x = torch.randn(2, 4, 2).double().requires_grad_()
    lengths = torch.tensor([4, 2])
    found = []
    for engine in ("reference", "fused"):
        leaves, _ = unroll_states(cell, x, lengths, engine=engine)
        total = sum((k + 2) * (leaf**2).sum() for k, leaf in enumerate(leaves))
        assert isinstance(total, torch.Tensor)
        found.append(torch.autograd.grad(total, [x, *cell.parameters()]))
    for ours, expected in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


def test_a_state_of_any_shape_has_its_steps() -> None:
    class Counting(GatedCell):
        gates = 1

        def initial_state(self, batch_size: int) -> tuple[torch.Tensor, ...]:
            return (*super().initial_state(batch_size), torch.zeros(batch_size, dtype=torch.int64))

        def forward(
            self, x: torch.Tensor, state: tuple[torch.Tensor, ...]
        ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            h = torch.tanh(state[0] + x.sum(1, keepdim=True))
            return h, (h, state[1] + 1)

        def update(
            self,
            x_gates: tuple[torch.Tensor, ...],
            h_gates: tuple[torch.Tensor, ...],
            state: tuple[torch.Tensor, ...],
        ) -> tuple[torch.Tensor, ...]:
            raise NotImplementedError

    (_, counts), final = unroll_states(
        Counting(2, 3), torch.randn(2, 3, 2), torch.tensor([3, 1]), reverse=True
    )
    assert counts.tolist() == [[3, 2, 1], [1, 0, 0]]
    assert final[1].tolist() == [3, 1]


def test_nothing_to_run_has_no_steps() -> None:
    leaves, final = unroll_states(LSTMCell(2, 3), torch.zeros(2, 0, 2))
    assert [leaf.shape for leaf in leaves] == [(2, 0, 3)] * 2
    assert [leaf.shape for leaf in final] == [(2, 3)] * 2


@pytest.mark.parametrize(("cell", "engine"), [(LSTMCell, "native"), (MinGRUCell, "fused")])
def test_an_engine_that_gives_outputs_alone_says_so(cell: type[Cell], engine: str) -> None:
    with pytest.raises(InputError) as caught:
        unroll_states(cell(2, 3), torch.zeros(1, 2, 2), engine=engine)
    assert str(caught.value) == (
        f"the engine {engine!r} gives outputs alone, not states; use 'reference' or 'auto'"
    )


@pytest.mark.parametrize("engine", ["reference", "native", "fused"])
def test_a_state_of_another_shape_or_type_is_refused(engine: str) -> None:
    cell, x = LSTMCell(2, 3), torch.zeros(4, 12, 2)
    good = torch.zeros(4, 3)
    wanted = "the state of LSTMCell must be (float32 [4, 3], float32 [4, 3]), not "
    for bad, found in (
        ((good,), "(float32 [4, 3])"),
        ((good, good[:1]), "(float32 [4, 3], float32 [1, 3])"),
        ((good[:, :1], good), "(float32 [4, 1], float32 [4, 3])"),
        ((good.double(), good), "(float64 [4, 3], float32 [4, 3])"),
    ):
        with pytest.raises(InputError) as caught:
            unroll(cell, x, state=bad, engine=engine)
        assert str(caught.value) == wanted + found
