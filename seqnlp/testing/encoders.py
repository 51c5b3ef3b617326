"""What an encoder owes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from seqnlp.errors import InputError
from seqnlp.nn import Encoder
from seqnlp.testing.contract import Contract, Part
from seqnlp.testing.network import Network, Outputs
from seqnlp.testing.network_checks import add_network_checks
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.seeding import seeded
from seqnlp.testing.signature import check_described, check_options
from seqnlp.testing.tensors import Inputs, require_close, require_finite, require_long
from seqnlp.testing.toys import toy_corpus, toy_settings, toy_task

T, D, H = 6, 5, 8
LONG = 1200
PADDING = (
    "x may hold anything beyond lengths: zero it by Padding.of(lengths, x).zero(x), mask it in "
    "softmax and mean, and take the summary at lengths - 1"
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An encoder under test."""

    part: Part

    def make(self, **options: object) -> Encoder:
        """A small one, in float64 and evaluation."""
        taken = inspect.signature(self.part.factory).parameters
        small = {
            name: value for name, value in {"hidden_size": H, **options}.items() if name in taken
        }
        small_part = Part(
            kind=self.part.kind, name=self.part.name, factory=self.part.factory,
            options={**small, **self.part.options},
        )  # fmt: skip
        made: Encoder = small_part.make(input_size=D)
        return made.double().eval()

    @cached_property
    def output_size(self) -> int:
        """Features of a state."""
        return self.make().output_size

    @cached_property
    def network(self) -> Network:
        """For the checks of all networks."""
        return Network(
            make=self.make,
            inputs=make_inputs,
            run=run,
            padded={"states": "x", "summary": None},
            batches=tuple(sorted({4, H, *([self.output_size] if self.output_size <= 32 else [])})),
            padding=PADDING,
        )


def make_inputs(rows: int) -> Inputs:
    """Ragged rows of up to T steps."""
    lengths = torch.tensor([(T, 2, 4, 1, 5, 3)[row % 6] for row in range(rows)])
    x = torch.randn(rows, T, D, dtype=torch.float64)
    return Inputs(tensors={"x": x}, lengths={"x": lengths})


def run(module: nn.Module, inputs: Inputs) -> Outputs:
    """What the encoder makes of rows, by name."""
    encoded = module(inputs.tensors["x"], inputs.lengths["x"])
    return {"states": encoded.states, "summary": encoded.summary}


check_encoder: Contract[Any] = Contract("encoders", lambda part: Subject(part=part), around=seeded)
"""The contract of an encoder.

Options: those of the encoder, as `model.encoder_options` would give them.
"""


@check_encoder.check("is an encoder", required=True)
def _is_an_encoder(subject: Subject) -> str | None:
    factory = subject.part.factory
    require(
        inspect.isclass(factory) and issubclass(factory, Encoder),
        f"{subject.part.name} is no subclass of seqnlp.nn.Encoder",
        "derive it: class MyEncoder(Encoder)",
    )
    return check_described(subject.part, source=True)


@check_encoder.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    return check_options(subject.part, "input_size", input_size=D)


@check_encoder.check("shapes are right", required=True)
def _shapes(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    require(
        module.input_size == D,
        f"input_size is {module.input_size} where it was given as {D}",
        "hand the given sizes on: super().__init__(input_size, output_size)",
    )
    encoded = module(inputs.tensors["x"], inputs.lengths["x"])
    size = module.output_size
    expected = {"states": (4, T, size), "summary": (4, size), "mask": (4, T)}
    for name, shape in expected.items():
        found = tuple(getattr(encoded, name).shape)
        require(
            found == shape,
            f"{name} are {list(found)}, not {list(shape)}, for x [4, {T}, {D}]",
            f"output_size is {size}: return states [B, T, output_size], summary [B, output_size] "
            "and mask [B, T]",
        )
    require(
        torch.equal(encoded.mask, inputs.mask("x")),
        "the mask is not True on exactly the first `lengths` steps",
        "make it by the lengths: mask = torch.arange(T) < lengths[:, None]",
    )
    absent = encoded.states[~encoded.mask]
    require_close(
        absent, torch.zeros_like(absent), "states on padding, and zero,",
        "return zeros there: states * mask.unsqueeze(2)",
    )  # fmt: skip
    return None


add_network_checks(check_encoder)


@check_encoder.check("empty texts and batches are read")
def _empty(subject: Subject) -> str | None:
    module = subject.make()
    remedy = "return zeros at once where there are no rows or no steps"
    for rows, steps in ((0, T), (3, 0), (0, 0)):
        encoded = module(torch.randn(rows, steps, D, dtype=torch.float64), torch.zeros(rows).long())
        for name, shape in (
            ("states", (rows, steps, module.output_size)), ("summary", (rows, module.output_size)),
        ):  # fmt: skip
            found = getattr(encoded, name)
            require(
                tuple(found.shape) == shape,
                f"{name} of {rows} rows of {steps} steps are {list(found.shape)}, "
                f"not {list(shape)}",
                remedy,
            )
            require_finite(found, f"{name} of {rows} rows of {steps} steps", remedy)
    inputs = make_inputs(3)
    lengths = torch.tensor([T, 0, 2])
    encoded = module(inputs.tensors["x"], lengths)
    remedy = "let a row without a real step give zeros: mask before softmax, divide by max(n, 1)"
    require_finite(encoded.states, "states of a batch with an empty row", remedy)
    require_finite(encoded.summary, "the summary of a batch with an empty row", remedy)
    others = torch.tensor([0, 2])
    own = module(inputs.tensors["x"][others], lengths[others])
    require_close(
        encoded.states[others], own.states, "states beside an empty row and without", remedy
    )
    return None


@check_encoder.check("long texts are read")
def _long(subject: Subject) -> str | None:
    module, x = subject.make(), torch.randn(1, LONG, D, dtype=torch.float64)
    return require_long(lambda: module(x, torch.tensor([LONG])).states, f"a text of {LONG} words")


@check_encoder.check("streams, or says that it cannot")
def _streams(subject: Subject) -> str | None:
    kind = type(subject.make())
    require(
        (kind.advance is Encoder.advance) == (kind.initial_state is Encoder.initial_state),
        "it overrides one of initial_state and advance",
        "override both, so that it can read on, or neither",
    )
    told = []
    for options in ({}, {"bidirectional": False}):
        if options and "bidirectional" not in inspect.signature(subject.part.factory).parameters:
            continue
        module = subject.make(**options)
        try:
            module.initial_state(1)
        except InputError as error:
            told.append(str(error).partition(",")[0].partition(":")[0])
            continue
        _chunks_are_the_whole(module)
        told.append("streams" + (" in one direction" if options else ""))
    return "; ".join(told)


def _chunks_are_the_whole(module: Encoder) -> None:
    x = torch.randn(3, T, D, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([T, 3, 1])
    whole = module(x, lengths)
    remedy = (
        "let EncoderState carry all that later steps depend on, one row's apart from another's, "
        "and keep the state of a row whose text has ended"
    )
    for cuts in ((0, 2, T), (0, 1, 2, 3, 4, 5, T)):
        state, states = module.initial_state(3), []
        for begin, end in pairwise(cuts):
            left = (lengths - begin).clamp(0, end - begin)
            encoded, state = module.advance(x[:, begin:end], left, state)
            states.append(encoded.states)
        how = f"chunks of {', '.join(str(b - a) for a, b in pairwise(cuts))}"
        require_close(torch.cat(states, 1), whole.states, f"states of {how} and the whole", remedy)
        require_close(encoded.summary, whole.summary, f"summaries of {how} and the whole", remedy)
        ours, theirs = (
            torch.autograd.grad(each.square().sum(), x, retain_graph=True)[0]
            for each in (torch.cat(states, 1), whole.states)
        )
        require_close(ours, theirs, f"gradients of {how} and the whole", remedy)
    state, outputs = module.initial_state(3), []
    for t in range(T):
        output, state = module.step(x[:, t], state)
        outputs.append(output)
    full = module(x, torch.full((3,), T))
    require_close(torch.stack(outputs, 1), full.states, "states step by step and whole", remedy)
    state = state.detach()
    require(
        not any(leaf.requires_grad for layer in state.layers for leaf in layer),
        "EncoderState.detach leaves a gradient",
        "keep tensors in `layers` and `summary` only",
    )


@check_encoder.check("learns")
def _learns(subject: Subject) -> str | None:
    """The first token of a text is to be told at its end."""
    torch.manual_seed(0)
    encoder = subject.make().float().train()
    embedding, output = nn.Embedding(6, D), nn.Linear(2 * encoder.output_size, 2)
    weights = [*encoder.parameters(), *embedding.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(weights, lr=0.02)
    tokens = torch.randint(0, 6, (64, T))
    lengths = torch.randint(2, T + 1, (64,))
    wanted = (tokens[:, 0] >= 3).long()
    losses = []
    for _ in range(60):
        encoded = encoder(embedding(tokens), lengths)
        pooled = torch.cat([encoded.summary, encoded.states.amax(1)], dim=1)
        loss = nn.functional.cross_entropy(output(pooled), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    require(
        losses[-1] < 0.7 * losses[0],
        f"in 60 steps the loss only went from {losses[0]:.3f} to {losses[-1]:.3f}",
        "see that gradients reach all weights and that first weights are of a size near "
        "1 / sqrt(inputs)",
    )
    return f"loss {losses[0]:.2f} to {losses[-1]:.2f} in 60 steps"


@check_encoder.check("works in the sentiment task")
def _in_a_task(subject: Subject) -> str | None:
    with borrowed(subject.part) as name:
        options = dict(subject.part.options)
        task = toy_task(toy_settings(model={"encoder": name, "encoder_options": options}))
        rows = task.read(toy_corpus().split("train"), training=True)
        task.loss(rows.batch(np.arange(8))).mean.backward()
        answers = task.eval().answer_texts(["It was fine .", ""], batch_size=2)
        require(
            len(answers) == 2, f"two texts got {len(answers)} answers", "return a row for each row"
        )
    return None
