"""Truncated backpropagation through time, against a loop that detaches by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import RecurrentDecoder, RecurrentEncoder, RecurrentLayer
from seqnlp.nn.cells import Cell
from seqnlp.nn.engines import Padding
from seqnlp.nn.layer import set_truncation
from seqnlp.registry import cells as known_cells

STEPS, HIDDEN = 3, 4
LENGTHS = torch.tensor([10, 3, 7, 1])
CELLS = (
    "rnn",
    "lstm",
    "gru",
    "irnn",
    "peephole",
    "layer_norm_lstm",
    "slstm",
    "min_gru",
    "sru",
    "lru",
)

CASES = [
    *((engine, name) for engine in ("reference", "fused") for name in CELLS),
    *(("native", name) for name in ("rnn", "lstm", "gru")),
]


def make_layer(name: str, engine: str, *, both: bool) -> RecurrentLayer:
    torch.manual_seed(0)
    made = [known_cells.get(name)(3, HIDDEN).double() for _ in range(1 + both)]
    return RecurrentLayer(
        made[0], made[1] if both else None, residual=False, layer_norm=False, engine=engine
    )


def walk(cell: Cell, row: Tensor, steps: int) -> Tensor:
    """One row, step by step, its state detached by hand."""
    state, outputs = cell.initial_state(1), []
    for t, x in enumerate(row.unbind(0)):
        if t and t % steps == 0:
            state = tuple(leaf.detach() for leaf in state)
        output, state = cell(x.unsqueeze(0), state)
        outputs.append(output)
    return torch.cat(outputs)


def by_hand(layer: RecurrentLayer, x: Tensor, lengths: Tensor, steps: int) -> Tensor:
    outputs = x.new_zeros(*x.shape[:2], layer.output_size)
    for number, length in enumerate(lengths.tolist()):
        halves = [walk(layer.forward_cell, x[number, :length], steps)]
        if layer.backward_cell is not None:
            halves.append(walk(layer.backward_cell, x[number, :length].flip(0), steps).flip(0))
        whole = torch.cat(halves, dim=1)
        outputs = outputs.index_put((torch.full((length,), number), torch.arange(length)), whole)
    return outputs


def gradients(layer: RecurrentLayer, x: Tensor, outputs: Tensor) -> list[Tensor]:
    weight = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(5))
    found = torch.autograd.grad((outputs * weight).sum(), [x, *layer.parameters()])
    return list(found)


def encode(layer: RecurrentLayer, x: Tensor, lengths: Tensor) -> Tensor:
    padding = Padding.of(lengths, x)
    return layer(x if padding is None else padding.zero(x), padding)  # type: ignore[no-any-return]


@pytest.mark.parametrize("both", [False, True], ids=["one", "both"])
@pytest.mark.parametrize(("engine", "name"), CASES)
def test_gradients_are_those_of_a_loop_that_detaches(name: str, engine: str, both: bool) -> None:
    layer = make_layer(name, engine, both=both)
    x = torch.randn(4, 11, 3, dtype=torch.double, requires_grad=True)
    plain = encode(layer, x, LENGTHS)
    set_truncation(layer, STEPS)
    outputs = encode(layer, x, LENGTHS)
    torch.testing.assert_close(outputs, plain)
    expected = gradients(layer, x, by_hand(layer, x, LENGTHS, STEPS))
    for found, by_loop in zip(gradients(layer, x, outputs), expected, strict=True):
        torch.testing.assert_close(found, by_loop)
    whole = gradients(layer, x, plain)
    assert not torch.allclose(whole[0], expected[0])


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any),
    steps=st.integers(1, 10),
    name=st.sampled_from(["rnn", "gru"]),
)
def test_no_gradient_crosses_a_border(lengths: list[int], steps: int, name: str) -> None:
    layer = make_layer(name, "fused", both=True)
    set_truncation(layer, steps)
    x = torch.randn(len(lengths), max(lengths), 3, dtype=torch.double, requires_grad=True)
    outputs = encode(layer, x, torch.tensor(lengths))
    row = max(range(len(lengths)), key=lengths.__getitem__)
    last = lengths[row] - 1
    (ahead,) = torch.autograd.grad(outputs[row, last, :HIDDEN].sum(), x, retain_graph=True)
    begin = last // steps * steps
    reached = ahead[row].abs().sum(1) > 0
    assert reached.tolist() == [begin <= t <= last for t in range(x.shape[1])]
    # Backward it is the other way round, counted from the row's own end.
    (back,) = torch.autograd.grad(outputs[row, 0, HIDDEN:].sum(), x)
    assert (back[row].abs().sum(1) > 0).tolist() == [t < lengths[row] - begin for t in range(x.shape[1])]  # fmt: skip


def test_dropout_inside_is_the_same_in_all_stretches() -> None:
    """Locked masks hold for the whole row, masks of each step move with their steps."""
    for kind in ("locked", "weight", "candidate"):
        layer = make_layer("lstm", "fused", both=True)
        layer.dropout.rate, layer.dropout.kind = 0.5, kind
        x = torch.randn(4, 10, 3, dtype=torch.double)
        drawn = []
        for steps in (0, STEPS):
            set_truncation(layer, steps)
            torch.manual_seed(3)
            drawn.append(encode(layer, x, LENGTHS))
        torch.testing.assert_close(*drawn)


def test_the_state_goes_on_and_a_given_one_is_learned_from() -> None:
    layer = make_layer("gru", "fused", both=False)
    set_truncation(layer, STEPS)
    x = torch.randn(2, 7, 3, dtype=torch.double)
    state = (torch.randn(2, HIDDEN, dtype=torch.double, requires_grad=True),)
    outputs, final = layer.advance(x, None, state)
    torch.testing.assert_close(final[0], outputs[:, -1])
    (gradient,) = torch.autograd.grad(outputs[:, STEPS - 1].sum(), state, retain_graph=True)
    assert gradient.abs().min() > 0
    (none,) = torch.autograd.grad(outputs[:, STEPS].sum(), state, allow_unused=True)
    assert none is None or not none.any()


def test_nothing_is_cut_without_a_gradient_or_in_evaluation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = make_layer("gru", "fused", both=False)
    set_truncation(layer, STEPS)
    monkeypatch.setattr(layer, "_run_truncated", None)
    x = torch.randn(2, 7, 3, dtype=torch.double)
    with torch.no_grad():
        encode(layer, x, torch.tensor([7, 7]))
    encode(layer.eval(), x, torch.tensor([7, 7]))
    with pytest.raises(TypeError):
        encode(layer.train(), x, torch.tensor([7, 7]))


def test_what_cannot_be_cut_is_said() -> None:
    with pytest.raises(InputError, match="no recurrent layer whose gradient could be cut"):
        set_truncation(nn.Linear(2, 2), 3)
    fed = RecurrentDecoder(3, 4, 4, output_size=4, hidden_size=4, input_feeding=True)
    with pytest.raises(InputError, match=r"takes all steps in one call.*head\.input_feeding=false"):
        set_truncation(fed, 3)
    set_truncation(fed, 0)
    whole = RecurrentEncoder(3, hidden_size=4, layers=2)
    set_truncation(whole, 3)
    assert [layer.truncation for layer in whole.layers] == [3, 3]
