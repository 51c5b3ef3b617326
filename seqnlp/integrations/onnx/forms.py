"""Memories and states of decoders as flat tensors, and which of their axes are of any length.

A decoder's own dataclasses are opened as a search opens them: without knowing what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.decoder import DecoderState
from seqnlp.tasks.sequence import EncoderDecoder
from seqnlp.types import Memory, TokenBatch

Axes: TypeAlias = Mapping[int, str]

_SOURCES, _HYPOTHESES, _TIME, _PAST, _SLOTS = 2, 3, 7, 5, 4
"""Sizes of what is recorded, all different."""


def leaves(value: object) -> Iterator[Tensor]:
    """The tensors of a memory, a state, or a part of one; complex ones as pairs [..., 2]."""
    if isinstance(value, Tensor):
        yield torch.view_as_real(value) if value.is_complex() else value
    elif isinstance(value, tuple):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, Memory | DecoderState):
        for part in fields(value):
            yield from leaves(getattr(value, part.name))


def filled(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same with other tensors, in the order of `leaves`."""
    if isinstance(value, Tensor):
        found = next(tensors)
        return torch.view_as_complex(found) if value.is_complex() else found
    if isinstance(value, tuple):
        return tuple(filled(each, tensors) for each in value)
    if isinstance(value, Memory | DecoderState):
        names = [part.name for part in fields(value)]
        return replace(value, **{name: filled(getattr(value, name), tensors) for name in names})
    return value


def example_source(time: int = _TIME) -> tuple[Tensor, Tensor]:
    """Ids int64 [B, S] and lengths int64 [B] that any model can read."""
    ids = 2 + torch.arange(_SOURCES * time).view(_SOURCES, time) % 2
    return ids, torch.arange(time - _SOURCES + 1, time + 1)


@dataclass(frozen=True, kw_only=True)
class Begun:
    """Memories and states of all members, some hypotheses a source, some tokens written."""

    memories: list[Memory]
    states: list[DecoderState]

    @classmethod
    def of(cls, members: Sequence[EncoderDecoder], *, time: int, past: int) -> Begun:
        """With sources of up to `time` tokens, after `past` tokens."""
        ids, lengths = example_source(time)
        begun = [each.begin(each.encode(TokenBatch(ids=ids, lengths=lengths))) for each in members]
        rows = torch.arange(_SOURCES).repeat_interleave(_HYPOTHESES)
        states = [state.select(rows) for _, state in begun]
        for _ in range(past):
            states = [
                member.decoder.step(member.embed(2 + rows), memory, state)[2]
                for member, (memory, _), state in zip(members, begun, states, strict=True)
            ]
        return cls(memories=[memory for memory, _ in begun], states=states)


@dataclass(frozen=True, kw_only=True)
class Form:
    """What the graphs of an encoder and of a step hand to each other.

    memories, states: examples, one a member. places: which input each tensor of all memories is;
    those that are the same share one. inputs: of a step: name to example and axes of any length.
    weighs: whether a step gives weights. copies: whether it copies.
    """

    memories: list[Memory]
    states: list[DecoderState]
    places: list[int]
    inputs: dict[str, tuple[Tensor, Axes]]
    weighs: bool
    copies: bool

    @classmethod
    def of(cls, members: Sequence[EncoderDecoder]) -> Form:
        """Of the members of a task, by looking at what they do.

        Raises:
            InputError: a state changes in more than its tensors.
        """
        begun = Begun.of(members, time=_TIME, past=_PAST)
        # What grows with the source, and what with the output.
        longer = Begun.of(members, time=_TIME + 2, past=_PAST)
        later = Begun.of(members, time=_TIME, past=_PAST + 1)
        for state, after in zip(begun.states, later.states, strict=True):
            if list(_constants(state)) != list(_constants(after)):
                raise InputError(
                    f"{type(state).__name__} holds a number that changes from step to step, which "
                    "no graph can; a tensor [N] can be recorded"
                )
        copies = members[0].pointer is not None
        inputs: dict[str, tuple[Tensor, Axes]] = {
            "ids": (torch.full((_SOURCES, _HYPOTHESES), 2), {0: "batch", 1: "hypotheses"})
        }
        if copies:
            positions = torch.arange(_TIME).expand(_SOURCES, -1).contiguous()
            inputs["copy_ids"] = positions + 2, {0: "batch", 1: "time"}
            inputs["first"] = positions.clone(), {0: "batch", 1: "time"}
            slots = torch.full((_SOURCES, _SLOTS), 2)
            inputs["slots"] = slots, {0: "batch", 1: "slots"}
        every = [leaf for each in begun.memories for leaf in leaves(each)]
        others = [leaf for each in longer.memories for leaf in leaves(each)]
        places = _places(every)
        for number in range(max(places) + 1):
            leaf, other = (kept[places.index(number)] for kept in (every, others))
            inputs[f"memory_{number}"] = leaf, {0: "batch", **_changed(leaf, other, "time")}
        states = zip(*([*_state_leaves(each)] for each in (begun, longer, later)), strict=True)
        for number, (leaf, other, after) in enumerate(states):
            axes = {**_changed(leaf, other, "time"), **_changed(leaf, after, "past")}
            inputs[f"state_{number}"] = (
                leaf.unflatten(0, (_SOURCES, _HYPOTHESES)),
                {0: "batch", 1: "hypotheses", **{axis + 1: name for axis, name in axes.items()}},
            )
        return cls(
            memories=begun.memories,
            states=begun.states,
            places=places,
            inputs=inputs,
            weighs=any(each.decoder.gives_weights for each in members),
            copies=copies,
        )

    def named(self, kind: str) -> list[str]:
        """The inputs whose names begin so: "memory", "state"."""
        return [name for name in self.inputs if name.startswith(kind)]


def _state_leaves(begun: Begun) -> Iterator[Tensor]:
    for state in begun.states:
        yield from leaves(state)


def _constants(value: object) -> Iterator[object]:
    """What a state holds beside its tensors."""
    if isinstance(value, tuple):
        for each in value:
            yield from _constants(each)
    elif isinstance(value, DecoderState):
        for part in fields(value):
            yield from _constants(getattr(value, part.name))
    elif not isinstance(value, Tensor):
        yield value


def _changed(leaf: Tensor, other: Tensor, name: str) -> dict[int, str]:
    """The axes whose sizes differ."""
    sizes = zip(leaf.shape, other.shape, strict=True)
    return {axis: name for axis, (size, changed) in enumerate(sizes) if size != changed}


def _places(tensors: Sequence[Tensor]) -> list[int]:
    """A number for each tensor, from 0; the same for one tensor, and for masks of one source."""
    kept: list[Tensor] = []
    found = []
    for tensor in tensors:
        same = (place for place, other in enumerate(kept) if _same(tensor, other))
        place = next(same, len(kept))
        if place == len(kept):
            kept.append(tensor)
        found.append(place)
    return found


def _same(tensor: Tensor, other: Tensor) -> bool:
    masks = tensor.dtype == other.dtype == torch.bool
    return tensor is other or (masks and torch.equal(tensor, other))
