"""C++ of the pointwise part of a cell: one function that goes over the rows of a step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import isinf, isnan
from typing import NamedTuple

import torch

from seqnlp.nn.engines.graph import Graph, Value
from seqnlp.nn.engines.operations import OPERATIONS


class Result(NamedTuple):
    """A value that an emitted function writes.

    wide: whether it is [rows, H], to which a narrow value is spread, or [rows, 1].
    added: whether it is added up over the rows, to what stands there; in double precision, since
        there is no end to the rows.
    """

    value: Value
    wide: bool
    added: bool = False


@dataclass(frozen=True, kw_only=True)
class Function:
    """What an emitted function computes, in the order of its arguments.

    inputs: values that it reads, [rows, H] or, of narrow values, [rows, 1].
    """

    name: str
    inputs: tuple[Value, ...]
    results: tuple[Result, ...]


@cache
def sources(name: str, dtype: torch.dtype | None = None) -> str:
    """A source of this package with the others that it includes; for one type of number, REAL."""
    kernels = files(__package__).joinpath("kernels")
    text = kernels.joinpath(name).read_text(encoding="utf-8")
    while found := re.search(r'^#include "(.+)"\n', text, re.MULTILINE):
        included = kernels.joinpath(found[1]).read_text(encoding="utf-8")
        text = text[: found.start()] + included + text[found.end() :]
    if dtype is None:
        return text
    return f"#define REAL {'float' if dtype == torch.float32 else 'double'}\n{text}"


def driver(dtype: torch.dtype) -> str:
    """The source of the loop over time, which is the same for all cells."""
    return sources("recurrence.cpp", dtype)


def emit(graph: Graph, functions: Sequence[Function], dtype: torch.dtype) -> str:
    """The source of these functions."""
    bodies = [_Emission(graph, function).source() for function in functions]
    return "\n".join([sources("pointwise.h", dtype), *bodies])


def scratch_rows(graph: Graph, function: Function) -> int:
    """How many rows [H] of scratch memory a function needs."""
    return len(_Emission(graph, function).scratch)


class _Emission:
    """One function on its way into text.

    A sum over a row must be known before what depends on it is computed, so a row is gone over in
    stages. What is costly and needed in a later stage waits in scratch memory; what is cheap is
    computed again. Results are written in the last stage, so that they may overwrite inputs.
    """

    def __init__(self, graph: Graph, function: Function) -> None:
        self.nodes = graph.nodes
        self.function = function
        self.places = {value: index for index, value in enumerate(function.inputs)}
        results = [result.value for result in function.results]
        self.live = sorted(graph.reachable(results, stop=function.inputs))
        self.stage: dict[Value, int] = {}
        for value in self.live:
            arguments = () if value in self.places else self.nodes[value].arguments
            before = max((self.stage[a] for a in arguments), default=0)
            self.stage[value] = before + (self._reduces(value) and value not in self.places)
        self.stages = max(self.stage.values(), default=0) + 1
        self.scratch = {value: i for i, value in enumerate(self._find_scratch())}

    def _reduces(self, value: Value) -> bool:
        operation = OPERATIONS.get(self.nodes[value].operation)
        return operation is not None and operation.reduces

    def _computed(self, value: Value) -> bool:
        return value not in self.places and self.nodes[value].operation != "constant"

    def _use_stage(self, value: Value) -> int:
        """The stage in which the arguments of a computed value are read."""
        return self.stage[value] - self._reduces(value)

    def _find_scratch(self) -> list[Value]:
        last = self.stages - 1
        latest: dict[Value, int] = {}
        for result in self.function.results:
            latest[result.value] = last
        # What is cheap is computed where it is used, so it hands its own stage of use on.
        for value in reversed(self.live):
            if not self._computed(value):
                continue
            node = self.nodes[value]
            keeps = not node.wide or OPERATIONS[node.operation].costly
            at = self._use_stage(value) if keeps else latest.get(value, self._use_stage(value))
            for argument in node.arguments:
                latest[argument] = max(latest.get(argument, 0), at)
        return [
            value
            for value in self.live
            if self._computed(value)
            and self.nodes[value].wide
            and OPERATIONS[self.nodes[value].operation].costly
            and latest.get(value, 0) > self.stage[value]
        ]

    def source(self) -> str:
        """The function."""
        count = len(self.function.inputs)
        results = self.function.results
        lines = [
            f'extern "C" void {self.function.name}(int64_t rows, int64_t hidden, '
            "REAL *const *arguments, const int64_t *strides, REAL *scratch) {",
            "for (int64_t r = 0; r < rows; r++) {",
        ]
        for index in range(count):
            row = f"arguments[{index}] + r * strides[{index}]"
            lines.append(f"const REAL *const in{index} = {row};")
        for index, result in enumerate(results):
            place = f"arguments[{count + index}]"
            if result.added:
                lines.append(f"double *const out{index} = reinterpret_cast<double *>({place});")
            else:
                lines.append(f"REAL *const out{index} = {place} + r * strides[{count + index}];")
        for value, index in self.places.items():
            if not self.nodes[value].wide and value in self.live:
                lines.append(f"const REAL v{value} = in{index}[0];")
        for stage in range(self.stages):
            lines += self._stage(stage)
        for index, result in enumerate(results):
            if not result.wide:
                lines.append(self._write(index, result, "0"))
        return "\n".join([*lines, "}", "}"])

    def _stage(self, stage: int) -> list[str]:
        last = stage == self.stages - 1
        lines = []
        for value in self.live:
            ready = self.stage[value] == stage and not self.nodes[value].wide
            if ready and self._computed(value) and not self._reduces(value):
                lines.append(self._define(value))
        reductions = [
            v
            for v in self.live
            if self._reduces(v) and self._computed(v) and self.stage[v] == stage + 1
        ]
        stored = [v for v in self.scratch if self.stage[v] == stage]
        results = [(i, result) for i, result in enumerate(self.function.results) if result.wide]
        if not last:
            results = []
        wanted = [self.nodes[v].arguments[0] for v in reductions] + stored
        wanted += [result.value for _, result in results]
        if not wanted:
            return lines
        largest = [v for v in reductions if self.nodes[v].operation == "largest"]
        for value in reductions:
            lines.append(f"REAL v{value} = {'-INFINITY' if value in largest else '0'};")
        lines += [f"REAL n{value} = 0;" for value in largest]
        clauses = " ".join(
            [f"reduction({OPERATIONS[self.nodes[v].operation].source}:v{v})" for v in reductions]
            + [f"reduction(+:n{v})" for v in largest]
        )
        lines += [f"#pragma omp simd {clauses}", "for (int64_t j = 0; j < hidden; j++) {"]
        lines += [self._load(value, stage) for value in self._needed(wanted, stage)]
        lines += [f"scratch[{self.scratch[v]} * hidden + j] = {self._name(v)};" for v in stored]
        for value in reductions:
            argument = self._name(self.nodes[value].arguments[0])
            if self.nodes[value].operation == "sum":
                lines.append(f"v{value} += {argument};")
            else:
                lines.append(f"v{value} = {argument} > v{value} ? {argument} : v{value};")
                lines.append(f"n{value} += {argument} == {argument} ? REAL(0) : REAL(1);")
        lines += [self._write(index, result, "j") for index, result in results]
        # The largest of a row with NaN is NaN, which no comparison finds.
        return [*lines, "}", *(f"if (n{v} > 0) v{v} = NAN;" for v in largest)]

    def _write(self, index: int, result: Result, place: str) -> str:
        return f"out{index}[{place}] {'+=' if result.added else '='} {self._name(result.value)};"

    def _needed(self, wanted: Sequence[Value], stage: int) -> list[Value]:
        """The wide values of one pass over a row, in order."""
        found: set[Value] = set()
        waiting = list(wanted)
        while waiting:
            value = waiting.pop()
            if value in found or not self.nodes[value].wide:
                continue
            found.add(value)
            loaded = value in self.scratch and self.stage[value] < stage
            if self._computed(value) and not loaded:
                waiting.extend(self.nodes[value].arguments)
        return sorted(found)

    def _load(self, value: Value, stage: int) -> str:
        if value in self.places:
            return f"const REAL v{value} = in{self.places[value]}[j];"
        if value in self.scratch and self.stage[value] < stage:
            return f"const REAL v{value} = scratch[{self.scratch[value]} * hidden + j];"
        return self._define(value)

    def _define(self, value: Value) -> str:
        node = self.nodes[value]
        operation = OPERATIONS[node.operation]
        kind = "bool" if operation.logical else "REAL"
        text = operation.source.format(*(self._name(a) for a in node.arguments))
        return f"const {kind} v{value} = {text};"

    def _name(self, value: Value) -> str:
        node = self.nodes[value]
        if node.operation != "constant":
            return f"v{value}"
        if isnan(node.number):
            return "REAL(NAN)"
        if isinf(node.number):
            return f"REAL({'-' if node.number < 0 else ''}INFINITY)"
        return f"REAL({node.number!r})"
