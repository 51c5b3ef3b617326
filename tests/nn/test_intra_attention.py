"""Decoders that attend to their own past: step after step, by the formula, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seqnlp.nn import RecurrentDecoderState
from seqnlp.nn.attention.intra import IntraAttention
from seqnlp.types import Encoded
from tests.nn.test_decoder import (
    ATTENTIONS,
    LENGTHS,
    B,
    C,
    D,
    E,
    H,
    O,
    T,
    additive_weights,
    assert_close,
    assert_same,
    check_steps,
    decode,
    gru_step,
    make,
    make_encoded,
    make_inputs,
    odd_cell,
    real_steps,
    results,
)

__all__ = ["odd_cell"]

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"intra_attention": True},
    "fed": {"intra_attention": True, "input_feeding": True},
    "stacked": {"intra_attention": True, "layers": 2, "layers_after": 1, "residual": True},
    "stacked fed": {"intra_attention": True, "layers": 2, "input_feeding": True},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_target_is_step_after_step_with_every_attention(attention: str, shape: str) -> None:
    check_steps(make(**ATTENTIONS[attention], **SHAPES[shape]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", ["lstm", "min_gru", "slstm", "batch_norm_lstm", "odd"])
def test_a_target_is_step_after_step_with_cells_of_every_kind(cell: str, shape: str) -> None:
    check_steps(make(cell=cell, **SHAPES[shape]))


def test_by_the_formula() -> None:
    """Paulus et al. 2018, equations 6 to 8, in the place of a decoder of one GRU."""
    decoder = make(intra_attention=True)
    encoded, x = make_encoded(torch.tensor([6, 2, 3, 1])), make_inputs()
    found = decode(decoder, x, LENGTHS, encoded)
    cell, bridge = (
        decoder.get_submodule("layers.0.forward_cell"),
        decoder.get_submodule("bridges.0"),
    )
    matrix = decoder.get_parameter("intra_attention.projection.weight")
    for row, length in enumerate(LENGTHS.tolist()):
        states = encoded.states[row][encoded.mask[row]]
        h = torch.tanh(bridge.get_submodule("map")(encoded.summary[row]))
        past: list[Tensor] = []
        for t in range(length):
            h = gru_step(cell, x[row, t], h)
            context = additive_weights(decoder.attention, h, states) @ states
            own = torch.zeros_like(h)
            if past:
                scores = torch.stack([(matrix @ h) @ other for other in past])
                own = torch.softmax(scores, 0) @ torch.stack(past)
            past.append(h)
            expected = torch.tanh(decoder.readout.map(torch.cat([h, context, own])))
            assert_close(found.outputs[row, t], expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_is_invisible_and_a_batch_is_its_rows(shape: str) -> None:
    decoder, encoded, real = make(**SHAPES[shape]), make_encoded(), real_steps()
    found = []
    for garbage in (0.0, 1e30):
        x = make_inputs().detach().masked_fill(~real.unsqueeze(2), garbage).requires_grad_()
        decoded = decode(decoder, x, LENGTHS, encoded)
        found.append(results(decoder, decoded, real, x, encoded.states, encoded.summary))
    assert_same(found[1], found[0])
    for row, length in enumerate(LENGTHS.tolist()):
        own = Encoded(
            states=encoded.states[row : row + 1],
            mask=encoded.mask[row : row + 1],
            summary=encoded.summary[row : row + 1],
        )
        alone = decode(decoder, x[row : row + 1, :length], None, own)
        assert_close(decoded.outputs[row, :length], alone.outputs[0])


@pytest.mark.parametrize("fed", [False, True])
def test_it_goes_on_from_a_past(fed: bool) -> None:
    decoder, encoded, x = make(intra_attention=True, input_feeding=fed), make_encoded(), make_inputs()  # fmt: skip
    whole = decode(decoder, x, None, encoded)
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    for t in range(2):
        _, _, state = decoder.step(x[:, t], memory, state)
    assert isinstance(state, RecurrentDecoderState)
    assert state.past is not None
    assert state.past.shape == (B, 2, H)
    rest = decoder(x[:, 2:], None, memory, state, want_weights=True)
    assert_close(rest.outputs, whole.outputs[:, 2:])
    assert whole.weights is not None
    assert_close(rest.weights, whole.weights[:, 2:])


def test_hypotheses_take_their_own_past_along() -> None:
    decoder, encoded, x = make(intra_attention=True), make_encoded(), make_inputs()
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    _, _, state = decoder.step(x[:, 0], memory, state)
    rows = torch.arange(B).repeat_interleave(2)
    state = state.select(rows)
    steps = torch.cat([x[:, 1:2], x[:, 2:3]], 1).flatten(0, 1)
    _, _, state = decoder.step(steps, memory, state)
    # The first hypothesis dies, the second is there twice.
    state = state.select(torch.arange(B).repeat_interleave(2) * 2 + 1)
    found, _, _ = decoder.step(x[:, 3].repeat_interleave(2, 0), memory, state)
    expected = decode(decoder, x[:, [0, 2, 3]], None, encoded).outputs[:, -1]
    assert_close(found, expected.repeat_interleave(2, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_numerically_right(shape: str) -> None:
    decoder = make(cell="lstm", **SHAPES[shape])
    lengths, mask = torch.tensor([2, 3]), torch.arange(3) < torch.tensor([[3], [2]])

    def run(x: Tensor, states: Tensor, summary: Tensor, *_: Tensor) -> Tensor:
        encoded = Encoded(states=states * mask.unsqueeze(2), mask=mask, summary=summary)
        return decode(decoder, x, lengths, encoded).outputs[torch.arange(3) < lengths[:, None]]

    leaves = [
        torch.randn(2, 3, size, dtype=torch.float64, requires_grad=True) for size in (E, D)
    ] + [torch.randn(2, C, dtype=torch.float64, requires_grad=True)]
    assert torch.autograd.gradcheck(run, (*leaves, *decoder.parameters()), fast_mode=True)


def test_the_first_context_is_zero_and_none_sees_itself_or_what_follows() -> None:
    torch.manual_seed(0)
    attention, states = IntraAttention(H), torch.randn(2, T, H)
    contexts = attention(states, states.new_zeros(2, 0, H))
    assert not contexts[:, 0].any()
    torch.testing.assert_close(contexts[:, 1], states[:, 0])
    changed = states.clone()
    changed[:, 3:] += 1
    others = attention(changed, states.new_zeros(2, 0, H))
    torch.testing.assert_close(others[:, :3], contexts[:, :3])
    assert not torch.allclose(others[:, 3], contexts[:, 3])


def test_sizes() -> None:
    assert make(intra_attention=True).readout.map.weight.shape == (O, H + D + H)
    assert make().intra_attention is None
