"""What a decoder owes."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.nn import Decoder
from seqnlp.testing.contract import Contract, Part, Skip
from seqnlp.testing.network import Network, Outputs
from seqnlp.testing.network_checks import IN_PLACE, add_network_checks
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.seeding import seeded
from seqnlp.testing.signature import check_described, check_options
from seqnlp.testing.targets import OUT, SIZES, D, E, H, M, S, T, make_inputs, source_of
from seqnlp.testing.tasks.subject import Subject as TaskSubject
from seqnlp.testing.tensors import Inputs, require_close, require_finite, require_long
from seqnlp.types import Encoded, Memory

LONG = 600
PADDING = (
    "hide positions of the source by memory.mask in every attention, and let no step of a target "
    "see a later one"
)
REMEMBER = "let the state carry all that later steps depend on: forward must equal step after step"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A decoder under test."""

    part: Part

    def make(self) -> Decoder[Any]:
        """A small one, in float64 and evaluation."""
        taken = inspect.signature(self.part.factory).parameters
        small = {"hidden_size": H} if "hidden_size" in taken else {}
        part = replace(self.part, options={**small, **self.part.options})
        made: Decoder[Any] = part.make(**SIZES)
        return made.double().eval()

    @cached_property
    def network(self) -> Network:
        """For the checks of all networks."""
        return Network(
            make=self.make,
            inputs=make_inputs,
            run=run,
            padded={"outputs": "x", "weights": "x"},
            batches=(4, H),
            padding=PADDING,
        )


def run(module: nn.Module, inputs: Inputs) -> Outputs:
    """What is decoded of whole targets; weights as wide as the longest source that is tried."""
    assert isinstance(module, Decoder)
    encoded = source_of(inputs)
    found = module(
        inputs.tensors["x"], inputs.lengths["x"], module.prepare(encoded),
        module.initial_state(encoded), want_weights=module.gives_weights,
    )  # fmt: skip
    if found.weights is None:
        return {"outputs": found.outputs}
    wide = found.weights.new_zeros(*found.weights.shape[:2], 2 * S - found.weights.shape[2])
    return {"outputs": found.outputs, "weights": torch.cat([found.weights, wide], dim=2)}


check_decoder: Contract[Any] = Contract("decoders", lambda part: Subject(part=part), around=seeded)
"""The contract of a decoder.

Options: those of the decoder, as `head.decoder_options` would give them.
"""


@check_decoder.check("is a decoder", required=True)
def _is_a_decoder(subject: Subject) -> str | None:
    factory = subject.part.factory
    require(
        inspect.isclass(factory) and issubclass(factory, Decoder),
        f"{subject.part.name} is no subclass of seqnlp.nn.Decoder",
        "derive it: class MyDecoder(Decoder[MyState])",
    )
    return check_described(subject.part, source=True)


@check_decoder.check("options are typed", required=True)
def _options(subject: Subject) -> str | None:
    return check_options(subject.part, *SIZES, **SIZES)


@check_decoder.check("shapes are right", required=True)
def _shapes(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    for name, size in SIZES.items():
        require(
            getattr(module, name) == size,
            f"{name} is {getattr(module, name)}, but {size} was given",
            "hand the sizes on: super().__init__(input_size, memory_size, summary_size, "
            "output_size=output_size)",
        )  # fmt: skip
    encoded = source_of(inputs)
    memory, state = module.prepare(encoded), module.initial_state(encoded)
    require(
        torch.equal(memory.mask, encoded.mask), "the memory has another mask than the source",
        "hand it on: Memory(keys=..., values=..., mask=encoded.mask)",
    )  # fmt: skip
    found = module(inputs.tensors["x"], inputs.lengths["x"], memory, state, want_weights=True)
    output, weights, _ = module.step(inputs.tensors["x"][:, 0], memory, state)
    remedy = "return outputs [B, T, output_size] and weights [B, T, S]; of a step [N, ...]"
    given = module.gives_weights
    for name, tensor, shape in (
        ("outputs", found.outputs, (4, T, OUT)),
        ("outputs of a step", output, (4, OUT)),
        ("weights", found.weights, (4, T, S) if given else None),
        ("weights of a step", weights, (4, S) if given else None),
    ):
        if shape is None or tensor is None:
            require(
                shape is tensor, f"gives_weights is {given}, but {name} are "
                f"{'none' if tensor is None else 'given'}",
                "set gives_weights to what it does: weights wherever they are asked for, or None",
            )  # fmt: skip
            continue
        require(
            tuple(tensor.shape) == shape, f"{name} are {list(tensor.shape)}, not {list(shape)}",
            remedy,
        )  # fmt: skip
    return None if given else "gives no weights: no copying, no maps"


add_network_checks(check_decoder)


@check_decoder.check("weights are shares of the source")
def _weights(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4)
    if not module.gives_weights:
        raise Skip("it gives none")
    weights = run(module, inputs)["weights"].detach()[inputs.mask("x")]
    hidden = ~inputs.mask("states")[:, None].expand(-1, T, -1)[inputs.mask("x")]
    require(
        not weights[:, :S][hidden].any(), "a hidden position of the source has a weight", PADDING,
    )  # fmt: skip
    sums = weights.sum(1)
    require_close(
        sums, torch.ones_like(sums), "sums of weights, and 1,",
        "give weights after the softmax, and without dropout",
    )  # fmt: skip
    require(bool((weights >= 0).all()), "a weight is below 0", "give weights after the softmax")
    return None


@check_decoder.check("step after step equals the whole")
def _steps(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(4).learning()
    x, encoded = inputs.tensors["x"], source_of(inputs)
    memory, state = module.prepare(encoded), module.initial_state(encoded)
    whole = module(x, None, memory, state, want_weights=module.gives_weights)
    later = x.detach().clone()
    later[:, 3:] += 1
    cut = module(later, None, memory, state).outputs[:, :3]
    require_close(
        cut, whole.outputs[:, :3], "outputs before a token that is changed, and as it was,",
        "let no step see a later one: mask attention to the target, and pad windows in front",
    )  # fmt: skip
    outputs, weights = [], []
    for token in x.unbind(1):
        output, weight, state = module.step(token, memory, state)
        outputs.append(output)
        weights.append(weight)
    stepped = torch.stack(outputs, 1)
    require_close(stepped, whole.outputs, "outputs step by step and whole", REMEMBER)
    if module.gives_weights:
        both = torch.stack([each for each in weights if each is not None], 1)
        require_close(both, whole.weights, "weights step by step and whole", REMEMBER)
    ours, theirs = (
        torch.autograd.grad(
            each.square().sum(), encoded.states, retain_graph=True, materialize_grads=True
        )[0]
        for each in (stepped, whole.outputs)
    )
    require_close(ours, theirs, "gradients step by step and whole", REMEMBER)
    return None


@check_decoder.check("a search can ask it")
def _searched(subject: Subject) -> str | None:
    module, inputs = subject.make(), make_inputs(3)
    encoded = source_of(inputs)
    memory, state = module.prepare(encoded), module.initial_state(encoded)
    _, _, state = module.step(inputs.tensors["x"][:, 0], memory, state)
    expected, _, _ = module.step(inputs.tensors["x"][:, 1], memory, state)
    again, _, _ = module.step(inputs.tensors["x"][:, 1], memory, state)
    require_close(
        again, expected, "outputs of one step from one state, asked twice,",
        f"leave the state as it is and return another; {IN_PLACE}",
    )  # fmt: skip
    twice = torch.arange(3).repeat_interleave(2)
    tokens = torch.randn(6, E, dtype=torch.float64)
    tokens[::2] = inputs.tensors["x"][:, 1]
    found, _, _ = module.step(tokens, memory, state.select(twice))
    require_close(
        found[::2], expected, "outputs of a hypothesis among others of its source, and alone,",
        "let hypothesis k of row b be row b * K + k, which attends to row b of the memory",
    )  # fmt: skip
    rows = torch.tensor([2, 0])
    chosen, _, _ = module.step(
        inputs.tensors["x"][rows, 1], memory.select(rows), state.select(rows)
    )
    require_close(
        chosen, expected[rows], "outputs of rows that are chosen, and among all,",
        "keep in memory and state tensors with the batch first, and nothing on self",
    )  # fmt: skip
    return None


@check_decoder.check("long targets are written")
def _long(subject: Subject) -> str | None:
    module, x, encoded = subject.make(), torch.randn(1, LONG, E).double(), source_of(make_inputs(1))
    return require_long(
        lambda: module(x, None, module.prepare(encoded), module.initial_state(encoded)).outputs,
        f"a target of {LONG} tokens",
    )


@check_decoder.check("empty sources, targets and batches are read")
def _empty(subject: Subject) -> str | None:
    module = subject.make()
    remedy = "return at once where there are no rows or no steps; mask before a softmax"
    for rows, steps, positions in ((0, T, S), (2, 0, S), (2, T, 0)):
        shapes = ((rows, steps, E), (rows, positions, D), (rows, M))
        x, states, summary = (torch.randn(*shape).double() for shape in shapes)
        mask = torch.ones(rows, positions, dtype=torch.bool)
        _all_finite(module, x, Encoded(states=states, mask=mask, summary=summary), remedy)
    inputs = make_inputs(3)
    mask = inputs.mask("states").clone()
    mask[1] = False
    encoded = replace(source_of(inputs), mask=mask)
    _all_finite(module, inputs.tensors["x"], encoded, "give zeros for what no position says")
    return None


def _all_finite(module: Decoder[Any], x: Tensor, encoded: Encoded, remedy: str) -> None:
    memory: Memory = module.prepare(encoded)
    outputs = module(x, None, memory, module.initial_state(encoded)).outputs
    where = f"{len(x)} targets of {x.shape[1]} steps, to sources of {encoded.mask.shape[1]}"
    require(
        tuple(outputs.shape) == (*x.shape[:2], OUT),
        f"outputs of {where} are {list(outputs.shape)}",
        remedy,
    )
    require_finite(outputs.detach(), f"the outputs of {where}", remedy)


@check_decoder.check("translates")
def _translates(subject: Subject) -> str | None:
    with borrowed(subject.part) as name:
        part = Part(
            kind="tasks", name="translation", factory=registry.tasks.get("translation"),
            options={
                "rows": 24, "decoder": name, "decoder_options": dict(subject.part.options),
            },
        )  # fmt: skip
        under = TaskSubject.of(part)
        task = under.create().train()
        batch = task.read(under.split("train"), training=True).batch(torch.arange(8).numpy())
        optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
        losses = []
        for _ in range(15):
            loss = task.loss(batch).mean
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.item())
        answers = task.eval().answer_texts(under.texts, batch_size=2)
    require(
        losses[-1] < losses[0],
        f"15 steps on a batch of pairs take the loss from {losses[0]:.3f} to {losses[-1]:.3f}",
        "see that gradients reach all weights, and that a target does not see itself",
    )
    require(len(answers) == len(under.texts), "translations are missing", "return every row")
    return f"loss {losses[0]:.2f} to {losses[-1]:.2f} in 15 steps on one batch"
