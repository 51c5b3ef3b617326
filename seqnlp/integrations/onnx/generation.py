"""The ONNX graphs of models that write: what reads a source, and one step of what is written.

A search stands outside of them. Axis letters: B sources, K hypotheses of each, N = B * K rows, S
source time, P tokens written so far, V tokens, X slots of what can be copied (`Copies`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.integrations.onnx.description import describe_texts
from seqnlp.integrations.onnx.recording import to_onnx
from seqnlp.nn.decoder import DecoderState
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.tasks.writing_task import WritingTask
from seqnlp.types import Memory, TokenBatch

if TYPE_CHECKING:
    from onnx import ModelProto

Value = TypeVar("Value", Memory, DecoderState)
_Axes = Mapping[int, str]


def writer_graphs(task: WritingTask) -> dict[str, ModelProto]:
    """The graphs of a model that writes; all members of an ensemble are in each.

    encoder: ids int64 [B, S] and lengths int64 [B] to what a step reads of a source (memory_0, ...)
    and the states before the first step (state_0, ...), [B, ...] each.

    step: ids int64 [B, K], the last tokens; memory_0, ...; the states [B, K, ...]; and where there
    is copying copy_ids int64 [B, S] and slots int64 [B, X] (see `Copies`; X at least 1), and first
    int64 [B, S], the first position of the token of each. It gives log_probabilities float32
    [N, V + X], weights float32 [N, S] of a model that has them, and the states after it, next_0,
    ..., [N, ...].

    Raises:
        MissingPackageError: a package of the extra `onnx` is not installed.
        InputError: a part of the model cannot be recorded for any length.
    """
    _check(task)
    members: list[EncoderDecoder] = list(task.members)  # type: ignore[arg-type]
    with task.evaluating(), torch.no_grad():
        form = _Form.of(members)
        encoder = to_onnx(
            _Reader(members, form),
            [*_source(2, 7)],
            [{0: "B", 1: "S"}, {0: "B"}],
            ["ids", "lengths"],
            [*form.memory_names, *form.state_names],
        )
        step, inputs = _Step(members, form), form.inputs
        outputs = ["log_probabilities", *(["weights"] if form.weighs else [])]
        outputs += [f"next_{number}" for number in range(len(form.state_names))]
        recorded = to_onnx(
            step, [each for each, _ in inputs.values()], [axes for _, axes in inputs.values()],
            list(inputs), outputs,
        )  # fmt: skip
    return {"encoder": encoder, "step": recorded}


def describe_writer(task: WritingTask) -> dict[str, Any]:
    """What a runner needs to know of a model that writes beside its graphs, as JSON values.

    Raises:
        InputError: a part of its pipelines that the runner does not have.
    """
    source, target = task.pipelines.values()
    learned, usual = task.learned, task.learned.usual_length
    copies = task.options.copying
    network: EncoderDecoder = task.members[0]  # type: ignore[assignment]
    return {
        "task": task.settings.task,
        "kind": "writer",
        **describe_texts(task),
        "fields": list(task.pipeline_names),
        "outputs": learned.outputs,
        "copies": copies,
        "weights": network.decoder.gives_weights,
        "writes_unknown": not (copies or target.tokenizer.lossless),
        "reads_pieces": source.tokenizer.needs_training or source.tokenizer.lossless,
        "length_ratio": learned.length_ratio,
        "usual_length": None if usual is None else asdict(usual),
        "sentence_case": task.options.sentence_case,
        "truecase": None if learned.truecaser is None else learned.truecaser.state()
        | {"normalizers": list(learned.truecaser.normalizers)},
        "decoding": task.decoding.model_dump(mode="json"),
    }  # fmt: skip


def _check(task: WritingTask) -> None:
    if task.options.sentence_tokens:
        raise InputError(
            "head.sentence_tokens: a model that reads sentences cannot be exported: how many there "
            "are in a batch is no size of its arrays"
        )
    if task.pipeline.hasher is not None:
        raise InputError(
            "text.ngram_buckets: a model that writes and reads n-grams cannot be exported; train "
            "it with text.ngram_buckets = 0"
        )


def _source(rows: int, time: int) -> tuple[Tensor, Tensor]:
    """Ids [rows, time] and lengths of an example; the last row is the longest."""
    ids = 2 + torch.arange(rows * time).view(rows, time) % 2
    return ids, torch.arange(time - rows + 1, time + 1)


def _leaves(value: object) -> Iterator[Tensor]:
    """The tensors of a memory, a state, or a part of one."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, Memory | DecoderState):
        for part in fields(value):
            yield from _leaves(getattr(value, part.name))


def _filled(value: Any, leaves: Iterator[Tensor]) -> Any:
    """The same with other tensors, in the order of `_leaves`."""
    if isinstance(value, Tensor):
        return next(leaves)
    if isinstance(value, tuple):
        return tuple(_filled(each, leaves) for each in value)
    if isinstance(value, Memory | DecoderState):
        names = [part.name for part in fields(value)]
        return replace(value, **{name: _filled(getattr(value, name), leaves) for name in names})
    return value


def _constants(value: object) -> list[object]:
    """What a state holds beside its tensors."""
    if isinstance(value, tuple):
        return [found for each in value for found in _constants(each)]
    if isinstance(value, DecoderState):
        return [found for part in fields(value) for found in _constants(getattr(value, part.name))]
    return [] if isinstance(value, Tensor) else [value]


@dataclass(frozen=True, kw_only=True)
class _Start:
    """Memories and states of all members, K hypotheses a source, P tokens after the beginning."""

    memories: list[Memory]
    states: list[DecoderState]

    @classmethod
    def of(cls, members: Sequence[EncoderDecoder], time: int, past: int) -> _Start:
        ids, lengths = _source(2, time)
        begun = [each.begin(each.encode(TokenBatch(ids=ids, lengths=lengths))) for each in members]
        rows = torch.arange(2).repeat_interleave(_HYPOTHESES)
        states = [state.select(rows) for _, state in begun]
        for _ in range(past):
            states = [
                member.decoder.step(member.embed(2 + rows), memory, state)[2]
                for member, (memory, _), state in zip(members, begun, states, strict=True)
            ]
        return cls(memories=[memory for memory, _ in begun], states=states)


_HYPOTHESES, _TIME, _PAST = 3, 7, 5
"""Sizes of what is recorded, all different, for two sources."""


@dataclass(frozen=True, kw_only=True)
class _Form:
    """What graphs are asked with and answer.

    memories, states: of an example, a member each. places: for each tensor of all memories, the
    number of its input; where several are one tensor, they share it. inputs: examples of what a
    step reads, by name, with their dynamic axes. weighs: whether a step gives weights. slots:
    whether it copies.
    """

    memories: list[Memory]
    states: list[DecoderState]
    places: list[int]
    inputs: dict[str, tuple[Tensor, _Axes]]
    weighs: bool
    copies: bool

    @classmethod
    def of(cls, members: Sequence[EncoderDecoder]) -> _Form:
        start = _Start.of(members, _TIME, _PAST)
        longer = _Start.of(members, _TIME + 2, _PAST)
        later = _Start.of(members, _TIME, _PAST + 1)
        if any(map(_differ, start.states, later.states)):
            name = type(start.states[0]).__name__
            raise InputError(
                f"{name} holds numbers that change from step to step outside of its tensors, which "
                "a graph cannot; make them tensors [N]"
            )
        memory, places = _distinct([leaf for each in start.memories for leaf in _leaves(each)])
        inputs: dict[str, tuple[Tensor, _Axes]] = {
            "ids": (torch.full((2, _HYPOTHESES), 2), {0: "B", 1: "K"})
        }
        copies = members[0].pointer is not None
        if copies:
            positions = torch.arange(2 * _TIME).view(2, _TIME) % _TIME
            inputs["copy_ids"] = positions + 2, {0: "B", 1: "S"}
            inputs["first"] = positions, {0: "B", 1: "S"}
            inputs["slots"] = torch.ones(2, 4, dtype=torch.int64), {0: "B", 1: "X"}
        others = _distinct([leaf for each in longer.memories for leaf in _leaves(each)], places)[0]
        for number, (leaf, other) in enumerate(zip(memory, others, strict=True)):
            inputs[f"memory_{number}"] = leaf, {0: "B", **_changed(leaf, other, "S")}
        for number, leaves in enumerate(zip(*map(_all, (start, longer, later)), strict=True)):
            leaf, other, after = leaves
            axes = {**_changed(leaf, other, "S"), **_changed(leaf, after, "P")}
            grouped = leaf.unflatten(0, (2, _HYPOTHESES))
            axes = {axis + 1: name for axis, name in axes.items()}
            inputs[f"state_{number}"] = grouped, {0: "B", 1: "K", **axes}
        return cls(
            memories=start.memories,
            states=start.states,
            places=places,
            inputs=inputs,
            weighs=any(each.decoder.gives_weights for each in members),
            copies=copies,
        )

    @property
    def memory_names(self) -> list[str]:
        """Of the inputs that a memory is."""
        return [name for name in self.inputs if name.startswith("memory_")]

    @property
    def state_names(self) -> list[str]:
        """Of the inputs that states are."""
        return [name for name in self.inputs if name.startswith("state_")]


def _all(start: _Start) -> list[Tensor]:
    return [leaf for state in start.states for leaf in _leaves(state)]


def _differ(state: DecoderState, later: DecoderState) -> bool:
    return _constants(state) != _constants(later)


def _changed(leaf: Tensor, other: Tensor, name: str) -> dict[int, str]:
    """The axes whose sizes differ."""
    sizes = zip(leaf.shape, other.shape, strict=True)
    return {axis: name for axis, (size, changed) in enumerate(sizes) if size != changed}


def _distinct(
    leaves: list[Tensor], places: list[int] | None = None
) -> tuple[list[Tensor], list[int]]:
    """Tensors without repetitions, and for each the place of its like; by `places`, where given."""
    kept: list[Tensor] = []
    found: list[int] = []
    for number, leaf in enumerate(leaves):
        if places is None:
            same = (place for place, other in enumerate(kept) if _same(leaf, other))
            place = next(same, len(kept))
        else:
            place = places[number]
        if place == len(kept):
            kept.append(leaf)
        found.append(place)
    return kept, found


def _same(leaf: Tensor, other: Tensor) -> bool:
    """Whether they are one tensor, or the masks of one source."""
    masks = leaf.dtype == other.dtype == torch.bool and torch.equal(leaf, other)
    return leaf is other or masks


class _Reader(nn.Module):
    """The encoders of all members."""

    def __init__(self, members: Sequence[EncoderDecoder], form: _Form) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._places = form.places

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        source = TokenBatch(ids=ids, lengths=lengths)
        begun = [each.begin(each.encode(source)) for each in self.members]  # type: ignore[operator]
        leaves = [leaf for memory, _ in begun for leaf in _leaves(memory)]
        memory = _distinct(leaves, self._places)[0]
        return (*memory, *(leaf for _, state in begun for leaf in _leaves(state)))


class _Step(nn.Module):
    """A step of all members, by the mean of their probabilities and of their weights."""

    def __init__(self, members: Sequence[EncoderDecoder], form: _Form) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self._form = form

    def forward(self, ids: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        form, given = self._form, iter(others)
        copies = tuple(next(given) for _ in range(3)) if form.copies else None
        memory = [next(given) for _ in form.memory_names]
        leaves = iter([memory[place] for place in form.places])
        states = (state.flatten(0, 1) for state in given)
        logs: list[Tensor] = []
        weights: list[Tensor] = []
        after: list[Tensor] = []
        for number, member in enumerate(self.members):
            found = _step(
                member,  # type: ignore[arg-type]
                ids,
                copies,
                _filled(form.memories[number], leaves),
                _filled(form.states[number], states),
            )
            logs.append(found[0])
            weights += [] if found[1] is None else [found[1]]
            after += _leaves(found[2])
        total = logs[0]
        for other in logs[1:]:
            total = _add_exponents(total, other)
        if len(logs) > 1:
            total = total - math.log(len(logs))
        mean = [torch.stack(weights).mean(0) if len(weights) > 1 else weights[0]] if weights else []
        return (total, *mean, *after)


def _step(
    network: EncoderDecoder,
    ids: Tensor,
    copies: tuple[Tensor, ...] | None,
    memory: Memory,
    state: DecoderState,
) -> tuple[Tensor, Tensor | None, DecoderState]:
    """Log-probabilities, weights and state after a token; see `NetworkStepper.step`."""
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
    mixed = _mix(network.pointer(outputs, x), logs, weights, *copies, hypotheses=ids.shape[1])
    return mixed, weights, state


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
    return found.scatter(1, ids, _add_exponents(found.gather(1, ids), attended))


def _add_exponents(a: Tensor, b: Tensor) -> Tensor:
    """log(exp a + exp b), -inf where both are; ONNX has no operator for it."""
    most = torch.maximum(a, b)
    most = torch.where(most == -math.inf, 0.0, most)
    return ((a - most).exp() + (b - most).exp()).log() + most
