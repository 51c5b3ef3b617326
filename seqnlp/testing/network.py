"""A network that reads padded rows, as the checks of all kinds of them need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from seqnlp.testing.contract import Violation
from seqnlp.testing.tensors import Inputs

Outputs = dict[str, Tensor]

PADDING = (
    "set what lies beyond a row's length to zero, or leave it out of sums, before anything reads it"
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A kind of network, as the checks need it.

    make: one with new weights, in float64 and evaluation. inputs: for so many rows, ragged, the
    first of full length. run: its outputs by name. padded: by name of an output, the input whose
    padding it shares; None where it has none. batches: sizes of batches at which axes can be
    taken for each other. padding: how to keep padding out, for remedies.
    """

    make: Callable[[], nn.Module]
    inputs: Callable[[int], Inputs]
    run: Callable[[nn.Module, Inputs], Outputs]
    padded: Mapping[str, str | None]
    batches: tuple[int, ...] = (4,)
    padding: str = PADDING

    def real(self, outputs: Outputs, inputs: Inputs) -> Outputs:
        """The outputs without padding: [N, ...] of N real steps."""
        kept = {}
        for name, found in outputs.items():
            shares = self.padded[name]
            kept[name] = found if shares is None else found[inputs.mask(shares)]
        return kept

    def gradients(self, module: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
        """Of a sum that weighs all real outputs differently, by inputs and weights."""
        inputs = inputs.learning()
        generator = torch.Generator().manual_seed(7)
        total = torch.zeros((), dtype=torch.float64)
        for each in self.real(self.run(module, inputs), inputs).values():
            weights = torch.rand(each.shape, generator=generator, dtype=torch.float64)
            total = total + (each * weights).sum()
        parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
        wanted = {**{f"input {name}": each for name, each in inputs.tensors.items()}, **parameters}
        if not total.requires_grad:
            raise Violation(
                "no gradient reaches inputs or weights",
                "compute in torch, without detach(), item(), numpy() or no_grad()",
            )
        found = torch.autograd.grad(total, list(wanted.values()), materialize_grads=True)
        return dict(zip(wanted, found, strict=True))


class HasNetwork(Protocol):
    """What the checks of this module ask of a subject."""

    @property
    def network(self) -> Network: ...
