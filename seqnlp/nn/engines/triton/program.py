"""A pointwise function of a cell as a program: plain numbers by which a kernel is made for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import isnan
from typing import NamedTuple

from seqnlp.nn.engines.graph import Graph, Value
from seqnlp.nn.engines.operations import OPERATIONS
from seqnlp.nn.engines.plan import Place, Plan, Slot, Step

_NAN = "nan"
CODES = {name: code for code, name in enumerate([*OPERATIONS, _NAN])}
"""Operations as the kernel knows them: not all of Triton's releases read names out of tuples."""

# The kernel knows four places by their first rows. What is the same in all rows has no stride;
# what is summed over them has a row for each instance.
_ORIGINS = {Place.FIXED: Place.ROW, Place.THREAD: Place.ROW}


class Load(NamedTuple):
    """A value that is read: `array[origin of the place + row, column]`.

    wide: whether it has a column for each feature, or a single one.
    """

    array: int
    place: int
    stride: int
    column: int
    wide: bool


class Instruction(NamedTuple):
    """A value that is computed from the values of these numbers; three are always named.

    operation: of `CODES`.
    """

    operation: int
    a: int = 0
    b: int = 0
    c: int = 0


class Store(NamedTuple):
    """A value that is written, or added over the rows of an instance to what stands there."""

    array: int
    place: int
    stride: int
    column: int
    wide: bool
    value: int
    added: bool


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a kernel does with a few rows.

    Values are numbered: first what is loaded, then the constants, then what is computed.

    arrays: names of arrays, in the order of the kernel's arguments.
    reduces: whether an instance must see whole rows.
    """

    arrays: tuple[str, ...]
    loads: tuple[Load, ...]
    constants: tuple[float, ...]
    instructions: tuple[Instruction, ...]
    stores: tuple[Store, ...]
    reduces: bool


def make_program(
    graph: Graph, step: Step, size: int, widths: dict[str, int], outputs: Collection[int] = ()
) -> Program:
    """The program of a step.

    Args:
        graph: of the cell.
        step: a function and where its arguments lie.
        size: H.
        widths: the columns of each array of several rows.
        outputs: leaves of the state to whose gradient that of their output, in the array
            `output<leaf>`, is added first.
    """
    return _Writer(graph, size, widths).write(step, outputs)


class _Writer:
    """A program on its way."""

    def __init__(self, graph: Graph, size: int, widths: dict[str, int]) -> None:
        self.graph, self.size, self.widths = graph, size, widths
        self.arrays: dict[str, int] = {}
        self.instructions: list[Instruction] = []
        self.numbers: dict[Value, int] = {}

    def write(self, step: Step, outputs: Collection[int]) -> Program:
        nodes, function = self.graph.nodes, step.function
        read = list(zip(function.inputs, step.slots, strict=False))
        loads = [self._load(slot, nodes[value].wide) for value, slot in read]
        self.numbers = {value: number for number, (value, _) in enumerate(read)}
        added = {f"gradient{leaf}": f"output{leaf}" for leaf in outputs}
        sums = []
        for value, slot in read:
            if slot.array in added:
                sums.append((value, len(loads)))
                loads.append(self._load(Slot(added[slot.array], Place.STEP), wide=True))

        live = self.graph.reachable([r.value for r in function.results], stop=function.inputs)
        todo = sorted(live - set(function.inputs))
        constants: list[float] = []
        for value in todo:
            if nodes[value].operation == "constant" and not isnan(nodes[value].number):
                self.numbers[value] = len(loads) + len(constants)
                constants.append(nodes[value].number)
        first = len(loads) + len(constants)
        for value, number in sums:
            self.numbers[value] = self._add(first, "add", self.numbers[value], number)
        for value in todo:
            node = nodes[value]
            if value not in self.numbers:
                # A constant that is none of the numbers is written as what it is.
                operation = _NAN if node.operation == "constant" else node.operation
                arguments = [self.numbers[argument] for argument in node.arguments]
                self.numbers[value] = self._add(first, operation, *arguments)
        written = zip(function.results, step.slots[len(function.inputs) :], strict=True)
        stores = tuple(
            Store(*self._load(slot, result.wide), self.numbers[result.value], result.added)
            for result, slot in written
        )
        return Program(
            arrays=tuple(self.arrays),
            loads=tuple(loads),
            constants=tuple(constants),
            instructions=tuple(self.instructions),
            stores=stores,
            reduces=any(
                nodes[v].operation in OPERATIONS and OPERATIONS[nodes[v].operation].reduces
                for v in todo
            ),
        )

    def _load(self, slot: Slot, wide: bool) -> Load:
        array = self.arrays.setdefault(slot.array, len(self.arrays))
        place = _ORIGINS.get(slot.place, slot.place)
        column = slot.column * (1 if slot.array == "kept_rows" else self.size)
        stride = 0 if slot.place is Place.FIXED else self.widths[slot.array]
        return Load(array, int(place), stride, column, wide)

    def _add(self, first: int, operation: str, *arguments: int) -> int:
        self.instructions.append(Instruction(CODES[operation], *arguments))
        return first + len(self.instructions) - 1


def widths_of(plan: Plan, size: int) -> dict[str, int]:
    """The columns of each array that has rows, see `Plan`."""
    pointwise = plan.pointwise
    gates, apart = pointwise.gate_count * size, plan.separate * size
    widths = {
        "x_gates": gates,
        "x_gradients": gates,
        "h_gates": apart,
        "h_gradients": apart,
        "kept": plan.wide_kept * size,
        "kept_rows": plan.narrow_kept,
    }
    for leaf in range(len(pointwise.states)):
        widths |= dict.fromkeys((f"state{leaf}", f"gradient{leaf}", f"output{leaf}"), size)
    for name in pointwise.masks:
        widths[f"m_{name}"] = size
    for name, value in pointwise.parameters.items():
        widths[f"sum_{name}"] = size if pointwise.graph.nodes[value].wide else 1
    return widths
