"""What the recurrent layers of a model read in a batch, and the gradient that reached them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.layer import RecurrentLayer
from seqnlp.nn.modes import in_mode
from seqnlp.tasks.base import Batch, Task


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a recurrent layer.

    x: float [B, T, I], zero on padding. padding: where the rows end; None where all are full.
    state: before the first step; None for the initial one. output: float [B, T, N], of the cells,
    with the residual where there is one, before any norm. gradient: of the mean loss in nats with
    respect to it; zero on padding.
    """

    layer: RecurrentLayer
    x: Tensor
    padding: Padding | None
    state: State | None
    output: Tensor
    gradient: Tensor


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
        InputError: no layer of the model is a recurrent one, or the batch reached none.
    """
    layers = {n: m for n, m in task.named_modules() if isinstance(m, RecurrentLayer)}
    if not layers:
        raise InputError(
            f"the model of the task {task.settings.task!r} has no recurrent layer to diagnose; "
            "expected one that is made of cells (seqnlp.nn.RecurrentLayer)"
        )
    parameters = {n: p for n, p in task.named_parameters() if p.requires_grad}
    devices = [] if task.device.type == "cpu" else [task.device]
    watches = [_Watch(name, layer) for name, layer in layers.items()]
    try:
        with (
            in_mode(task, training=False),
            torch.random.fork_rng(devices),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            loss = task.loss(batch).mean
            seen = [(watch.name, call) for watch in watches for call in watch.calls]
            if not any(call.output.requires_grad for _, call in seen):
                raise InputError(
                    "the loss reaches no recurrent layer of the model: nothing to diagnose"
                )
            found = torch.autograd.grad(
                loss, [*(call.output for _, call in seen), *parameters.values()], allow_unused=True
            )
    finally:
        for watch in watches:
            watch.remove()
    calls: dict[str, list[Call]] = {}
    for (name, call), gradient in zip(seen, found, strict=False):
        output = call.output.detach()
        gradient = torch.zeros_like(output) if gradient is None else gradient
        calls.setdefault(name, []).append(replace(call, output=output, gradient=gradient))
    return Captured(
        loss=loss.item(),
        calls=calls,
        gradients=dict(zip(parameters, found[len(seen) :], strict=True)),
    )


class _Watch:
    """Writes down the calls of one layer until it is removed."""

    def __init__(self, name: str, layer: RecurrentLayer) -> None:
        self.name, self.layer = name, layer
        self.calls: list[Call] = []
        self._sum: Tensor | None = None
        self._signature = inspect.signature(layer.forward)
        self._handles = [layer.register_forward_hook(self._see, with_kwargs=True)]
        if layer.norm is not None:
            self._handles.append(layer.norm.register_forward_pre_hook(self._see_sum))

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _see_sum(self, _: nn.Module, args: tuple[Tensor]) -> None:
        self._sum = args[0]

    def _see(self, _: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        given = self._signature.bind(*args, **kwargs).arguments
        state: State | None = given.get("state")
        output = output if self._sum is None else self._sum
        call = Call(
            layer=self.layer,
            x=given["x"].detach(),
            padding=given["padding"],
            state=None if state is None else tuple(leaf.detach() for leaf in state),
            output=output,
            gradient=output,
        )
        self.calls.append(call)
