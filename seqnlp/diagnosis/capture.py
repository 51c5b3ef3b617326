"""A batch through a model, ahead and back, with an eye on its recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqnlp.diagnosis.feeding import FeedingWatch
from seqnlp.diagnosis.watching import Call, LayerWatch, Watch
from seqnlp.errors import InputError
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.modes import in_mode
from seqnlp.nn.recurrent_decoder import RecurrentDecoder
from seqnlp.tasks.base import Batch, Task


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A batch that went through a model once, ahead and back.

    loss: nats a unit. calls: by the name of the layer, in the order of the model's modules.
    gradients: of the mean loss, by the name of the parameter; None where nothing depends on it.
    """

    loss: float
    calls: Mapping[str, Sequence[Call]]
    gradients: Mapping[str, Tensor | None]


def capture(task: Task, batch: Batch) -> Captured:
    """Run a batch and pull its loss back, without a trace in the model.

    The model is in evaluation mode meanwhile, without dropout; no `grad` of a parameter is touched,
    and the generators of random numbers are where they were.

    Args:
        task: with its weights.
        batch: of rows that it learns from, on its device.

    Raises:
        InputError: no layer of the model is a recurrent one, or the batch reached none; or they are
            quantized.
    """
    layers = {n: m for n, m in task.named_modules() if isinstance(m, RecurrentLayer)}
    if not layers:
        raise InputError(
            f"the model of the task {task.settings.task!r} has no recurrent layer to diagnose; "
            "expected one that is made of cells (seqnlp.nn.RecurrentLayer)"
        )
    if any(isinstance(layer.forward_cell, QuantizedCell) for layer in layers.values()):
        raise InputError(
            "nothing comes back through int8 weights; diagnose the model that they were made from"
        )
    parameters = {n: p for n, p in task.named_parameters() if p.requires_grad}
    devices = [] if task.device.type == "cpu" else [task.device]
    watches: list[Watch] = [LayerWatch(name, layer) for name, layer in layers.items()]
    watches += [
        FeedingWatch(name, module)
        for name, module in task.named_modules()
        if isinstance(module, RecurrentDecoder) and module.input_feeding
    ]
    try:
        with (
            in_mode(task, training=False),
            torch.random.fork_rng(devices),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            loss = task.loss(batch).mean
            seen = [each for watch in watches for each in watch.seen]
            outputs = [output for each in seen for output in each.outputs]
            if not any(output.requires_grad for output in outputs):
                raise InputError(
                    "the loss reaches no recurrent layer of the model: nothing to diagnose"
                )
            found = torch.autograd.grad(loss, [*outputs, *parameters.values()], allow_unused=True)
    finally:
        for watch in watches:
            watch.remove()
    rest = iter(found)
    calls: dict[str, list[Call]] = {name: [] for name in layers}
    for each in seen:
        gradients = [next(rest) for _ in each.outputs]
        calls[each.name].append(each.call(gradients))
    return Captured(
        loss=loss.item(),
        calls={name: of for name, of in calls.items() if of},
        gradients=dict(zip(parameters, rest, strict=True)),
    )
