"""Encoder-decoders that copy: loss, search and explanation hold together, and hold in numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp import registry
from seqnlp.config import ModelSettings, Settings
from seqnlp.errors import InputError
from seqnlp.nn.pointer import Sources, coverage_loss
from seqnlp.tasks.decoders import DecoderOptions
from seqnlp.tasks.decoding import Decoding, search
from seqnlp.tasks.network_stepper import NetworkStepper
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.writing_options import decoder_options, options_of
from seqnlp.types import Copies, TokenBatch, lengths_to_mask
from tests.tasks.test_sequence import BOS, EOS, HIDDEN, OPTIONS, SIZE, V_SOURCE, V_TARGET, batch

# Of the 11 tokens that a decoder reads, it can generate 8.
V, UNK = 8, 1
COPYING = replace(OPTIONS, copying=True)
VARIANTS = {
    **{
        name: replace(COPYING, attention=name, hidden_size=2 * HIDDEN if name == "dot" else HIDDEN)
        for name in sorted(registry.attentions.names())
    },
    "multi_head": replace(COPYING, attention="multi_head", attention_options={"heads": 2}),
    "history": replace(COPYING, attention="additive", attention_options={"coverage": True}),
    "coverage": replace(COPYING, coverage_loss=0.7),
    "fed": replace(COPYING, coverage_loss=0.7, input_feeding=True),
    "fed location": replace(COPYING, coverage_loss=0.7, input_feeding=True, attention="location"),
    "stacked": replace(COPYING, coverage_loss=0.7, layers=2, layers_after=1),
    "intra": replace(COPYING, coverage_loss=0.7, intra_attention=True, selection_gate=True),
    "fed intra": replace(COPYING, intra_attention=True, selection_gate=True, input_feeding=True),
    "untied": replace(COPYING, tie_embeddings=False),
}

SOURCE = [[4, 5, 6, 2], [7, 2], [8, 4, 5, 8, 2]]
TARGET = [[2, 4, 9, 3], [2, 5, 1, 7, 1, 3], [2, 9, 10, 3]]
# Row 0 has a slot that the decoder knows (9) and one that it does not; row 2 one that stands twice.
COPIES = Copies(
    ids=torch.tensor([[4, 8, 9, 0, 0], [7, 0, 0, 0, 0], [8, 4, 9, 8, 0]]),
    slots=torch.tensor([[9, 1], [0, 0], [9, 10]]),
)
# Generated or copied (4, 7); copied alone (8, 9); only generated (5, 3); neither (UNK).
GOALS = torch.tensor([[4, 8, 3, 0, 0], [5, UNK, 7, UNK, 3], [8, 9, 3, 0, 0]])


def network(options: DecoderOptions, *, cell: str = "gru", **changes: Any) -> EncoderDecoder:
    """Float64, every parameter away from where it begins."""
    torch.manual_seed(3)
    model = ModelSettings(embedding_size=SIZE, hidden_size=HIDDEN, cell="gru", **changes)
    made = EncoderDecoder(
        model, replace(options, cell=cell), source_size=V_SOURCE, target_size=V_TARGET, outputs=V
    ).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def loss(made: EncoderDecoder, rows: slice = slice(None), **options: Any) -> Tensor:
    """Of some rows, without padding that they do not need."""
    source, target = batch(SOURCE[rows]), batch(TARGET[rows])
    width, time = source.ids.shape[1], target.ids.shape[1] - 1
    copies = Copies(ids=COPIES.ids[rows, :width], slots=COPIES.slots[rows])
    found = made.loss(source, target, copies=copies, goals=GOALS[rows, :time], **options)
    assert found.units == int((GOALS[rows] > UNK).sum())
    return found.total


def stepped(made: EncoderDecoder) -> tuple[Tensor, Tensor]:
    """By the search's view: the goals' log-probabilities [B, T], and weights [B, T, S]."""
    stepper = NetworkStepper(made, made.encode(batch(SOURCE)), COPIES)
    read = torch.cat([torch.full((3, 1), BOS), GOALS[:, :-1]], 1)
    assert stepper.vocabulary_size == V + 2
    own, weights = [], []
    for t in range(GOALS.shape[1]):
        scores = stepper.step(read[:, t])
        assert scores.normalized
        assert scores.weights is not None
        torch.testing.assert_close(scores.logits.exp().sum(1), torch.ones(3).double())
        own.append(scores.logits.gather(1, GOALS[:, t : t + 1]))
        weights.append(scores.weights)
    return torch.cat(own, 1), torch.stack(weights, 1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_what_the_search_sees(variant: str) -> None:
    made = network(VARIANTS[variant]).train()
    own, weights = stepped(made)
    real = lengths_to_mask(batch(TARGET).lengths - 1, GOALS.shape[1])
    coverage = made.coverage_factor * coverage_loss(weights, real)
    torch.testing.assert_close(loss(made), coverage - own[GOALS > UNK].sum())


@pytest.mark.parametrize("cell", ["lstm", "min_gru", "slstm", "projected_lstm"])
@pytest.mark.parametrize("fed", [False, True])
def test_the_loss_is_what_the_search_sees_with_any_cell(cell: str, fed: bool) -> None:
    options = replace(COPYING, input_feeding=fed, intra_attention=not fed)
    if cell == "projected_lstm":
        options = replace(options, cell_options={"cell_size": 4})
    made = network(options, cell=cell).eval()
    torch.testing.assert_close(loss(made), -stepped(made)[0][GOALS > UNK].sum())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_is_its_rows(variant: str) -> None:
    made = network(VARIANTS[variant]).train()
    alone = [loss(made, slice(row, row + 1), smoothing=0.1) for row in range(3)]
    torch.testing.assert_close(loss(made, smoothing=0.1), torch.stack(alone).sum())


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_numerically_right(variant: str) -> None:
    made = network(VARIANTS[variant]).train()

    def run(*_: Tensor) -> Tensor:
        return loss(made, smoothing=0.1)

    assert torch.autograd.gradcheck(run, tuple(made.parameters()), fast_mode=True)


def test_smoothing_is_of_what_is_generated() -> None:
    made = network(COPYING).eval()
    plain, _ = stepped(made)
    source, target = batch(SOURCE), batch(TARGET)
    run = made.run(target.ids[:, :-1], target.lengths - 1, *made.begin(made.encode(source)))
    means = made.output(run.outputs).log_softmax(2).mean(2)
    counted, able = GOALS > UNK, (GOALS > UNK) & (GOALS < V)
    expected = -0.8 * plain[counted].sum() - 0.2 * means[able].sum()
    torch.testing.assert_close(loss(made, smoothing=0.2), expected)


def test_a_part_of_a_vocabulary_is_generated_without_copying() -> None:
    """What is unknown is learned as such, as in any vocabulary; what stands on padding is not."""
    made = network(replace(OPTIONS, coverage_loss=0.5)).eval()
    goals = torch.where(GOALS < V, GOALS, UNK)
    source, target = batch(SOURCE), batch(TARGET)
    found = made.loss(source, target, goals=goals, smoothing=0.1)
    run = made.run(target.ids[:, :-1], target.lengths - 1, *made.begin(made.encode(source)))
    logits = made.output(run.outputs)
    assert logits.shape[2] == V
    counted = goals > 0
    expected = F.cross_entropy(logits[counted], goals[counted], label_smoothing=0.1, reduction="sum")  # fmt: skip
    torch.testing.assert_close(found.total, expected)
    assert found.units == int(counted.sum())
    dirty = torch.where(lengths_to_mask(target.lengths - 1, 5), goals, 5)
    torch.testing.assert_close(made.loss(source, target, goals=dirty, smoothing=0.1).total, expected)  # fmt: skip
    # Coverage is a matter of training.
    trained = made.train().loss(source, target, goals=goals, smoothing=0.1).total
    assert run.weights is not None
    real = lengths_to_mask(target.lengths - 1, 5)
    torch.testing.assert_close(trained - expected, 0.5 * coverage_loss(run.weights, real))


@torch.no_grad()
def test_a_stepper_follows_each_hypothesis_and_its_own_slots() -> None:
    made = network(VARIANTS["intra"]).eval()
    stepper = NetworkStepper(made, made.encode(batch(SOURCE)), COPIES)
    stepper.step(torch.tensor([BOS] * 3))
    stepper.select(torch.tensor([0, 0, 1, 1, 2, 2]))
    stepper.step(torch.tensor([8, 9, 6, 7, 8, 9]))
    stepper.select(torch.tensor([1, 0, 2, 3, 5, 4]))
    stepper.keep(torch.tensor([0, 2]))
    found = stepper.step(torch.tensor([4, 8, 9, 5])).logits
    # The same by the ids that the slots are read by.
    assert made.pointer is not None
    histories = [(0, [BOS, 1, 4]), (0, [BOS, 9, 9]), (2, [BOS, 10, 10]), (2, [BOS, 9, 5])]
    for row, (number, history) in enumerate(histories):
        source = batch([SOURCE[number]])
        width, rows = source.ids.shape[1], slice(number, number + 1)
        copies = Copies(ids=COPIES.ids[rows, :width], slots=COPIES.slots[rows])
        ids, begun = torch.tensor([history]), made.begin(made.encode(source))
        run = made.run(ids, torch.tensor([3]), *begun)
        assert run.weights is not None
        output = run.outputs[:, -1]
        shares = made.pointer(output, run.inputs[:, -1])
        expected = Sources.of(copies).log_probabilities(
            shares, made.output(output), run.weights[:, -1]
        )
        torch.testing.assert_close(found[row], expected[0])


@torch.no_grad()
@pytest.mark.parametrize("width", [1, 3])
def test_a_search_writes_what_it_can_only_copy(width: int) -> None:
    made = network(COPYING).eval()
    assert made.pointer is not None
    made.pointer.gate.bias.fill_(-30.0)
    copies = Copies(ids=torch.tensor([[8, 9, 8, 0]] * 2), slots=torch.tensor([[9, 1]] * 2))
    source = batch([SOURCE[0]] * 2)
    stepper = NetworkStepper(made, made.encode(source), copies)
    found = search(
        stepper,
        Decoding(beam=width),
        bos=BOS,
        eos=EOS,
        source_lengths=source.lengths,
        forbidden=[0],
    )
    for outputs in found:
        assert set(outputs[0].ids) <= {8, 9}
        assert len(outputs[0].ids) > 1


def test_an_explanation_is_the_share_of_each_position() -> None:
    made = network(VARIANTS["fed"]).eval()
    source, target = batch(SOURCE), batch(TARGET)
    generated, taken = made.explain(source, target, COPIES, GOALS)
    run = made.run(target.ids[:, :-1], target.lengths - 1, *made.begin(made.encode(source)))
    assert run.weights is not None
    probabilities = made.output(run.outputs).softmax(2)
    real = lengths_to_mask(target.lengths - 1, 5)
    assert not generated[~real].any()
    for row, time in real.nonzero().tolist():
        g, goal = generated[row, time], int(GOALS[row, time])
        if goal == UNK:
            assert not taken[row, time].any()
            continue
        written = g * probabilities[row, time, goal] if goal < V else torch.zeros(())
        each = (1 - g) * run.weights[row, time] * (COPIES.ids[row] == goal)
        torch.testing.assert_close(taken[row, time], each / (written + each.sum()))
        if goal >= V:
            torch.testing.assert_close(taken[row, time].sum(), torch.ones(()).double())
    assert not taken[~real].any()


@pytest.mark.parametrize("fed", [False, True])
def test_scheduled_sampling_reads_what_was_copied(fed: bool) -> None:
    """Whatever is drawn is copied, from the only place that can be: the slot that is read as 10."""
    made = network(replace(COPYING, input_feeding=fed)).eval()
    assert made.pointer is not None
    with torch.no_grad():
        made.pointer.gate.bias.fill_(-60.0)
    source, target = batch([[7]] * 3), batch(TARGET)
    copies = Copies(ids=torch.full((3, 1), 9), slots=torch.tensor([[9, 10]] * 3))
    own = batch([[BOS, *(10 for _ in row[1:])] for row in TARGET])
    found = made.loss(source, target, copies=copies, goals=GOALS.clamp_max(V - 1), own_share=1.0)
    expected = made.loss(source, own, copies=copies, goals=GOALS.clamp_max(V - 1))
    torch.testing.assert_close(found.total, expected.total)


@pytest.mark.parametrize("fed", [False, True])
def test_scheduled_sampling_generates_where_nothing_can_be_copied(fed: bool) -> None:
    made = network(replace(COPYING, input_feeding=fed)).eval()
    assert made.pointer is not None
    assert made.output.bias is not None
    with torch.no_grad():
        made.pointer.gate.bias.fill_(-60.0)
        made.output.bias[7] = 60.0
    source, target = batch([[7]] * 3), batch(TARGET)
    copies = Copies(ids=torch.zeros(3, 1).long(), slots=torch.zeros(3, 0).long())
    own = batch([[BOS, *(7 for _ in row[1:])] for row in TARGET])
    goals = GOALS.clamp_max(V - 1)
    found = made.loss(source, target, copies=copies, goals=goals, own_share=1.0)
    expected = made.loss(source, own, copies=copies, goals=goals)
    torch.testing.assert_close(found.total, expected.total)


def test_float32_stays_finite_where_the_gate_is_sure() -> None:
    for bias in (-200.0, 200.0):
        made = network(VARIANTS["fed"]).float().train()
        assert made.pointer is not None
        with torch.no_grad():
            made.pointer.gate.bias.fill_(bias)
        total = loss(made)
        assert total.isfinite()
        for gradient in torch.autograd.grad(total, list(made.parameters()), materialize_grads=True):
            assert gradient.isfinite().all()


def test_what_is_wrong_is_said() -> None:
    made, source = network(COPYING), batch(SOURCE)
    message = "^this network copies, so that it must be told what: give `copies`$"
    with pytest.raises(InputError, match=message):
        made.loss(source, batch(TARGET), goals=GOALS)
    with pytest.raises(InputError, match=message):
        NetworkStepper(made, made.encode(source))
    plain = network(OPTIONS)
    with pytest.raises(InputError, match="^this network copies nothing, so that there is nothing to explain$"):  # fmt: skip
        plain.explain(source, batch(TARGET), COPIES, GOALS)
    # A network that copies nothing needs not be spared the question.
    assert NetworkStepper(plain, plain.encode(source), COPIES).vocabulary_size == V


def test_parameters_of_the_parts() -> None:
    made = network(VARIANTS["intra"])
    shapes = {name: list(each.shape) for name, each in made.named_parameters()}
    assert shapes["pointer.gate.weight"] == [1, 2 * SIZE]
    assert shapes["selection.state_map.weight"] == [2 * HIDDEN, 2 * HIDDEN]
    assert shapes["decoder.intra_attention.projection.weight"] == [HIDDEN, HIDDEN]
    assert {name for name in shapes if "pointer" in name or "selection" in name or "intra" in name} == {
        "pointer.gate.weight", "pointer.gate.bias", "selection.state_map.weight",
        "selection.summary_map.weight", "selection.summary_map.bias",
        "decoder.intra_attention.projection.weight",
    }  # fmt: skip
    assert not any("pointer" in name for name, _ in network(OPTIONS).named_parameters())


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        ("copying", "copying", True),
        ("coverage_loss", "coverage_loss", 0.5),
        ("intra_attention", "intra_attention", True),
        ("selection_gate", "selection_gate", True),
    ],
)
def test_the_table_head_reaches_the_network(key: str, field: str, value: Any) -> None:
    for task in ("translation", "summarization"):
        found = [
            decoder_options(settings, options_of(settings))
            for settings in (Settings(task=task), Settings(task=task, head={key: value}))
        ]
        assert found[1] == replace(found[0], **{field: value})
    assert found[0] != found[1]


PEAK = """
import resource, torch
from seqnlp.config import ModelSettings, Settings
from seqnlp.types import Copies, TokenBatch
from tests.tasks.test_copying import COPYING, SIZE
from seqnlp.tasks.sequence import EncoderDecoder
V, B, S, T = 20_000, 16, 400, 20
made = EncoderDecoder(ModelSettings(embedding_size=SIZE, hidden_size=5), COPYING, source_size=V, target_size=V)
def run(unknown):
    ids = torch.full((B, S), 7)
    ids[:, :unknown] = V + torch.arange(unknown)
    copies = Copies(ids=ids, slots=torch.ones(B, unknown, dtype=torch.int64))
    source = TokenBatch(ids=ids.clamp_max(V - 1), lengths=torch.full((B,), S))
    target = TokenBatch(ids=torch.full((B, T + 1), 7), lengths=torch.full((B,), T + 1))
    made.loss(source, target, copies=copies, goals=ids[:, -T:].flip(1)).total.backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
few, many = run(0), run(S)
print((many - few) // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units")
def test_memory_does_not_grow_with_unknown_words() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PEAK], env={**os.environ}, capture_output=True, text=True, check=True
    )
    # One number for each token and unknown word would be 512 megabytes.
    assert int(found.stdout) < 30


def test_a_batch_of_token_ids_alone_is_as_before() -> None:
    """Without goals a target says itself what is wanted, unknown tokens and all."""
    made = network(OPTIONS).eval()
    target = batch([[2, 4, 1, 3], [2, 5, 3]])
    source: TokenBatch = batch(SOURCE[:2])
    found = made.loss(source, target)
    run = made.run(target.ids[:, :-1], target.lengths - 1, *made.begin(made.encode(source)))
    real = lengths_to_mask(target.lengths - 1, 3)
    expected = F.cross_entropy(made.output(run.outputs)[real], target.ids[:, 1:][real], reduction="sum")  # fmt: skip
    torch.testing.assert_close(found.total, expected)
    assert found.units == 5
