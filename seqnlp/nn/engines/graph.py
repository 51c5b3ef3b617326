"""The pointwise part of a cell as a graph of operations on one row, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from seqnlp.nn.engines.operations import OPERATIONS

Value = int
"""The number of a node in its graph."""


class Node(NamedTuple):
    """One value of a row: an input, a constant or the result of an operation.

    operation: a name of `OPERATIONS`, "input" or "constant".
    wide: whether there is one number for each feature, and not one for the row.
    """

    operation: str
    arguments: tuple[Value, ...]
    wide: bool
    name: str = ""
    number: float = 0.0


def _takes_truth(operation: str, index: int) -> bool:
    return operation in ("and", "or", "not", "real") or (operation == "where" and index == 0)


class Graph:
    """Nodes, each computed once: what is entered twice gets the number that it has."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._numbers: dict[Node, Value] = {}

    def add_input(self, name: str, *, wide: bool) -> Value:
        """A value that comes from outside."""
        return self._enter(Node("input", (), wide, name=name))

    def add_constant(self, number: float) -> Value:
        """The same number for all rows and features."""
        return self._enter(Node("constant", (), False, number=float(number)))

    def add(self, operation: str, *arguments: Value) -> Value:
        """The result of an operation.

        As in torch, truths are numbers where numbers are wanted, and the other way round.
        """
        arguments = tuple(
            self._truth(value) if _takes_truth(operation, index) else self._number(value)
            for index, value in enumerate(arguments)
        )
        if operation in ("add", "mul"):
            arguments = tuple(sorted(arguments))
        nodes = [self.nodes[argument] for argument in arguments]
        neutral = {"add": 0.0, "mul": 1.0, "sub": 0.0, "div": 1.0}.get(operation)
        if neutral is not None:
            # Autograd multiplies by ones and adds zeros.
            for index in (1, 0) if operation in ("add", "mul") else (1,):
                if nodes[index].operation == "constant" and nodes[index].number == neutral:
                    return arguments[1 - index]
        return self._enter(self._node(operation, *arguments))

    def _node(self, operation: str, *arguments: Value) -> Node:
        wide = any(self.nodes[argument].wide for argument in arguments)
        return Node(operation, arguments, wide and not OPERATIONS[operation].reduces)

    def _logical(self, value: Value) -> bool:
        operation = OPERATIONS.get(self.nodes[value].operation)
        return operation is not None and operation.logical

    def _number(self, value: Value) -> Value:
        return self._enter(self._node("real", value)) if self._logical(value) else value

    def _truth(self, value: Value) -> Value:
        return value if self._logical(value) else self.add("ne", value, self.add_constant(0.0))

    def _enter(self, node: Node) -> Value:
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[node]

    def reachable(self, values: Iterable[Value], stop: Iterable[Value] = ()) -> set[Value]:
        """These values and all that they are computed from, not looking behind `stop`."""
        seen: set[Value] = set()
        ends = frozenset(stop)
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            if value not in seen:
                seen.add(value)
                if value not in ends:
                    waiting.extend(self.nodes[value].arguments)
        return seen

    def evaluate(self, inputs: Mapping[Value, Tensor], wanted: Sequence[Value]) -> list[Tensor]:
        """Compute values with torch, from tensors [rows, H], [rows, 1] or [H] for the inputs."""
        known = dict(inputs)
        like = next(iter(inputs.values()), torch.zeros(()))
        for value in sorted(self.reachable(wanted, stop=inputs)):
            if value in known:
                continue
            node = self.nodes[value]
            if node.operation == "constant":
                known[value] = like.new_full((), node.number)
            else:
                arguments = [known[argument] for argument in node.arguments]
                known[value] = OPERATIONS[node.operation].evaluate(*arguments)
        return [known[value] for value in wanted]


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """What a step of a gated cell computes between its products, and the gradients of that.

    The numbers of nodes in `graph`: of the inputs x_gates, h_gates, states, parameters and masks,
    of the gradients of the new states, of the new states, and of the gradients of the inputs.
    `merged` says of each gate that its two products are only ever added: then they are one input,
    `x_gates`, to which the recurrent product is added in place. `detaches` says that gradients are
    not those of the graph alone.
    """

    graph: Graph
    x_gates: tuple[Value, ...]
    h_gates: tuple[Value, ...]
    states: tuple[Value, ...]
    parameters: Mapping[str, Value]
    masks: Mapping[str, Value]
    gradients: tuple[Value, ...]
    new_states: tuple[Value, ...]
    x_gradients: tuple[Value, ...]
    h_gradients: tuple[Value, ...]
    state_gradients: tuple[Value, ...]
    parameter_gradients: Mapping[str, Value]
    merged: tuple[bool, ...]
    detaches: bool = False
    kept: tuple[Value, ...] = field(default=())

    @property
    def gate_count(self) -> int:
        """G."""
        return len(self.x_gates)

    @property
    def forward_inputs(self) -> tuple[Value, ...]:
        """All that the forward step reads."""
        h_gates = (h for h, merged in zip(self.h_gates, self.merged, strict=True) if not merged)
        return (
            *self.x_gates,
            *h_gates,
            *self.states,
            *self.parameters.values(),
            *self.masks.values(),
        )

    @property
    def backward_outputs(self) -> tuple[Value, ...]:
        """All that the backward step computes."""
        return (
            *self.x_gradients,
            *self.h_gradients,
            *self.state_gradients,
            *self.parameter_gradients.values(),
        )

    def backward_inputs(self) -> set[Value]:
        """The inputs, kept values and new states that the backward step reads."""
        stop = {*self.kept, *self.new_states}
        graph = self.graph
        found = graph.reachable(self.backward_outputs, stop=stop)
        return {v for v in found if v in stop or graph.nodes[v].operation == "input"}


def merge(pointwise: Pointwise) -> Pointwise:
    """Make one input of the two products of each gate where they are only ever added.

    Then the recurrent product can be added to the other in place, and one gradient serves both.
    """
    graph = pointwise.graph
    outputs = {*pointwise.new_states, *pointwise.backward_outputs}
    live = graph.reachable(outputs)
    users: dict[Value, set[Value]] = {}
    for value in live:
        for argument in graph.nodes[value].arguments:
            users.setdefault(argument, set()).add(value)
    replaced: dict[Value, str] = {}
    merged = []
    pairs = zip(
        pointwise.x_gates,
        pointwise.h_gates,
        pointwise.x_gradients,
        pointwise.h_gradients,
        strict=True,
    )
    for gate, (x, h, x_gradient, h_gradient) in enumerate(pairs):
        sums = users.get(x, set()) | users.get(h, set())
        total = next(iter(sums), None)
        one = (
            len(sums) == 1
            and total is not None
            and graph.nodes[total].operation == "add"
            and set(graph.nodes[total].arguments) == {x, h}
            and x_gradient == h_gradient
            and not {x, h} & outputs
        )
        if one:
            assert total is not None
            replaced[total] = f"a{gate}"
        merged.append(one)
    fresh = Graph()
    moved: dict[Value, Value] = {}
    entries = (*pointwise.forward_inputs, *pointwise.gradients)
    for value in sorted(live | set(entries)):
        node = graph.nodes[value]
        if value in replaced:
            moved[value] = fresh.add_input(replaced[value], wide=True)
        elif node.operation == "input":
            moved[value] = fresh.add_input(node.name, wide=node.wide)
        elif node.operation == "constant":
            moved[value] = fresh.add_constant(node.number)
        else:
            moved[value] = fresh.add(node.operation, *(moved[a] for a in node.arguments))
    totals = {int(name[1:]): moved[total] for total, name in replaced.items()}

    def move(values: Iterable[Value]) -> tuple[Value, ...]:
        return tuple(moved[value] for value in values)

    def move_all(values: Mapping[str, Value]) -> dict[str, Value]:
        return {name: moved[value] for name, value in values.items()}

    # Dead inputs of merged gates stay in the graph, unread: their numbers are not used again.
    return Pointwise(
        graph=fresh,
        x_gates=tuple(totals.get(g, moved[x]) for g, x in enumerate(pointwise.x_gates)),
        h_gates=move(pointwise.h_gates),
        states=move(pointwise.states),
        parameters=move_all(pointwise.parameters),
        masks=move_all(pointwise.masks),
        gradients=move(pointwise.gradients),
        new_states=move(pointwise.new_states),
        x_gradients=move(pointwise.x_gradients),
        h_gradients=move(pointwise.h_gradients),
        state_gradients=move(pointwise.state_gradients),
        parameter_gradients=move_all(pointwise.parameter_gradients),
        merged=tuple(merged),
        detaches=pointwise.detaches,
    )


def choose_kept(pointwise: Pointwise) -> tuple[Value, ...]:
    """The values of the forward step that the backward step had better not compute again.

    Walking back from the gradients, the first costly value on each way is kept; what is cheap is
    computed again from what is there anyway: inputs, states and other kept values.
    """
    graph = pointwise.graph
    late = set(pointwise.gradients)
    depends: list[bool] = []
    for value, node in enumerate(graph.nodes):
        depends.append(value in late or any(depends[a] for a in node.arguments))
    kept: list[Value] = []
    seen: set[Value] = set()
    waiting = list(pointwise.backward_outputs)
    while waiting:
        value = waiting.pop()
        node = graph.nodes[value]
        if value in seen or value in pointwise.new_states or node.operation == "input":
            continue
        seen.add(value)
        constant = not graph.reachable([value]) & set(pointwise.forward_inputs)
        early = not depends[value] and not constant
        if early and node.operation != "constant" and OPERATIONS[node.operation].costly:
            kept.append(value)
        else:
            waiting.extend(node.arguments)
    return tuple(sorted(kept))
