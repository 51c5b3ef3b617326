"""What a pooling owes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from seqnlp.nn import Pooling
from seqnlp.testing.contract import Contract, Part
from seqnlp.testing.network import Network, Outputs
from seqnlp.testing.network_checks import add_network_checks
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.seeding import seeded
from seqnlp.testing.signature import check_described, check_options
from seqnlp.testing.tensors import Inputs, require_close, require_finite
from seqnlp.testing.toys import RECURRENT, toy_corpus, toy_settings, toy_task
from seqnlp.types import Encoded

T, D = 6, 8
MASK = (
    "read the states where encoded.mask is True alone: weigh them by encoded.mask.unsqueeze(2), or "
    "fill what is hidden with the least number before a maximum"
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A pooling under test."""

    part: Part

    def make(self) -> Pooling:
        """One in float64 and evaluation."""
        made: Pooling = self.part.make(size=D)
        return made.double().eval()

    @cached_property
    def network(self) -> Network:
        """For the checks of all networks."""
        return Network(
            make=self.make,
            inputs=make_inputs,
            run=lambda module, inputs: run(module, inputs),
            padded={"pooled": None},
            batches=(4, D),
            padding=MASK,
        )


def make_inputs(rows: int) -> Inputs:
    """Ragged states and a summary of each row."""
    lengths = torch.tensor([(T, 2, 4, 1, 5, 3)[row % 6] for row in range(rows)])
    states = torch.randn(rows, T, D, dtype=torch.float64)
    summary = torch.randn(rows, D, dtype=torch.float64)
    return Inputs(tensors={"states": states, "summary": summary}, lengths={"states": lengths})


def run(module: nn.Module, inputs: Inputs) -> Outputs:
    """What the pooling makes of states, by name."""
    encoded = Encoded(
        states=inputs.tensors["states"],
        mask=inputs.mask("states"),
        summary=inputs.tensors["summary"],
    )
    return {"pooled": module(encoded)}


check_pooling: Contract[Any] = Contract("poolings", lambda part: Subject(part=part), around=seeded)
"""The contract of a pooling.

Options: those of the pooling.
"""


@check_pooling.check("is a pooling", required=True)
def _is_a_pooling(subject: Subject) -> str | None:
    factory = subject.part.factory
    require(
        inspect.isclass(factory) and issubclass(factory, Pooling),
        f"{subject.part.name} is no subclass of seqnlp.nn.Pooling",
        "derive it: class MyPooling(Pooling)",
    )
    return check_described(subject.part)


@check_pooling.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    return check_options(subject.part, "size", size=D)


@check_pooling.check("shapes are right", required=True)
def _shapes(subject: Subject) -> str | None:
    module = subject.make()
    found = tuple(run(module, make_inputs(4))["pooled"].shape)
    require(
        found == (4, module.output_size),
        f"the vectors are {list(found)}, not {[4, module.output_size]}, for states [4, {T}, {D}]",
        f"output_size is {module.output_size}: set it in __init__ to what forward gives, [B, "
        "output_size]",
    )
    return f"{module.output_size} features" if module.output_size != D else None


add_network_checks(check_pooling)


@check_pooling.check("empty rows give zeros")
def _empty(subject: Subject) -> str | None:
    module = subject.make()
    remedy = "give zeros where no step is real: divide by max(n, 1), multiply by mask.any(1)"
    for rows, steps in ((0, T), (3, 0), (3, T)):
        encoded = Encoded(
            states=torch.zeros(rows, steps, D, dtype=torch.float64),
            mask=torch.zeros(rows, steps, dtype=torch.bool),
            summary=torch.zeros(rows, D, dtype=torch.float64),
        )
        found = module(encoded)
        where = f"the vectors of {rows} rows of {steps} steps, none of them real"
        expected = torch.zeros(rows, module.output_size, dtype=torch.float64)
        require_close(found, expected, f"{where}, and zeros", remedy)
    return None


@check_pooling.check("works in the sentiment task")
def _in_a_task(subject: Subject) -> str | None:
    with borrowed(subject.part) as name:
        head: dict[str, object] = {"pooling": [name]}
        task = toy_task(toy_settings(model=RECURRENT, head=head))
        rows = task.read(toy_corpus().split("train"), training=True)
        loss = task.loss(rows.batch(np.arange(8)))
        loss.mean.backward()
        require_finite(loss.total.detach(), "the loss", "divide by no sum that may be zero")
    return None
