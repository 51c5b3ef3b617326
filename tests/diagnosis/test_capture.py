"""What is seen of a batch: inputs, states and gradients of every recurrent layer, and no trace."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import Settings
from seqnlp.data.corpus import open_corpus
from seqnlp.diagnosis.capture import capture
from seqnlp.diagnosis.reading import readings
from seqnlp.errors import InputError
from seqnlp.nn import unroll
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.quantization import quantize
from seqnlp.nn.recurrence import RecurrentEncoder
from seqnlp.tasks.base import Batch, Task
from seqnlp.types import Loss
from tests.toy_translation import small_translation


class Sums(Batch):
    """Inputs, their lengths, and the weight of every output in the loss."""

    def __init__(self, x: Tensor, lengths: Tensor, weights: Tensor) -> None:
        self.x, self.lengths, self.weights = x, lengths, weights

    def to(self, device: object) -> Sums:
        return self


class Summing(Task):
    """The sum of an encoder's states by the weights of a batch."""

    def __init__(self, encoder: nn.Module) -> None:
        nn.Module.__init__(self)
        self.encoder = encoder
        self.settings = Settings(task="summing")

    def loss(self, batch: Batch) -> Loss:
        assert isinstance(batch, Sums)
        total = (self.encoder(batch.x, batch.lengths).states * batch.weights).sum()
        return Loss(total=total, units=2)


Summing.__abstractmethods__ = frozenset()


def summing(**options: object) -> tuple[Summing, Sums]:
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, hidden_size=4, cell="lstm", **options)  # type: ignore[arg-type]
    lengths = torch.tensor([5, 2, 0, 4])
    x, weights = torch.randn(4, 5, 3), torch.randn(4, 5, encoder.output_size)
    return Summing(encoder), Sums(x, lengths, weights)


def padding_of(batch: Sums) -> Padding:
    found = Padding.of(batch.lengths, batch.x)
    assert found is not None
    return found


def outputs_of(layer: RecurrentLayer, x: Tensor, lengths: Tensor) -> Tensor:
    assert layer.backward_cell is not None
    ahead, _ = unroll(layer.forward_cell, x, lengths, engine="reference")
    back, _ = unroll(layer.backward_cell, x, lengths, reverse=True, engine="reference")
    return torch.cat([ahead, back], dim=2)


def test_gradients_stop_before_residual_and_norm() -> None:
    task, batch = summing(layers=2, residual=True, layer_norm=True)
    captured = capture(task, batch)
    first, second = task.encoder.layers
    x = first(batch.x, padding_of(batch)).detach()
    outputs = outputs_of(second, x, batch.lengths).detach().requires_grad_()
    finished = second.finish(outputs, x, padding_of(batch))
    (wanted,) = torch.autograd.grad((finished * batch.weights).sum() / 2, outputs)
    ((call,), (below,)) = captured.calls["encoder.layers.1"], captured.calls["encoder.layers.0"]
    torch.testing.assert_close(call.gradient, wanted)
    torch.testing.assert_close(call.x, x)
    assert torch.equal(below.x, padding_of(batch).zero(batch.x))
    assert captured.loss == pytest.approx(task.loss(batch).mean.item())


def test_both_directions_read_from_their_own_first_step() -> None:
    task, batch = summing()
    captured = capture(task, batch)
    (layer,) = task.encoder.layers
    outputs = outputs_of(layer, batch.x, batch.lengths).detach()
    found = {
        direction: each for direction, _, (each,) in readings(captured.calls["encoder.layers.0"])
    }
    assert found["forward"].lengths.tolist() == [5, 4, 2]  # the longest first, and none of no step
    for place, row in enumerate((0, 3, 1)):
        length = int(batch.lengths[row])
        for direction, part in (("forward", slice(4)), ("backward", slice(4, 8))):
            mine = outputs[row, :length, part], batch.weights[row, :length, part] / 2
            turned = [each.flip(0) if direction == "backward" else each for each in mine]
            reading = found[direction]
            torch.testing.assert_close(reading.outputs[place, :length], turned[0])
            torch.testing.assert_close(reading.gradients[place, :length], turned[1])


def test_zoneout_is_that_of_evaluation() -> None:
    task, batch = summing(bidirectional=False, zoneout_output=0.3, zoneout_memory=0.2)
    task.eval()
    captured = capture(task, batch)
    ((_, _, (reading,)),) = readings(captured.calls["encoder.layers.0"])
    wanted = task.encoder(batch.x, batch.lengths).states[0]
    torch.testing.assert_close(reading.outputs[0], wanted)


def test_nothing_is_left_behind() -> None:
    task, batch = summing(layers=2, layer_norm=True)
    task.encoder.layers[1].norm.eval()
    modes = [module.training for module in task.modules()]
    before = torch.get_rng_state()
    capture(task, batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert [module.training for module in task.modules()] == modes
    assert all(weight.grad is None for weight in task.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in task.modules())


def test_a_failing_loss_leaves_nothing_behind_either() -> None:
    task, batch = summing()
    batch.weights = batch.weights[:, :2]
    with pytest.raises(RuntimeError):
        capture(task, batch)
    assert not any(module._forward_hooks for module in task.modules())


def test_models_without_recurrent_layers_are_refused() -> None:
    _, batch = summing()
    message = (
        "the model of the task 'summing' has no recurrent layer to diagnose; expected one that is "
        "made of cells (seqnlp.nn.RecurrentLayer)"
    )
    with pytest.raises(InputError, match=re.escape(message)):
        capture(Summing(nn.LSTM(3, 4)), batch)


def test_quantized_models_are_refused() -> None:
    task, batch = summing()
    task = quantize(task.eval())
    message = "nothing comes back through int8 weights; diagnose the model that they were made from"
    with pytest.raises(InputError, match=message):
        capture(task, batch)


def test_layers_that_the_loss_does_not_reach_are_refused() -> None:
    class Aside(Summing):
        def loss(self, batch: Batch) -> Loss:
            return Loss(total=torch.zeros((), requires_grad=True), units=1)

    Aside.__abstractmethods__ = frozenset()
    _, batch = summing()
    with pytest.raises(InputError, match="the loss reaches no recurrent layer of the model"):
        capture(Aside(RecurrentEncoder(3, hidden_size=4)), batch)


@pytest.mark.parametrize("options", [[], ["head.decoder_layers=2", "model.layer_norm=true"]])
def test_a_fed_decoder_is_seen_step_by_step(pairs_corpus: Path, options: list[str]) -> None:
    """The same loss and the same gradients of all weights as its own loop gives."""
    settings = small_translation(pairs_corpus, "head.input_feeding=true", "model.hidden_size=8",
                                 "model.zoneout_output=0.1", *options)  # fmt: skip
    kind = registry.tasks.get("translation")
    corpus = open_corpus(str(pairs_corpus), fields=kind.fields, languages=("de", "en"))
    torch.manual_seed(0)
    task: Task = kind.create(settings, corpus).eval()
    batch = task.read(corpus.split("train"), training=True).batch(np.arange(6))
    loss = task.loss(batch).mean
    weights = dict(task.named_parameters())
    wanted = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    captured = capture(task, batch)
    assert captured.loss == pytest.approx(loss.item(), rel=1e-6)
    for (name, gradient), known in zip(captured.gradients.items(), wanted, strict=True):
        assert gradient is not None, name
        torch.testing.assert_close(gradient, known, rtol=1e-4, atol=1e-6)
    layers = task.members[0].decoder.layers
    assert not any("step" in vars(layer) for layer in layers)
    for number, layer in enumerate(layers):
        (call,) = captured.calls[f"members.0.decoder.layers.{number}"]
        assert call.layer is layer
        assert call.x.shape[2] == layer.forward_cell.input_size
        assert call.gradient.abs().sum() > 0
