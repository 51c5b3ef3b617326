"""The ONNX graphs of models that write: what reads a source, and one step of what is written.

A search stands outside of them. Axis letters: B sources, K hypotheses of each, N = B * K rows, S
source time, V tokens, X slots of what can be copied (`Copies`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.integrations.onnx.description import describe_texts
from seqnlp.integrations.onnx.forms import Form, example_source, filled, leaves
from seqnlp.integrations.onnx.recording import to_onnx
from seqnlp.nn.decoder import DecoderState
from seqnlp.nn.pointer import Pointer
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Memory, TokenBatch

if TYPE_CHECKING:
    from onnx import ModelProto

LOGS, WEIGHTS, NEXT = "log_probabilities", "weights", "next_"


def writer_graphs(task: WritingTask) -> dict[str, ModelProto]:
    """The graphs of a model that writes; all members of an ensemble are in each.

    `encoder` maps ids int64 [B, S] and lengths int64 [B], each at least 1, to memory_0, ..., what a
    step reads of a source, and state_0, ..., the states before the first step, [B, ...] each.

    `step` takes ids int64 [B, K], the last tokens; memory_0, ...; the states, [B, K, ...]; and
    where there is copying copy_ids int64 [B, S] and slots int64 [B, X] (see `Copies`; X at least
    1), and first int64 [B, S], the first position of the token at each. It gives log_probabilities
    float [N, V + X], weights float [N, S] of a model that has them, and next_state_0, ..., the
    states after it, [N, ...].

    Raises:
        MissingPackageError: a package of the extra `onnx` is not installed.
        InputError: a part of the model that cannot be recorded for any length.
    """
    _check(task)
    members = cast("list[EncoderDecoder]", list(task.members))
    settings = task.settings.model
    with task.evaluating(), torch.no_grad():
        form = Form.of(members)
        states = form.named("state")
        encoder = to_onnx(
            _Reader(members, form),
            example_source(),
            [{0: "batch", 1: "time"}, {0: "batch"}],
            ["ids", "lengths"],
            [*form.named("memory"), *states],
            what=f"the encoder {settings.encoder!r} with the cell {settings.cell!r}, and the "
            f"beginning of the decoder {task.options.decoder!r},",
        )
        step = to_onnx(
            _Step(members, form),
            [example for example, _ in form.inputs.values()],
            [axes for _, axes in form.inputs.values()],
            list(form.inputs),
            [LOGS, *([WEIGHTS] * form.weighs), *(NEXT + name for name in states)],
            what=f"the decoder {task.options.decoder!r}",
        )
    return {"encoder": encoder, "step": step}


def describe_writer(task: WritingTask) -> dict[str, Any]:
    """What a runner needs to know of a model that writes beside its graphs, as JSON values.

    Raises:
        InputError: a part of its pipelines that the runner does not have.
    """
    source, target = (pipeline.tokenizer for pipeline in task.pipelines.values())
    learned, copies = task.learned, task.options.copying
    usual, truecaser = learned.usual_length, learned.truecaser
    case = None
    if truecaser is not None:
        case = {**truecaser.state(), "normalizers": list(truecaser.normalizers)}
    members = cast("list[EncoderDecoder]", list(task.members))
    return {
        "task": task.settings.task,
        "kind": "writer",
        **describe_texts(task),
        "fields": list(task.pipeline_names),
        "outputs": learned.outputs,
        "copies": copies,
        "weights": any(each.decoder.gives_weights for each in members),
        "writes_unknown": not (copies or target.lossless),
        "reads_pieces": source.needs_training or source.lossless,
        "length_ratio": learned.length_ratio,
        "usual_length": None if usual is None else asdict(usual),
        "sentence_case": task.options.sentence_case,
        "truecase": case,
        "decoding": task.decoding.model_dump(mode="json"),
    }


def _check(task: WritingTask) -> None:
    if task.options.sentence_tokens:
        raise InputError(
            "head.sentence_tokens: a model that reads sentences cannot be exported: how many a "
            "batch has is no size of its arrays"
        )
    if task.pipeline.hasher is not None:
        raise InputError(
            "text.ngram_buckets: a model that writes and reads n-grams cannot be exported; train "
            "one with text.ngram_buckets = 0"
        )


class _Reader(nn.Module):
    """The encoders of all members."""

    def __init__(self, members: Sequence[EncoderDecoder], form: Form) -> None:
        super().__init__()
        self.members, self._form = nn.ModuleList(members), form

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        source, places = TokenBatch(ids=ids, lengths=lengths), self._form.places
        memories: list[Tensor] = []
        states: list[Tensor] = []
        for member in cast("list[EncoderDecoder]", list(self.members)):
            memory, state = member.begin(member.encode(source))
            memories += leaves(memory)
            states += leaves(state)
        distinct = (memories[places.index(number)] for number in range(max(places) + 1))
        return (*distinct, *states)


class _Step(nn.Module):
    """A step of all members, by the mean of their probabilities and of their weights."""

    def __init__(self, members: Sequence[EncoderDecoder], form: Form) -> None:
        super().__init__()
        self.members, self._form = nn.ModuleList(members), form

    def forward(self, ids: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        form, given = self._form, iter(others)
        copies = tuple(next(given) for _ in range(3)) if form.copies else None
        memory = [next(given) for _ in form.named("memory")]
        memories = iter([memory[place] for place in form.places])
        states = (state.flatten(0, 1) for state in given)
        logs: list[Tensor] = []
        weights: list[Tensor] = []
        after: list[Tensor] = []
        for number, member in enumerate(cast("list[EncoderDecoder]", list(self.members))):
            own = filled(form.memories[number], memories), filled(form.states[number], states)
            log, weight, state = _take_step(member, ids, copies, *own)
            logs.append(log)
            weights += [] if weight is None else [weight]
            after += leaves(state)
        total = logs[0]
        for other in logs[1:]:
            total = _add_exponents(total, other)
        if len(logs) > 1:
            total = total - math.log(len(logs))
            weights = [torch.stack(weights).mean(0)] if weights else []
        return (total, *weights, *after)


def _take_step(
    network: EncoderDecoder,
    ids: Tensor,
    copies: tuple[Tensor, ...] | None,
    memory: Memory,
    state: DecoderState,
) -> tuple[Tensor, Tensor | None, DecoderState]:
    """Log-probabilities, weights and the state after a token; see `NetworkStepper.step`."""
    classes = network.output.classes
    if copies is not None:
        slots = copies[2].gather(1, (ids - classes).clamp_min(0))
        ids = torch.where(ids < classes, ids, slots)
    x = network.embed(ids.flatten())
    outputs, weights, state = network.decoder.step(x, memory, state)
    logs = torch.log_softmax(network.output(outputs), 1)
    if copies is None or weights is None:
        return logs, weights, state
    assert network.pointer is not None
    shares = _shares(network.pointer, outputs, x)
    return _mix(shares, logs, weights, *copies, hypotheses=ids.shape[1]), weights, state


def _shares(pointer: Pointer, outputs: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """What `Pointer.forward` gives.

    The logarithm of a sigmoid would be as inexact as onnxruntime's sigmoid is where it is small.
    """
    logits: Tensor = pointer.gate(torch.cat([outputs, inputs], dim=-1)).squeeze(-1)
    rest = (1 + (-logits.abs()).exp()).log()
    return logits.clamp(max=0.0) - rest, (-logits).clamp(max=0.0) - rest


def _mix(
    shares: tuple[Tensor, Tensor],
    logs: Tensor,
    weights: Tensor,
    copy_ids: Tensor,
    first: Tensor,
    slots: Tensor,
    *,
    hypotheses: int,
) -> Tensor:
    """What `Sources.log_probabilities` gives, float [N, V + X]."""
    nothing = torch.full_like(slots, -math.inf, dtype=logs.dtype)

    def each(x: Tensor) -> Tensor:
        """[N, ...] of [B, ...]."""
        return x.unsqueeze(1).expand(-1, hypotheses, -1).flatten(0, 1)

    first, ids = each(first), each(copy_ids)
    found = torch.cat([logs + shares[0].unsqueeze(1), each(nothing)], 1)
    sums = torch.zeros_like(weights).scatter_add(1, first, weights).gather(1, first)
    attended = sums.log() + shares[1].unsqueeze(1)
    # A token of several positions has its sum at each, and is written so often by one number.
    return found.scatter(1, ids, _add_exponents(found.gather(1, ids), attended))


def _add_exponents(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b), -inf where both are; ONNX has no operator for it."""
    most = torch.maximum(a, b)
    most = torch.where(most == -math.inf, 0.0, most)
    return ((a - most).exp() + (b - most).exp()).log() + most
