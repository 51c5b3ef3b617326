"""One call of the loop over time: compiled or, where nothing can be compiled, in Python."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seqnlp.nn.engines import abi, loop
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.plan import Place, Plan, Step

# A thread must have enough to do that starting it is worth while: some 50 microseconds' work.
_ROWS_A_THREAD = 2
_PRODUCTS_A_THREAD = 1 << 23


class Loop(Protocol):
    """What goes over time in place of the compiled loop, on other devices."""

    def shares(self, batch: int) -> int:
        """How many sums it makes of a parameter's gradient over so many rows."""

    def forward(
        self, call: Call, bias: Tensor, bias_h: Tensor | None, outputs: Sequence[Tensor | None]
    ) -> None:
        """Compute every state; outputs [B, T, H], see `Call`."""

    def backward(self, call: Call, found: Mapping[str, Tensor]) -> None:
        """Compute gradients into tensors made for them."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What one call runs on, beside the numbers.

    time: int32 [N], the time of the input of each packed row.
    full: whether every row has all T steps, read from the first on.
    every_state: whether the outputs of every leaf are wanted, and not the first one's alone.
    learns: whether gradients may be asked for.
    loop: what goes over time; None for the compiled loop of the CPU.
    """

    plan: Plan
    packing: Packing
    reverse: bool
    steps: int
    every_state: bool
    parameters: tuple[str, ...]
    masks: tuple[str, ...]
    learns: bool = True
    loop: Loop | None = None

    @property
    def time(self) -> Tensor:
        """int32 [N], the time of each packed row's input."""
        return self.packing.reversed_time if self.reverse else self.packing.time

    @property
    def full(self) -> bool:
        """Whether the packed rows of a leaf are its outputs as they stand."""
        packing = self.packing
        return packing.full and packing.steps == self.steps and not self.reverse

    @property
    def shares(self) -> int:
        """How many sums the gradients of parameters are made of."""
        if self.loop is None:
            return torch.get_num_threads()
        return self.loop.shares(self.packing.batch)


@dataclass(frozen=True, kw_only=True)
class Call:
    """The arrays of one call.

    arrays: by the names of `Plan`, and x, weight_x, weight_h, hidden and masked.
    outputs: for the first leaves float [T, B, H], where forward writes what they were after each
        step; backward reads their gradients [B, T, H]. None where there is nothing to do.
    """

    shape: Shape
    step: Step
    arrays: dict[str, Tensor]
    outputs: Sequence[Tensor | None]

    def forward(self, bias: Tensor, bias_h: Tensor | None) -> None:
        """Compute every state; the biases are those of x_gates and of h_gates."""
        if not self.shape.packing.total:
            return
        outputs = [None if o is None else o.transpose(0, 1) for o in self.outputs]
        if self.shape.loop is not None:
            self.shape.loop.forward(self, bias, bias_h, outputs)
            return
        library = self.shape.plan.library(bias.dtype)
        if library is None:
            loop.forward(self, bias, bias_h, outputs)
            return
        call, held = self.describe_forward(library, bias, bias_h, outputs)
        check(library.driver["run_forward"](ctypes.byref(call)))
        del held

    def describe_forward(
        self,
        library: abi.Library,
        bias: Tensor,
        bias_h: Tensor | None,
        outputs: Sequence[Tensor | None],
    ) -> tuple[abi.Call, object]:
        """What the compiled steps read, and what must live as long."""
        runs = self._runs("x_gates", "h_gates", bias_h)
        call, held = self._describe(runs, outputs)
        call.bias = abi.pointer(bias)
        call.gates_x = abi.pointer(self.arrays["x_gates"])
        name = "forward" if self.step is self.shape.plan.forward else "inference"
        call.pointwise = library.functions[name]
        return call, held

    def backward(self, **wanted: Tensor | None) -> dict[str, Tensor]:
        """Compute gradients into tensors made for them: x, weight_x, weight_h, bias, bias_h."""
        found = {name: tensor for name, tensor in wanted.items() if tensor is not None}
        if not self.shape.packing.total:
            return {name: tensor.zero_() for name, tensor in found.items()}
        if self.shape.loop is not None:
            self.shape.loop.backward(self, found)
            return found
        library = self.shape.plan.library(self.arrays["weight_h"].dtype)
        if library is None:
            loop.backward(self, found)
            return found
        call, held = self.describe_backward(library, found)
        check(library.driver["run_backward"](ctypes.byref(call)))
        del held
        return found

    def describe_backward(
        self, library: abi.Library, found: Mapping[str, Tensor]
    ) -> tuple[abi.Call, object]:
        """As `describe_forward`; what is found is written into `found`, see `backward`."""
        runs = self._runs("x_gradients", "h_gradients", None)
        call, held = self._describe(runs, self.outputs)
        call.gates_x = abi.pointer(self.arrays["x_gradients"])
        call.gradient_x = abi.strided(found.get("x"))
        call.gradient_weight_x = abi.pointer(found.get("weight_x"))
        call.gradient_weight_h = abi.pointer(found.get("weight_h"))
        call.gradient_bias = abi.pointer(found.get("bias"))
        leaves = len(self.shape.plan.pointwise.states)
        gradients = abi.pointers([self.arrays[f"gradient{k}"] for k in range(leaves)])
        call.gradient_leaf = ctypes.addressof(gradients)
        size = self.arrays["weight_h"].shape[1]
        bias_h = found.get("bias_h")
        apart = abi.pointers(
            [
                None if bias_h is None or run.merged else bias_h[run.column * size :]
                for run in self.shape.plan.runs
            ]
        )
        call.gradient_bias_run = ctypes.addressof(apart)
        call.pointwise = library.functions["backward"]
        return call, (held, gradients, apart)

    def threads(self) -> int:
        """How many threads share the rows."""
        packing = self.shape.packing
        products = packing.total * self.arrays["weight_h"].numel()
        most = min(packing.batch // _ROWS_A_THREAD, products // _PRODUCTS_A_THREAD)
        return max(1, min(torch.get_num_threads(), most))

    def _runs(self, merged: str, apart: str, bias_h: Tensor | None) -> Any:
        runs = (abi.RunOfGates * len(self.shape.plan.runs))()
        size = self.arrays["weight_h"].shape[1]
        for made, run in zip(runs, self.shape.plan.runs, strict=True):
            array = self.arrays[merged if run.merged else apart]
            column = (run.first if run.merged else run.column) * size
            made.first, made.count, made.added = run.first, run.gates, run.merged
            made.base = array.data_ptr() + column * array.element_size()
            made.stride = array.stride(0)
            if bias_h is not None and not run.merged:
                made.bias = bias_h.data_ptr() + run.column * size * bias_h.element_size()
        return runs

    def _describe(self, runs: Any, outputs: Sequence[Tensor | None]) -> tuple[abi.Call, object]:
        """The structure that the compiled loop reads, and what must live as long."""
        shape, arrays, packing = self.shape, self.arrays, self.shape.packing
        weight_h, plan = arrays["weight_h"], shape.plan
        size = weight_h.shape[1]
        leaves = len(plan.pointwise.states)
        threads = self.threads()
        cuts = packing.cut(threads)
        arguments = self._arguments(size)
        strided = (abi.Strided * leaves)()
        for index, output in enumerate(outputs):
            strided[index] = abi.strided(output)
        states = abi.pointers([arrays[f"state{k}"] for k in range(leaves)])
        call = abi.Call(
            steps=packing.steps,
            batch=packing.batch,
            total=packing.total,
            input=arrays["x"].shape[2],
            hidden=size,
            gates=len(plan.pointwise.x_gates),
            threads=threads,
            runs=len(plan.runs),
            arguments=len(self.step.slots),
            leaves=leaves,
            scratch=self.step.scratch,
            running=abi.pointer(packing.running),
            offset=abi.pointer(packing.offset),
            cuts=abi.pointer(cuts),
            batch_index=abi.pointer(packing.batch_index),
            time_index=abi.pointer(shape.time),
            previous=abi.pointer(packing.previous),
            x=abi.strided(arrays["x"]),
            outputs=ctypes.addressof(strided),
            width=arrays["weight_x"].shape[1],
            weight_x=abi.pointer(arrays["weight_x"]),
            weight_h=abi.pointer(weight_h),
            run=ctypes.addressof(runs),
            argument=ctypes.addressof(arguments),
            leaf=ctypes.addressof(states),
            masked=abi.pointer(arrays.get("masked")),
            mask=abi.pointer(arrays.get("hidden")),
            team=abi.team() if threads > 1 else None,
        )
        return call, (cuts, runs, arguments, strided, states)

    def _arguments(self, size: int) -> Any:
        made = (abi.Argument * max(len(self.step.slots), 1))()
        element = self.arrays["weight_h"].element_size()
        for argument, slot in zip(made, self.step.slots, strict=False):
            array = self.arrays[slot.array]
            column = slot.column * (1 if slot.array == "kept_rows" else size)
            argument.base = array.data_ptr() + column * array.element_size()
            if slot.place is not Place.FIXED:
                # In numbers of the loop's type, whatever those of the array.
                argument.stride = array.stride(0) * array.element_size() // element
            argument.place = slot.place
        return made


def check(status: int) -> None:
    """Raise what a compiled loop says by its status."""
    if status:
        raise MemoryError("there is not enough memory for the recurrence")
