"""Against torch's own Transformer: values and gradients; and what encoder and decoder promise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
import torch
from seqnlp_transformer.blocks import weigh
from seqnlp_transformer.decoder import TransformerDecoder
from seqnlp_transformer.encoder import TransformerEncoder
from seqnlp_transformer.positions import rotate, sinusoids
from torch import Tensor, nn

from seqnlp.errors import InputError, SettingsError
from seqnlp.nn import Decoded, dropout_sites
from seqnlp.types import Encoded

# B == H: a mask of the wrong rank would go unnoticed elsewhere.
B, T, S, E, D, H, O = 4, 5, 6, 3, 5, 4, 3  # noqa: E741
LENGTHS, SOURCES = torch.tensor([3, 5, 0, 4]), torch.tensor([6, 2, 3, 0])
assert_close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-11)
POSITIONS = ("rotary", "sinusoidal")


def encoder(**options: Any) -> TransformerEncoder:
    """Float64, every parameter away from where it begins, evaluating."""
    torch.manual_seed(0)
    return _moved(TransformerEncoder(E, **{"hidden_size": H, "layers": 2, "heads": 2, **options}))


def decoder(**options: Any) -> TransformerDecoder:
    torch.manual_seed(0)
    given = {"output_size": O, "hidden_size": H, "layers": 2, "heads": 2, **options}
    return _moved(TransformerDecoder(E, D, D, **given))


def _moved(module: Any) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.rand_like(parameter))
    return module.double().eval()


def draw(*shape: int, seed: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_encoded(sources: Tensor = SOURCES, width: int = S) -> Encoded:
    mask = torch.arange(width) < sources[:, None]
    states = draw(len(sources), width, D, seed=1) * mask.unsqueeze(2)
    return Encoded(states=states, mask=mask, summary=states.sum(1))


def decode(
    made: TransformerDecoder, x: Tensor, lengths: Tensor | None, encoded: Encoded
) -> Decoded:
    found: Decoded = made(
        x, lengths, made.prepare(encoded), made.initial_state(encoded), want_weights=True
    )
    return found


def real(lengths: Tensor = LENGTHS, width: int = T) -> Tensor:
    return torch.arange(width) < lengths[:, None]


def gradients(values: list[Tensor], module: nn.Module, *leaves: Tensor) -> list[Tensor]:
    total = sum(
        (value * torch.linspace(-1, 1, value.numel()).view_as(value)).sum() for value in values
    )
    wanted = [*leaves, *module.parameters()]
    return list(torch.autograd.grad(total, wanted, materialize_grads=True))


def copy_attention(torchs: nn.MultiheadAttention, own: Mapping[str, nn.Linear]) -> None:
    torchs.in_proj_weight.data = torch.cat(
        [own[key].weight.data for key in own if key != "outputs"]
    )
    torchs.in_proj_bias.data = torch.cat([own[key].bias.data for key in own if key != "outputs"])
    torchs.out_proj.weight.data = own["outputs"].weight.data
    torchs.out_proj.bias.data = own["outputs"].bias.data


def copy_layer(torchs: Any, own: Any, norms: tuple[str, ...]) -> None:
    attention = own.attention
    copy_attention(torchs.self_attn, {"inputs": attention.inputs, "outputs": attention.outputs})
    torchs.linear1.load_state_dict(own.feedforward.inputs.state_dict())
    torchs.linear2.load_state_dict(own.feedforward.outputs.state_dict())
    for number, name in enumerate(norms, 1):
        getattr(torchs, f"norm{number}").load_state_dict(getattr(own, name).state_dict())


def test_an_encoder_is_that_of_torch() -> None:
    made = encoder(positions="sinusoidal", activation="gelu", feedforward=7)
    plain = nn.TransformerEncoderLayer(
        H, 2, 7, dropout=0.0, activation="gelu", norm_first=True, batch_first=True
    ).double()
    x = draw(B, T, E)
    h = made.input_norm(made.inputs(x)) + sinusoids(0, T, H, x)
    for own in made.layers:
        copy_layer(plain, own, ("attention_norm", "feedforward_norm"))
        h = plain(h, src_key_padding_mask=~real(LENGTHS.clamp(min=1)))
    expected = made.norm(h)
    found = made(x, LENGTHS)
    assert_close(found.states[real()], expected[real()])
    assert not found.states[~real()].any()
    assert torch.equal(found.mask, real())
    lengths = LENGTHS.clamp(min=1).unsqueeze(1)
    assert_close(found.summary, found.states.sum(1) / lengths)


def test_a_decoder_is_that_of_torch() -> None:
    made = decoder(positions="sinusoidal", layers=1, feedforward=7)
    plain = nn.TransformerDecoderLayer(H, 2, 7, dropout=0.0, norm_first=True, batch_first=True)
    plain.multihead_attn = nn.MultiheadAttention(H, 2, kdim=H, vdim=H, batch_first=True)
    plain = plain.double()
    [own] = made.layers
    copy_layer(plain, own, ("attention_norm", "cross_norm", "feedforward_norm"))
    # torch's attention maps a memory of H features: the maps of ours stand before it.
    one = nn.Linear(H, H).double()
    nn.init.eye_(one.weight), nn.init.zeros_(one.bias)
    cross = {"queries": own.cross.queries, "keys": one, "values": one, "outputs": own.cross.outputs}
    copy_attention(plain.multihead_attn, cross)
    encoded, x = make_encoded(torch.tensor([6, 2, 3, 1])), draw(B, T, E)
    keys, values = own.cross.keys(encoded.states), own.cross.values(encoded.states)
    h = made.input_norm(made.inputs(x)) + sinusoids(0, T, H, x)
    causal = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    h = h + plain._sa_block(plain.norm1(h), causal, None)
    context, weights = plain.multihead_attn(
        plain.norm2(h), keys, values, key_padding_mask=~encoded.mask
    )
    h = h + context
    h = h + plain._ff_block(plain.norm3(h))
    found = decode(made, x, None, encoded)
    assert_close(found.outputs, made.outputs(made.norm(h)))
    assert_close(found.weights, weights)


def test_rotations_know_distances_alone() -> None:
    """The formula by complex numbers, and products that stay when both move."""
    x = draw(3, 7, 6)
    waves = 10_000.0 ** (-torch.arange(3, dtype=torch.float64) / 3)
    turned = torch.complex(x[..., :3], x[..., 3:]) * torch.exp(
        1j * (torch.arange(7) + 2)[:, None] * waves
    )
    assert_close(rotate(x, 2), torch.cat([turned.real, turned.imag], 2))
    query, key = draw(1, 6), draw(1, 6, seed=4)
    near = rotate(query, 5) @ rotate(key, 3).T
    assert_close(near, rotate(query, 1005) @ rotate(key, 1003).T, rtol=1e-6, atol=1e-9)
    assert not torch.isclose(near, rotate(query, 5) @ rotate(key, 2).T).any()


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(4, 3, 5, torch.zeros(1).double())
    for row in range(3):
        for column in range(5):
            wave = torch.tensor((4 + row) / 10_000 ** (column // 2 * 2 / 5), dtype=torch.float64)
            assert_close(found[row, column], wave.cos() if column % 2 else wave.sin())


@pytest.mark.parametrize("positions", POSITIONS)
def test_an_encoder_does_not_see_padding(positions: str) -> None:
    made = encoder(positions=positions)
    found = []
    for garbage, more in ((0.0, 0), (1e30, 0), (-1e30, 3)):
        x = draw(B, T, E).masked_fill(~real().unsqueeze(2), garbage)
        x = torch.cat([x, x.new_full((B, more, E), garbage)], 1).requires_grad_()
        encoded = made(x, LENGTHS)
        assert not encoded.states[:, T:].any()
        values = [encoded.states[:, :T][real()], encoded.summary]
        own, *others = gradients(values, made, x)
        assert not own[:, T:].any()
        found.append([*values, own[:, :T], *others])
    for other in found[1:]:
        for one, first in zip(other, found[0], strict=True):
            assert_close(one, first)


@pytest.mark.parametrize("positions", POSITIONS)
def test_a_batch_is_its_rows(positions: str) -> None:
    made, x = encoder(positions=positions), draw(B, T, E)
    whole = made(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = made(x[row : row + 1, :length], LENGTHS[row : row + 1])
        assert_close(whole.states[row, :length], alone.states[0])
        assert_close(whole.summary[row], alone.summary[0])


@pytest.mark.parametrize("weights", ["last", "mean", "head"])
@pytest.mark.parametrize("positions", POSITIONS)
def test_a_target_is_step_after_step(positions: str, weights: str) -> None:
    made, encoded = decoder(positions=positions, weights=weights), make_encoded()
    x = draw(B, T, E).requires_grad_()
    memory, state = made.prepare(encoded), made.initial_state(encoded)
    outputs, given = [], []
    for step in x.unbind(1):
        output, own, state = made.step(step, memory, state)
        outputs.append(output)
        given.append(own)
    stepped = [torch.stack(outputs, 1)[real()], torch.stack(given, 1)[real()]]
    slopes = gradients(stepped, made, x)
    for lengths in (LENGTHS, None):
        decoded = decode(made, x, lengths, encoded)
        assert decoded.weights is not None
        whole = [decoded.outputs[real()], decoded.weights[real()]]
        for one, other in zip(whole, stepped, strict=True):
            assert_close(one, other)
        for one, other in zip(gradients(whole, made, x), slopes, strict=True):
            assert_close(one, other)
    # From the middle on: the state of two steps, then the rest at once.
    state = made.initial_state(encoded)
    for step in x[:, :2].unbind(1):
        state = made.step(step, memory, state)[2]
    rest = made(x[:, 2:], None, memory, state, want_weights=True)
    assert_close(torch.cat(outputs[2:]), torch.cat(list(rest.outputs.unbind(1))))


def test_hypotheses_share_their_source() -> None:
    made, encoded = decoder(), make_encoded()
    memory, x = made.prepare(encoded), draw(2 * B, E)
    each = torch.arange(B).repeat_interleave(2)
    state = made.initial_state(encoded).select(each)
    assert state.keys[0].shape == (2 * B, 2, 0, H // 2)
    outputs, weights, after = made.step(x, memory, state)
    apart, own, _ = made.step(x, memory.select(each), state)
    assert_close(outputs, apart)
    assert_close(weights, own)
    rows = torch.tensor([1, 0, 2, 2, 4, 5, 7, 6])
    chosen, _, _ = made.step(x, memory, after.select(rows))
    for row, before in enumerate(rows.tolist()):
        history = torch.stack([x[before], x[row]])[None]
        own = slice(row // 2, row // 2 + 1)
        source = Encoded(
            states=encoded.states[own], mask=encoded.mask[own], summary=encoded.summary[own]
        )
        assert_close(chosen[row], decode(made, history, None, source).outputs[0, 1])


def test_a_decoder_does_not_see_padding_nor_what_comes() -> None:
    made, found = decoder(), []
    for garbage, more in ((0.0, 0), (1e30, 0), (-1e30, 3)):
        encoded = make_encoded(width=S + more)
        x = draw(B, T, E).masked_fill(~real().unsqueeze(2), garbage)
        x = torch.cat([x, x.new_full((B, more, E), garbage)], 1).requires_grad_()
        states = encoded.states.new_zeros(B, S + more, D)
        states[:, :S] = make_encoded().states
        wide = Encoded(states=states, mask=encoded.mask, summary=encoded.summary)
        decoded = decode(made, x, LENGTHS, wide)
        assert decoded.weights is not None
        assert not decoded.weights[:, :T][real()][:, S:].any()
        values = [decoded.outputs[:, :T][real()], decoded.weights[:, :T, :S][real()]]
        own, *others = gradients(values, made, x)
        found.append([*values, own[:, :T], *others])
    for other in found[1:]:
        for one, first in zip(other, found[0], strict=True):
            assert_close(one, first)
    x = draw(B, T, E)
    later = x.clone()
    later[:, 3:] += 1
    same, other = (decode(made, each, None, make_encoded()).outputs for each in (x, later))
    assert_close(same[:, :3], other[:, :3])
    assert not torch.isclose(same[:, 3:], other[:, 3:]).all(2).any()


def test_an_empty_source_gives_nothing_to_see() -> None:
    made = decoder(layers=1)
    x = draw(1, T, E)
    for width in (S, 0):
        encoded = make_encoded(torch.tensor([0]), width)
        decoded = decode(made, x, None, encoded)
        assert decoded.outputs.isfinite().all()
        assert not decoded.weights.any()  # type: ignore[union-attr]
        if width:
            first = decoded.outputs
        else:
            assert_close(decoded.outputs, first)
    keys = made.layers[0].cross.keys.weight
    decode(made, x, None, make_encoded(torch.tensor([0]))).outputs.sum().backward()
    assert keys.grad is not None
    assert not keys.grad.any()


def test_nothing_to_read() -> None:
    made, reader = decoder(), encoder()
    nobody = make_encoded(SOURCES[:0])
    assert decode(made, draw(0, T, E), None, nobody).outputs.shape == (0, T, O)
    assert decode(made, draw(B, 0, E), None, make_encoded()).outputs.shape == (B, 0, O)
    outputs, weights, _ = made.step(draw(0, E), made.prepare(nobody), made.initial_state(nobody))
    assert (outputs.shape, weights.shape) == ((0, O), (0, S))
    assert reader(draw(0, T, E), torch.zeros(0, dtype=torch.int64)).states.shape == (0, T, H)
    empty = reader(draw(B, 0, E), torch.zeros(B, dtype=torch.int64))
    assert empty.states.shape == (B, 0, H)
    assert empty.summary.tolist() == [[0.0] * H] * B


@pytest.mark.parametrize("positions", POSITIONS)
def test_gradients_are_numerical_ones(positions: str) -> None:
    reader, writer = (
        encoder(positions=positions, activation="gelu"),
        decoder(positions=positions, activation="gelu"),
    )
    x = draw(2, 3, E).requires_grad_()
    lengths = torch.tensor([3, 2])

    def read(x: Tensor) -> Tensor:
        encoded: Encoded = reader(x, lengths)
        return torch.cat([encoded.states.flatten(), encoded.summary.flatten()])

    assert torch.autograd.gradcheck(read, (x,), fast_mode=True)
    states = draw(2, 3, D).requires_grad_()
    mask = torch.tensor([[True, True, True], [True, False, False]])

    def write(x: Tensor, states: Tensor) -> Tensor:
        masked = states * mask.unsqueeze(2)
        decoded = decode(writer, x, None, Encoded(states=masked, mask=mask, summary=masked.sum(1)))
        assert decoded.weights is not None
        return torch.cat([decoded.outputs.flatten(), decoded.weights.flatten()])

    assert torch.autograd.gradcheck(write, (x, states), fast_mode=True)


def test_a_long_text_is_read_whole() -> None:
    torch.manual_seed(0)
    reader = TransformerEncoder(E, hidden_size=16, layers=1).eval()
    x = torch.randn(1, 6000, E)
    changed = x.clone()
    changed[0, 0] += 5
    lengths = torch.tensor([6000])
    with torch.no_grad():
        states, others = reader(x, lengths).states, reader(changed, lengths).states
    assert states.isfinite().all()
    assert (states[0, -1] - others[0, -1]).abs().max() > 0


@pytest.mark.parametrize("site", ["layer", "attention", "feedforward", "context", "output"])
def test_each_site_drops_in_training_alone(site: str) -> None:
    made, encoded, x = decoder(), make_encoded(torch.tensor([6, 2, 3, 1])), draw(B, T, E)
    clean = decode(made, x, None, encoded)
    for each in dropout_sites(made)[site]:
        each.rate = 0.5
    assert_close(decode(made, x, None, encoded).outputs, clean.outputs)
    torch.manual_seed(1)
    dropped = decode(made.train(), x, None, encoded)
    assert not torch.isclose(dropped.outputs, clean.outputs).all()
    assert dropped.weights is not None
    assert_close(dropped.weights.sum(2), torch.ones(B, T).double())
    if site in ("layer", "attention", "feedforward"):
        reader = encoder()
        before = reader(x, LENGTHS).states
        for each in dropout_sites(reader)[site]:
            each.rate = 0.5
        assert not torch.isclose(reader.train()(x, LENGTHS).states, before).all()


def test_dropping_weights_has_a_kind_of_its_own() -> None:
    [site, *_] = dropout_sites(encoder())["attention"]
    with pytest.raises(SettingsError) as caught:
        site.kind = "fast"
    assert str(caught.value) == (
        "dropout site 'attention': the kind 'fast' does not act on weights of an attention; use "
        "'weights'"
    )


def test_weights_are_zero_where_nothing_is() -> None:
    mask = torch.tensor([[True, False], [False, False]])
    found = weigh(draw(2, 1, 3, 4), draw(2, 1, 2, 4), mask[:, None, None])
    assert found[:, 0].tolist() == [[[1.0, 0.0]] * 3, [[0.0, 0.0]] * 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "heads = 3 does not divide hidden_size = 4; take 2"),
        ({"heads": 0}, "heads must be at least 1, not 0"),
        ({"layers": 0}, "layers must be at least 1, not 0"),
        ({"feedforward": 0}, "feedforward must be at least 1, not 0"),
        ({"hidden_size": 0}, "hidden_size must be at least 1, not 0"),
        (
            {"heads": 4},
            "rotary positions turn pairs of features, but with hidden_size = 4 and heads = 4 a "
            'head has 1; take another number of heads, or positions = "sinusoidal"',
        ),
    ],
)
def test_what_cannot_be_made(options: dict[str, int], message: str) -> None:
    for make in (encoder, decoder):
        with pytest.raises(InputError) as caught:
            make(**options)
        assert str(caught.value) == message
    assert encoder(heads=4, positions="sinusoidal").output_size == H
    with pytest.raises(InputError, match=r"^x must be float \[B, T, 3\], not \[4, 5, 2\]$"):
        encoder()(draw(B, T, 2), LENGTHS)
