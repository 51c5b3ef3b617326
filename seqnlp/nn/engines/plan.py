"""The plan of a cell: which values of its pointwise part lie in which array, and the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import torch

from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import Library, load_cell, load_driver
from seqnlp.nn.engines.emit import Function, Result, driver, emit, scratch_rows
from seqnlp.nn.engines.graph import Pointwise, Value


class Place(IntEnum):
    """Where an argument of a pointwise function has its rows; `Place` of recurrence.h."""

    STEP = 0
    PREVIOUS = 1
    NEXT = 2
    ROW = 3
    FIXED = 4
    THREAD = 5


class Slot(NamedTuple):
    """Rows of an argument: in the array of that name, from a column on."""

    array: str
    place: Place
    column: int = 0


class Run(NamedTuple):
    """Gates that follow each other and are all merged (see `Pointwise`), or all not.

    column: of the first of them, among the gates that are not merged.
    """

    first: int
    gates: int
    merged: bool
    column: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """An emitted function and where its arguments lie."""

    function: Function
    slots: tuple[Slot, ...]
    scratch: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a fused engine runs one kind of cell.

    Arrays, with N real steps, B rows, H features, `slot.column` counted in columns of H:

    x_gates [N, G*H]: the products with x; then what is kept for backward takes their place where
        backward does not need them.
    h_gates [N, U*H]: the products with h of the U gates that are not merged.
    kept [N, wide_kept*H], kept_rows [N, narrow_kept]: what else is kept.
    state0 ...: [B + N, H]. gradient0 ...: [B, H]. x_gradients, h_gradients: as the gates.
    p_NAME: parameters [H] or [1]. m_NAME: masks. sum_NAME: gradients of parameters, by thread.
    """

    pointwise: Pointwise
    runs: tuple[Run, ...]
    wide_kept: int
    narrow_kept: int
    inference: Step
    forward: Step
    backward: Step

    @property
    def separate(self) -> int:
        """U, the gates that are not merged."""
        return self.pointwise.merged.count(False)

    @cached_property
    def libraries(self) -> dict[torch.dtype, Library | None]:
        """What has been loaded, by type of number."""
        return {}

    @cached_property
    def programs(self) -> dict[str, Any]:
        """What else has been made of this plan, by name."""
        return {}

    def source(self, dtype: torch.dtype) -> str:
        """C++ of the three functions."""
        steps = (self.inference, self.forward, self.backward)
        return emit(self.pointwise.graph, [step.function for step in steps], dtype)

    def library(self, dtype: torch.dtype) -> Library | None:
        """The compiled functions; None where nothing can be compiled."""
        if dtype not in self.libraries:
            loop = build.load(driver(dtype))
            cell = None if loop is None else build.load(self.source(dtype))
            found = None
            if loop is not None and cell is not None:
                found = Library(driver=load_driver(loop), functions=load_cell(cell))
            self.libraries[dtype] = found
        return self.libraries[dtype]


def make_plan(pointwise: Pointwise) -> Plan:
    """Decide what lies where."""
    graph = pointwise.graph
    needed = pointwise.backward_inputs()
    runs: list[Run] = []
    column = 0
    for merged, group in groupby(range(pointwise.gate_count), pointwise.merged.__getitem__):
        gates = list(group)
        runs.append(Run(gates[0], len(gates), merged, 0 if merged else column))
        column += 0 if merged else len(gates)

    slots: dict[Value, Slot] = {}
    for gate, value in enumerate(pointwise.x_gates):
        slots[value] = Slot("x_gates", Place.STEP, gate)
    separate = [h for h, m in zip(pointwise.h_gates, pointwise.merged, strict=True) if not m]
    for index, value in enumerate(separate):
        slots[value] = Slot("h_gates", Place.STEP, index)
    for leaf, value in enumerate(pointwise.states):
        slots[value] = Slot(f"state{leaf}", Place.PREVIOUS)
    for name, value in pointwise.parameters.items():
        slots[value] = Slot(f"p_{name}", Place.FIXED)
    for name, value in pointwise.masks.items():
        slots[value] = Slot(f"m_{name}", Place.STEP)
    inputs = tuple(pointwise.forward_inputs)

    # What is kept overwrites the gates, row by row, where backward does not read them.
    free = [gate for gate, value in enumerate(pointwise.x_gates) if value not in needed]
    wide = [value for value in pointwise.kept if graph.nodes[value].wide]
    narrow = [value for value in pointwise.kept if not graph.nodes[value].wide]
    kept: dict[Value, Slot] = {}
    for value, gate in zip(wide, free, strict=False):
        kept[value] = Slot("x_gates", Place.STEP, gate)
    for index, value in enumerate(wide[len(free) :]):
        kept[value] = Slot("kept", Place.STEP, index)
    for index, value in enumerate(narrow):
        kept[value] = Slot("kept_rows", Place.STEP, index)
    states = [
        (Result(value, True), Slot(f"state{leaf}", Place.NEXT))
        for leaf, value in enumerate(pointwise.new_states)
    ]
    extra = [(Result(v, graph.nodes[v].wide), slot) for v, slot in kept.items()]

    late = dict(slots)
    for leaf, value in reversed(list(enumerate(pointwise.new_states))):
        if value not in late:
            late[value] = Slot(f"state{leaf}", Place.NEXT)
    late |= kept
    for leaf, value in enumerate(pointwise.gradients):
        late[value] = Slot(f"gradient{leaf}", Place.ROW)
    results = [
        (Result(value, True), Slot("x_gradients", Place.STEP, gate))
        for gate, value in enumerate(pointwise.x_gradients)
    ]
    apart = [g for g, m in zip(pointwise.h_gradients, pointwise.merged, strict=True) if not m]
    results += [
        (Result(value, True), Slot("h_gradients", Place.STEP, index))
        for index, value in enumerate(apart)
    ]
    results += [
        (Result(value, True), Slot(f"gradient{leaf}", Place.ROW))
        for leaf, value in enumerate(pointwise.state_gradients)
    ]
    for name, value in pointwise.parameter_gradients.items():
        parameter = graph.nodes[pointwise.parameters[name]]
        results.append(
            (Result(value, parameter.wide, added=True), Slot(f"sum_{name}", Place.THREAD))
        )

    def step(
        name: str,
        read: Sequence[Value],
        where: Mapping[Value, Slot],
        written: Sequence[tuple[Result, Slot]],
    ) -> Step:
        function = Function(
            name=name, inputs=tuple(read), results=tuple(result for result, _ in written)
        )
        places = (*(where[value] for value in read), *(slot for _, slot in written))
        return Step(function=function, slots=places, scratch=scratch_rows(graph, function))

    return Plan(
        pointwise=pointwise,
        runs=tuple(runs),
        wide_kept=max(0, len(wide) - len(free)),
        narrow_kept=len(narrow),
        inference=step("inference", inputs, slots, states),
        forward=step("forward", inputs, slots, [*states, *extra]),
        backward=step("backward", sorted(needed), late, results),
    )
