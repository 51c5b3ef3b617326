"""Decoders: whole targets as step after step, and against formulas written out."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.nn import (
    Decoded,
    GatedCell,
    GRUCell,
    LSTMCell,
    RecurrentDecoder,
    RecurrentDecoderState,
    dropout_sites,
    quantize,
)
from seqnlp.nn.layer import explain_engines, set_engine
from seqnlp.types import Encoded
from tests.nn.gated import weigh
from tests.nn.test_engines import OddCell

# B == H, where a mask of the wrong rank would go unnoticed.
B, T, S, E, D, H, O, C = 4, 5, 6, 3, 4, 4, 3, 5  # noqa: E741
LENGTHS = torch.tensor([3, 5, 0, 4])
SOURCES = torch.tensor([6, 2, 3, 0])
assert_close = partial(torch.testing.assert_close, rtol=1e-10, atol=1e-12)
CELLS = [*sorted(registry.cells.names()), "odd"]
ATTENTIONS: dict[str, dict[str, Any]] = {
    **{name: {"attention": name} for name in sorted(registry.attentions.names())},
    "coverage": {"attention": "additive", "attention_options": {"coverage": True, "size": 5}},
    "multi_head": {"attention": "multi_head", "attention_options": {"heads": 2, "size": 6}},
}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "fed": {"input_feeding": True},
    "stacked": {"layers": 2, "layers_after": 2, "residual": True, "layer_norm": True},
    "stacked fed": {"layers": 3, "input_feeding": True, "residual": True, "layer_norm": True},
}


@pytest.fixture(autouse=True)
def odd_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.cells._local, "odd", OddCell)


def make(**options: Any) -> RecurrentDecoder:
    """Float64, every parameter away from where it begins, evaluating."""
    torch.manual_seed(0)
    options = {"output_size": O, "hidden_size": H, "cell": "gru", **options}
    decoder = RecurrentDecoder(E, D, C, **options).double().eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.2 * torch.rand_like(parameter))
    return decoder


def make_encoded(sources: Tensor = SOURCES, *, seed: int = 1) -> Encoded:
    """Of leaves that take gradients."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(S) < sources[:, None]
    states = torch.randn(len(sources), S, D, generator=generator, dtype=torch.float64)
    summary = torch.randn(len(sources), C, generator=generator, dtype=torch.float64)
    states = (states * mask.unsqueeze(2)).requires_grad_()
    return Encoded(states=states, mask=mask, summary=summary.requires_grad_())


def make_inputs(rows: int = B) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(rows, T, E, generator=generator, dtype=torch.float64).requires_grad_()


def decode(
    decoder: RecurrentDecoder, x: Tensor, lengths: Tensor | None, encoded: Encoded
) -> Decoded:
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    decoded: Decoded = decoder(x, lengths, memory, state, want_weights=True)
    return decoded


def step_through(decoder: RecurrentDecoder, x: Tensor, encoded: Encoded) -> Decoded:
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    outputs, weights = [], []
    for x_t in x.unbind(1):
        output, own, state = decoder.step(x_t, memory, state)
        outputs.append(output)
        weights.append(own)
    return Decoded(outputs=torch.stack(outputs, 1), weights=torch.stack(weights, 1))


def results(
    decoder: RecurrentDecoder, decoded: Decoded, real: Tensor, *leaves: Tensor
) -> list[Tensor]:
    """Outputs and weights of real steps, and the gradients of both."""
    assert decoded.weights is not None
    values = [decoded.outputs[real], decoded.weights[real]]
    wanted = [*leaves, *decoder.parameters()]
    return [*values, *torch.autograd.grad(weigh(values), wanted, materialize_grads=True)]


def real_steps(lengths: Tensor = LENGTHS) -> Tensor:
    return torch.arange(T) < lengths[:, None]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other)


def check_steps(decoder: RecurrentDecoder) -> None:
    encoded, x, real = make_encoded(), make_inputs(), real_steps()
    leaves = x, encoded.states, encoded.summary
    found = results(decoder, decode(decoder, x, LENGTHS, encoded), real, *leaves)
    expected = results(decoder, step_through(decoder, x, encoded), real, *leaves)
    assert all(each.isfinite().all() for each in found)
    assert_same(found, expected)
    full = results(decoder, decode(decoder, x, None, encoded), real, *leaves)
    assert_same(full, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_target_is_step_after_step_with_every_cell(cell: str, shape: str) -> None:
    check_steps(make(cell=cell, **SHAPES[shape]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_target_is_step_after_step_with_every_attention(attention: str, shape: str) -> None:
    check_steps(make(**ATTENTIONS[attention], **SHAPES[shape]))


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout_output": 0.3, "zoneout_memory": 0.2, "cell": "lstm"},
        {"deep_output": False},
        {"bridge": "linear"},
        {"bridge": "none"},
        {"bridge": "none", "engine": "reference"},
        {"engine": "native"},
    ],
)
@pytest.mark.parametrize("fed", [False, True])
def test_a_target_is_step_after_step_with_options(options: dict[str, Any], fed: bool) -> None:
    check_steps(make(layers=2, input_feeding=fed, **options))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_is_invisible(cell: str, shape: str, training: bool) -> None:
    decoder = make(cell=cell, **SHAPES[shape]).train(training)
    real = real_steps()
    found = []
    for garbage, more in ((0.0, 0), (1e30, 0), (-1e30, 3)):
        own = deepcopy(decoder)  # its statistics, if it has any, change in training
        encoded = make_encoded()
        x = make_inputs().detach().masked_fill(~real.unsqueeze(2), garbage).requires_grad_()
        longer = torch.cat([x, x.new_full((B, more, E), garbage)], 1)
        wider = Encoded(
            states=torch.cat([encoded.states, encoded.states.new_zeros(B, more, D)], 1),
            mask=torch.cat([encoded.mask, encoded.mask.new_zeros(B, more)], 1),
            summary=encoded.summary,
        )
        decoded = decode(own, longer, LENGTHS, wider)
        assert decoded.weights is not None
        assert not decoded.weights[:, :T][real][:, S:].any()
        cut = Decoded(outputs=decoded.outputs[:, :T], weights=decoded.weights[:, :T, :S])
        leaves = x, encoded.states, encoded.summary
        found.append([*results(own, cut, real, *leaves), *own.buffers()])
    for other in found[1:]:
        assert_same(other, found[0])


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("fed", [False, True])
def test_hidden_positions_are_not_attended_to(attention: str, fed: bool) -> None:
    decoder = make(**ATTENTIONS[attention], input_feeding=fed)
    encoded = make_encoded()
    decoded = decode(decoder, make_inputs(), LENGTHS, encoded)
    assert decoded.weights is not None
    own = decoded.weights[real_steps()]
    mask = encoded.mask.unsqueeze(1).expand(B, T, S)[real_steps()]
    assert not own[~mask].any()
    torch.testing.assert_close(own.sum(1), mask.any(1).double())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_is_its_rows(cell: str, shape: str) -> None:
    decoder, encoded, x = make(cell=cell, **SHAPES[shape]), make_encoded(), make_inputs()
    together = decode(decoder, x, LENGTHS, encoded)
    assert together.weights is not None
    for row, length in enumerate(LENGTHS.tolist()):
        own = Encoded(
            states=encoded.states[row : row + 1],
            mask=encoded.mask[row : row + 1],
            summary=encoded.summary[row : row + 1],
        )
        alone = decode(decoder, x[row : row + 1, :length], None, own)
        assert alone.weights is not None
        assert_close(together.outputs[row, :length], alone.outputs[0])
        assert_close(together.weights[row, :length], alone.weights[0])


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("cell", ["lstm", "min_gru", "batch_norm_lstm", "odd"])
def test_hypotheses_share_a_memory(cell: str, attention: str) -> None:
    """K hypotheses a row are K copies of the row."""
    count = 3
    decoder, encoded = make(cell=cell, input_feeding=True, **ATTENTIONS[attention]), make_encoded()
    rows = torch.arange(B).repeat_interleave(count)
    memory = decoder.prepare(encoded)
    copies = memory.select(rows)
    state = other = decoder.initial_state(encoded).select(rows)
    x = make_inputs(B * count)
    order = torch.randperm(count)
    for t in range(T):
        found = decoder.step(x[:, t], memory, state)
        expected = decoder.step(x[:, t], copies, other)
        for one, two in zip(found[:2], expected[:2], strict=True):
            assert_close(one, two)
        # A beam goes on with some of its hypotheses, and with one of them twice.
        kept = (torch.arange(B).unsqueeze(1) * count + order[torch.tensor([0, 1, 1])]).flatten()
        state, other = found[2].select(kept), expected[2].select(kept)


def gru_step(cell: Any, x: Tensor, h: Tensor) -> Tensor:
    r_x, z_x, n_x = (cell.weight_x @ x + cell.bias).chunk(3)
    r_h, z_h, n_h = (cell.weight_h @ h + cell.bias_h).chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    return (1 - z) * torch.tanh(n_x + r * n_h) + z * h


def additive_weights(attention: Any, h: Tensor, states: Tensor) -> Tensor:
    query = attention.query_projection.weight @ h + attention.query_projection.bias
    keys = states @ attention.key_projection.weight.t()
    return torch.softmax(torch.tanh(keys + query) @ attention.vector, 0)


def test_joeynmts_decoder_by_its_formulas() -> None:
    """h = GRU([x; a_before]); a = tanh(W [h; context] + b); a_0 = 0; h_0 = tanh(W summary + b)."""
    decoder = make(input_feeding=True, attention_options={"size": 7})
    encoded, x = make_encoded(torch.tensor([6, 2, 3, 1])), make_inputs()
    found = decode(decoder, x, LENGTHS, encoded)
    assert found.weights is not None
    cell, attention = decoder.get_submodule("layers.0.forward_cell"), decoder.attention
    bridge: Any = decoder.bridges[0]
    for row, length in enumerate(LENGTHS.tolist()):
        states = encoded.states[row][encoded.mask[row]]
        h = torch.tanh(bridge.map.weight @ encoded.summary[row] + bridge.map.bias)
        fed = x.new_zeros(O)
        for t in range(length):
            h = gru_step(cell, torch.cat([x[row, t], fed]), h)
            weights = additive_weights(attention, h, states)
            joined = torch.cat([h, weights @ states])
            fed = torch.tanh(decoder.readout.map.weight @ joined + decoder.readout.map.bias)
            assert_close(found.outputs[row, t], fed)
            assert_close(found.weights[row, t, : len(states)], weights)


@pytest.mark.parametrize("deep", [True, False])
def test_layers_before_and_after_the_attention_by_their_formulas(deep: bool) -> None:
    decoder = make(layers=2, layers_after=1, residual=True, deep_output=deep)
    encoded, x = make_encoded(torch.tensor([6, 2, 3, 1])), make_inputs()
    found = decode(decoder, x, LENGTHS, encoded).outputs
    cells: Any = [layer.forward_cell for layer in (*decoder.layers, *decoder.layers_after)]
    bridges: Any = list(decoder.bridges)
    for row, length in enumerate(LENGTHS.tolist()):
        states = encoded.states[row][encoded.mask[row]]
        hs = [torch.tanh(b.map.weight @ encoded.summary[row] + b.map.bias) for b in bridges]
        for t in range(length):
            hs[0] = gru_step(cells[0], x[row, t], hs[0])
            hs[1] = gru_step(cells[1], hs[0], hs[1])
            query = hs[1] + hs[0]
            context = additive_weights(decoder.attention, query, states) @ states
            hs[2] = gru_step(cells[2], torch.cat([query, context]), hs[2])
            mapped = decoder.readout.map(torch.cat([hs[2], context]))
            expected = torch.tanh(mapped) if deep else mapped
            assert_close(found[row, t], expected)


@pytest.mark.parametrize("attention", ["additive", "coverage", "location", "multi_head"])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_numerically_right(shape: str, attention: str) -> None:
    decoder = make(cell="lstm", **ATTENTIONS[attention], **SHAPES[shape])
    lengths, mask = torch.tensor([2, 3]), torch.arange(3) < torch.tensor([[3], [2]])

    def run(x: Tensor, states: Tensor, summary: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        encoded = Encoded(states=states * mask.unsqueeze(2), mask=mask, summary=summary)
        decoded = decode(decoder, x, lengths, encoded)
        assert decoded.weights is not None
        real = torch.arange(3) < lengths[:, None]
        return decoded.outputs[real], decoded.weights[real]

    leaves = [
        torch.randn(2, 3, size, dtype=torch.float64, requires_grad=True) for size in (E, D)
    ] + [torch.randn(2, C, dtype=torch.float64, requires_grad=True)]
    assert torch.autograd.gradcheck(run, (*leaves, *decoder.parameters()), fast_mode=True)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_to_decode(shape: str, attention: str) -> None:
    decoder = make(**SHAPES[shape], **ATTENTIONS[attention])
    encoded = make_encoded()
    empty = torch.zeros(B, dtype=torch.int64)
    for x, lengths in ((make_inputs()[:, :0], None), (make_inputs(), empty)):
        decoded = decode(decoder, x, lengths, encoded)
        assert decoded.weights is not None
        assert decoded.outputs.shape == (B, x.shape[1], O)
        assert decoded.weights.shape == (B, x.shape[1], S)
    nobody = make_encoded(SOURCES[:0])
    assert decode(decoder, make_inputs(0), None, nobody).outputs.shape == (0, T, O)
    state = decoder.initial_state(nobody)
    output, weights, state = decoder.step(make_inputs(0)[:, 0], decoder.prepare(nobody), state)
    assert output.shape == (0, O)
    assert weights.shape == (0, S)


def test_weights_are_given_where_they_are_asked_for() -> None:
    for fed in (False, True):
        decoder, encoded, x = make(input_feeding=fed), make_encoded(), make_inputs()
        memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
        without = decoder(x, LENGTHS, memory, state)
        assert without.weights is None
        asked = decoder(x, LENGTHS, memory, state, want_weights=True)
        assert torch.equal(without.outputs, asked.outputs)


def test_a_state_of_other_rows() -> None:
    decoder = make(
        cell="odd", attention="additive", attention_options={"coverage": True}, input_feeding=True
    )
    encoded = make_encoded()
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    for t in range(2):
        state = decoder.step(make_inputs()[:, t], memory, state)[2]
    rows = torch.tensor([3, 0, 0, 1, 2])
    chosen = state.select(rows)
    pairs = list(zip(chosen.layers[0], state.layers[0], strict=True))
    assert chosen.feed is not None
    assert state.feed is not None
    assert chosen.history is not None
    assert state.history is not None
    for one, other in [*pairs, (chosen.feed, state.feed), (chosen.history, state.history)]:
        assert torch.equal(one, torch.stack([other[row] for row in rows]))
    plain = make().initial_state(encoded).select(rows)
    assert plain.feed is None
    assert plain.history is None


@pytest.mark.parametrize("fed", [False, True])
def test_engines_agree_and_are_told_of(fed: bool) -> None:
    decoder, encoded, x = make(layers=2, input_feeding=fed), make_encoded(), make_inputs()
    leaves = x, encoded.states, encoded.summary
    found = []
    for engine in ("fused", "reference", "native"):
        set_engine(decoder, engine)
        assert list(explain_engines(decoder, [3, 2], training=True)) == [engine]
        decoded = decode(decoder, x, LENGTHS, encoded)
        found.append(results(decoder, decoded, real_steps(), *leaves))
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
    with pytest.raises(UnknownNameError, match="no engine is named 'quick'"):
        set_engine(decoder, "quick")


@pytest.mark.parametrize("fed", [False, True])
def test_a_decoder_is_quantized(fed: bool) -> None:
    decoder = make(cell="lstm", layers=2, input_feeding=fed).float()
    made = quantize(decoder)
    encoded = make_encoded()
    encoded = Encoded(
        states=encoded.states.detach().float(), mask=encoded.mask,
        summary=encoded.summary.detach().float(),
    )  # fmt: skip
    x = make_inputs().detach().float()
    found, exact = decode(made, x, LENGTHS, encoded), decode(decoder, x, LENGTHS, encoded)
    real = real_steps()
    difference = (found.outputs - exact.outputs)[real].abs().max()
    assert 0 < difference < 0.05
    stepped = step_through(made, x, encoded)
    torch.testing.assert_close(stepped.outputs[real], found.outputs[real], rtol=1e-5, atol=1e-6)


def test_sites_of_dropout() -> None:
    sites = dropout_sites(make(layers=2, layers_after=1))
    assert {name: len(found) for name, found in sites.items()} == {
        "recurrent": 3, "context": 1, "layer": 1, "output": 1,
    }  # fmt: skip


def set_rate(decoder: nn.Module, name: str, rate: float, kind: str | None = None) -> None:
    for site in dropout_sites(decoder)[name]:
        site.rate = rate
        if kind is not None:
            site.kind = kind


def zeros_of(decoder: RecurrentDecoder, name: str, kind: str | None, **options: Any) -> Tensor:
    """The outputs in training with dropout at one site."""
    set_rate(decoder, name, 0.5, kind)
    torch.manual_seed(5)
    return decode(decoder.train(), make_inputs(), LENGTHS, make_encoded()).outputs


@pytest.mark.parametrize("fed", [False, True])
def test_output_dropout_is_behind_what_is_fed(fed: bool) -> None:
    decoder = make(input_feeding=fed)
    clean = decode(decoder, make_inputs(), LENGTHS, make_encoded()).outputs[real_steps()]
    outputs = zeros_of(decoder, "output", None)[real_steps()]
    kept = outputs != 0
    assert 0.2 < kept.double().mean() < 0.8
    torch.testing.assert_close(outputs[kept], 2 * clean[kept])


@pytest.mark.parametrize("fed", [False, True])
def test_locked_context_dropout_is_the_same_at_every_step(fed: bool) -> None:
    """A row's masks, told from what the output says when it maps one number to itself."""
    decoder = make(input_feeding=fed, output_size=H + D, deep_output=False, bridge="none")
    with torch.no_grad():
        decoder.readout.map.weight.copy_(torch.eye(H + D))
        decoder.readout.map.bias.zero_()
    full = torch.full((B,), S)
    for kind, same in (("locked", True), ("standard", False)):
        set_rate(decoder, "context", 0.5, kind)
        decoder.train()
        dropped = decode(decoder, make_inputs(), None, make_encoded(full)).outputs == 0
        assert (dropped == dropped[:, :1]).all() == same
        assert 0.2 < dropped.double().mean() < 0.8


@pytest.mark.parametrize("kind", ["locked", "weight", "candidate", "locked_candidate"])
def test_recurrent_dropout_is_that_of_the_layer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The product that is made before the loop changes nothing of a step with dropout inside."""
    decoder = make(cell="lstm", layers=2, input_feeding=True)
    set_rate(decoder, "recurrent", 0.4, kind)
    decoder.train()
    encoded, x = make_encoded(), make_inputs()
    clean = decode(deepcopy(decoder).eval(), x, LENGTHS, encoded)
    found = []
    for splits in (True, False):
        monkeypatch.setattr(GatedCell, "splits", splits)
        torch.manual_seed(6)
        decoded = decode(decoder, x, LENGTHS, encoded)
        found.append(results(decoder, decoded, real_steps(), x, encoded.states))
    assert not torch.allclose(found[0][0], clean.outputs[real_steps()])
    assert_same(found[1], found[0])


def test_layer_dropout_is_between_layers_alone() -> None:
    for fed in (False, True):
        for layers in (1, 2):
            decoder = make(layers=layers, input_feeding=fed)
            clean = decode(decoder, make_inputs(), LENGTHS, make_encoded()).outputs
            dropped = zeros_of(decoder, "layer", "locked")
            real = real_steps()
            assert torch.allclose(dropped[real], clean[real]) == (layers == 1)


def test_a_step_in_training_drops_too() -> None:
    decoder, encoded, x = make(layers=2, layers_after=1), make_encoded(), make_inputs()
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    clean = decoder.step(x[:, 0], memory, state)[0]
    for name in ("layer", "recurrent", "context", "output"):
        own = deepcopy(decoder).train()
        set_rate(own, name, 0.5)
        torch.manual_seed(0)
        assert not torch.allclose(own.step(x[:, 0], memory, state)[0], clean), name


def test_parameters_are_where_a_weight_of_another_toolkit_would_go() -> None:
    names = dict(make(input_feeding=True).named_parameters())
    assert {name: list(parameter.shape) for name, parameter in names.items()} == {
        "attention.vector": [D],
        "attention.query_projection.weight": [D, H],
        "attention.query_projection.bias": [D],
        "attention.key_projection.weight": [D, D],
        "layers.0.forward_cell.weight_x": [3 * H, E + O],
        "layers.0.forward_cell.weight_h": [3 * H, H],
        "layers.0.forward_cell.bias": [3 * H],
        "layers.0.forward_cell.bias_h": [3 * H],
        "bridges.0.map.weight": [H, C],
        "bridges.0.map.bias": [H],
        "readout.map.weight": [O, H + D],
        "readout.map.bias": [O],
    }


def test_cells_begin_as_they_are_told() -> None:
    decoder = RecurrentDecoder(
        E, D, C, output_size=O, cell="lstm", hidden_size=H, layers=2, forget_bias=0.5,
        recurrent_init="identity",
    )  # fmt: skip
    for layer in decoder.layers:
        cell = layer.forward_cell
        assert isinstance(cell, LSTMCell)
        assert torch.equal(cell.bias[H : 2 * H], torch.full((H,), 0.5))
        assert torch.equal(cell.weight_h[:H], torch.eye(H))
    assert isinstance(make(cell="gru").get_submodule("layers.0.forward_cell"), GRUCell)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": 0}, InputError, "layers must be at least 1, not 0"),
        ({"layers_after": -1}, InputError, "layers_after must be at least 0, not -1"),
        ({"hidden_size": 0}, InputError, "hidden_size must be at least 1, not 0"),
        ({"output_size": 0}, InputError, "output_size must be at least 1, not 0"),
        (
            {"input_feeding": True, "layers_after": 1},
            InputError,
            "input_feeding and layers_after exclude each other: the fed output would wait for "
            "layers behind the attention; stack all layers before it",
        ),
        ({"cell": "grv"}, UnknownNameError, "no cell is named 'grv'; did you mean 'gru'?"),
        (
            {"attention": "aditive"},
            UnknownNameError,
            "no attention is named 'aditive'; did you mean 'additive'?",
        ),
        ({"engine": "fussed"}, UnknownNameError, "no engine is named 'fussed'"),
        ({"bridge": "tan"}, UnknownNameError, "no bridge is named 'tan'; did you mean 'tanh'?"),
        (
            {"attention_options": {"coverge": True}},
            SettingsError,
            "head.attention_options: no key 'coverge'; did you mean 'coverage'?",
        ),
        (
            {"cell_options": {"activaton": "relu"}, "cell": "rnn"},
            SettingsError,
            "model.cell_options: no key 'activaton'; did you mean 'activation'?",
        ),
        (
            {"attention": "dot", "hidden_size": 5},
            SettingsError,
            "head.attention_options: dot attention needs queries of the memory's size, but they have 5 and 4 features; "
            "use 'general', which maps one to the other, or give a decoder as many: "
            "head.decoder_hidden_size = 4",
        ),
        (
            {"zoneout_output": 0.1, "cell": "min_gru"},
            SettingsError,
            "model.zoneout_output: MinGRUCell cannot zone out",
        ),
    ],
)
def test_what_cannot_be_made(
    options: Mapping[str, Any], error: type[InputError], message: str
) -> None:
    with pytest.raises(error) as caught:
        make(**options)
    assert str(caught.value).startswith(message)


def test_shapes_that_do_not_fit() -> None:
    decoder, encoded, x = make(input_feeding=True), make_encoded(), make_inputs()
    memory, state = decoder.prepare(encoded), decoder.initial_state(encoded)
    some = torch.tensor([0, 1, 2])

    def refused(message: str, *args: Any, step: bool = False) -> None:
        with pytest.raises(InputError) as caught:
            decoder.step(*args) if step else decoder(*args)
        assert str(caught.value) == message

    refused("x must be float [B, T, 3], not [4, 3]", x[:, 0], None, memory, state)
    refused("x must be float [N, 3], not [4, 5, 3]", x, memory, state, step=True)
    refused("x must be float [N, 3], not [4, 2]", x[:, 0, :2], memory, state, step=True)
    refused("x has 4 rows, but the state is of 3", x, None, memory, state.select(some))
    refused("x has 4 rows, but the memory has 3", x, None, memory.select(some), state)
    refused("row 1 has length 6, but x has 5 steps", x, torch.tensor([1, 6, 2, 3]), memory, state)
    refused("x has 4 rows, but the state is of 3", x[:, 0], memory, state.select(some), step=True)
    refused(
        "x has 4 rows, which are no multiple of the memory's 3: every row of the memory has the "
        "same number of hypotheses",
        x[:, 0], memory.select(some), state, step=True,
    )  # fmt: skip
    more = torch.arange(8) % B
    refused(
        "x has 4 rows, which are no multiple of the memory's 8: every row of the memory has the "
        "same number of hypotheses",
        x[:, 0], memory.select(more), state, step=True,
    )  # fmt: skip


def test_a_state_is_a_value() -> None:
    decoder, encoded = make(input_feeding=True), make_encoded()
    state = decoder.initial_state(encoded)
    assert replace(state, history=None) == RecurrentDecoderState(
        layers=state.layers, feed=state.feed, history=None
    )
    before = deepcopy([leaf.detach() for leaf in state.layers[0]])
    first = decoder.step(make_inputs()[:, 0], decoder.prepare(encoded), state)[0]
    again = decoder.step(make_inputs()[:, 0], decoder.prepare(encoded), state)[0]
    assert torch.equal(first, again)
    assert all(map(torch.equal, before, state.layers[0]))
