"""The network that writes sequences: its loss by plain torch, scheduled sampling, its stepper."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import ModelSettings
from seqnlp.tasks import own_tokens
from seqnlp.tasks.decoders import DecoderOptions
from seqnlp.tasks.network_stepper import NetworkStepper
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.types import TokenBatch

V_SOURCE, V_TARGET, SIZE, HIDDEN = 9, 11, 6, 5
BOS, EOS = 2, 3
OPTIONS = DecoderOptions(
    attention="general", attention_options={}, input_feeding=False, bridge="tanh",
    deep_output=True, cell="gru", cell_options={}, hidden_size=HIDDEN, layers=1, layers_after=0,
    tie_embeddings=True, tie_all=False,
)  # fmt: skip
FED = replace(OPTIONS, input_feeding=True)


def network(options: DecoderOptions = OPTIONS, **changes: Any) -> EncoderDecoder:
    torch.manual_seed(3)
    model = ModelSettings(embedding_size=SIZE, hidden_size=HIDDEN, cell="gru", **changes)
    sizes = (V_TARGET, V_TARGET) if options.tie_all else (V_SOURCE, V_TARGET)
    return EncoderDecoder(model, options, source_size=sizes[0], target_size=sizes[1])


def batch(rows: list[list[int]]) -> TokenBatch:
    lengths = torch.tensor([len(row) for row in rows])
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return TokenBatch(ids=ids, lengths=lengths)


SOURCE = [[4, 5, 6, 2], [7, 2], [8, 4, 2]]
TARGET = [[2, 4, 3], [2, 5, 6, 7, 10, 3], [2, 9, 9, 3]]


def plain_loss(made: EncoderDecoder, source: list[int], target: list[int], smoothing: float) -> Tensor:  # fmt: skip
    """The loss of one pair with a GRU on both sides, in calls of torch alone."""
    encoder = nn.GRU(SIZE, HIDDEN, bidirectional=True, batch_first=True)
    layer = made.encoder.layers[0]
    for cell, end in ((layer.forward_cell, ""), (layer.backward_cell, "_reverse")):
        for name, value in (("weight_ih", cell.weight_x), ("weight_hh", cell.weight_h), ("bias_ih", cell.bias)):  # fmt: skip
            setattr(encoder, f"{name}_l0{end}", nn.Parameter(value.detach()))
        getattr(encoder, f"bias_hh_l0{end}").data.zero_()
    states, last = encoder(made.source_embedding.words[torch.tensor([source])])
    decoder = nn.GRU(SIZE, HIDDEN, batch_first=True)
    cell = made.decoder.layers[0].forward_cell
    decoder.weight_ih_l0, decoder.weight_hh_l0 = cell.weight_x, cell.weight_h
    decoder.bias_ih_l0 = cell.bias
    decoder.bias_hh_l0.data.zero_()
    bridge = made.decoder.bridges[0].map
    start = torch.tanh(bridge(torch.cat([last[0], last[1]], dim=1)))
    outputs, _ = decoder(made.target_embedding.words[torch.tensor([target[:-1]])], start[None])
    keys = states @ made.decoder.attention.key_projection.weight.T
    context = torch.softmax(outputs @ keys.transpose(1, 2), dim=2) @ states
    features = torch.tanh(made.decoder.readout.map(torch.cat([outputs, context], dim=2)))
    logits = features[0] @ made.target_embedding.words.T + made.output.bias
    return F.cross_entropy(
        logits, torch.tensor(target[1:]), label_smoothing=smoothing, reduction="sum"
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_plain_torch(smoothing: float) -> None:
    made = network()
    with torch.no_grad():
        made.output.bias.normal_()
        made.encoder.layers[0].forward_cell.bias.normal_()
    found = made.loss(batch(SOURCE), batch(TARGET), smoothing=smoothing)
    expected = sum(plain_loss(made, *pair, smoothing) for pair in zip(SOURCE, TARGET, strict=True))
    torch.testing.assert_close(found.total, expected)
    assert found.units == sum(len(target) - 1 for target in TARGET)
    weights = [made.output.weight, made.decoder.readout.map.weight, made.decoder.bridges[0].map.weight]  # fmt: skip
    for mine, plain in zip(torch.autograd.grad(found.total, weights), torch.autograd.grad(expected, weights), strict=True):  # fmt: skip
        torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [OPTIONS, FED, replace(OPTIONS, layers=2, layers_after=2)])
def test_a_batch_is_its_rows_and_padding_is_nothing(options: DecoderOptions) -> None:
    made = network(options)
    whole = made.loss(batch(SOURCE), batch(TARGET)).total
    alone = sum(
        made.loss(batch([s]), batch([t])).total for s, t in zip(SOURCE, TARGET, strict=True)
    )
    torch.testing.assert_close(whole, alone)
    source, target = batch(SOURCE), batch(TARGET)
    dirty = [
        replace(each, ids=torch.where(each.mask, each.ids, torch.tensor(5)))
        for each in (source, target)
    ]
    torch.testing.assert_close(made.loss(*dirty).total, whole)


def test_tied_weights_are_one_matrix_and_begin_small() -> None:
    made = network(replace(OPTIONS, tie_all=True))
    assert made.output.weight is made.target_embedding.words is made.source_embedding.words
    apart = network(replace(OPTIONS, tie_embeddings=False))
    assert apart.output.weight is not apart.target_embedding.words
    torch.manual_seed(0)
    large = EncoderDecoder(
        ModelSettings(embedding_size=64, embedding_scale=3.0),
        OPTIONS,
        source_size=900,
        target_size=900,
    )
    assert float(large.target_embedding.words.detach().std()) == pytest.approx(64**-0.5, rel=0.05)
    assert float(large.source_embedding.words.detach().std()) == pytest.approx(3.0, rel=0.05)
    assert not large.decoder.readout.map.bias.any()


@pytest.mark.parametrize("options", [OPTIONS, FED])
def test_scheduled_sampling_reads_what_the_network_has_drawn(options: DecoderOptions) -> None:
    made = network(options)
    with torch.no_grad():
        made.output.bias[7] = 60.0  # whatever is drawn is 7
    own = [[BOS, *(7 for _ in target[1:])] for target in TARGET]
    truth, read = batch(TARGET), batch(own)
    encoded = made.encode(batch(SOURCE))
    outputs = made.run(read.ids[:, :-1], truth.lengths - 1, *made.begin(encoded)).outputs
    expected = sum(
        F.cross_entropy(made.output(outputs[row, : len(target) - 1]), torch.tensor(target[1:]), reduction="sum")
        for row, target in enumerate(TARGET)
    )  # fmt: skip
    found = made.loss(batch(SOURCE), truth, own_share=1.0).total
    torch.testing.assert_close(found, expected)
    assert not torch.isclose(found, made.loss(batch(SOURCE), truth).total)


@pytest.mark.parametrize("options", [OPTIONS, FED])
def test_a_share_of_the_tokens_is_drawn(options: DecoderOptions, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    made = network(options)
    seen: list[Tensor] = []
    embed = made.target_embedding.forward
    monkeypatch.setattr(own_tokens, "_draw", lambda *given: torch.full((int(given[-1].sum()),), 8))
    monkeypatch.setattr(made.target_embedding, "forward", lambda b: (seen.append(b.ids), embed(b))[1])  # fmt: skip
    target = batch([[BOS, *[4] * 400, EOS]] * 3)
    torch.manual_seed(0)
    made.loss(batch(SOURCE), target, own_share=0.25)
    read = torch.cat(seen, dim=1)[:, -401:]
    assert read[:, 0].eq(BOS).all()
    assert float(read[:, 1:].eq(8).float().mean()) == pytest.approx(0.25, abs=0.04)
    assert set(read[:, 1:].unique().tolist()) == {4, 8}


@pytest.mark.parametrize("cell", sorted(registry.cells.names()))
@pytest.mark.parametrize("feeding", [False, True])
def test_every_cell_trains(cell: str, feeding: bool) -> None:
    options = replace(OPTIONS, cell=cell, input_feeding=feeding, layers_after=int(not feeding))
    made = network(options, engine="reference")  # the others compile kernels
    made.loss(batch(SOURCE), batch(TARGET)).total.backward()
    for name, weight in made.decoder.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


@pytest.mark.parametrize("options", [OPTIONS, FED, replace(OPTIONS, attention="additive", attention_options={"coverage": True})])  # fmt: skip
@torch.no_grad()
def test_a_stepper_follows_each_hypothesis(options: DecoderOptions) -> None:
    made = network(options).eval()
    source = batch(SOURCE)
    stepper = NetworkStepper(made, made.encode(source))
    assert (stepper.sources, stepper.vocabulary_size) == (3, V_TARGET)
    stepper.step(torch.tensor([BOS] * 3))
    stepper.select(torch.tensor([0, 0, 1, 1, 2, 2]))
    stepper.step(torch.tensor([4, 5, 6, 7, 8, 9]))
    stepper.select(torch.tensor([1, 1, 2, 3, 5, 4]))
    stepper.keep(torch.tensor([0, 2]))
    assert stepper.sources == 2
    found = stepper.step(torch.tensor([10, 4, 5, 6]))
    histories = [(0, [BOS, 5, 10]), (0, [BOS, 5, 4]), (2, [BOS, 9, 5]), (2, [BOS, 8, 6])]
    for row, (number, history) in enumerate(histories):
        alone = made.encode(batch([SOURCE[number]]))
        outputs = made.decoder(
            made.target_embedding(batch([history])), None, *made.begin(alone), want_weights=True
        )
        torch.testing.assert_close(found.logits[row], made.output(outputs.outputs[0, -1]))
        assert found.weights is not None
        assert outputs.weights is not None
        size = len(SOURCE[number])
        torch.testing.assert_close(found.weights[row, :size], outputs.weights[0, -1])
        assert found.weights[row, size:].eq(0).all()
