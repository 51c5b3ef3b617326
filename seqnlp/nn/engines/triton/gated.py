"""Gated cells on a GPU: a product of torch and a launch of one kernel for each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seqnlp.nn.engines.call import Call
from seqnlp.nn.engines.loop import multiply_gradients, read_inputs, write_outputs
from seqnlp.nn.engines.plan import Plan, Step
from seqnlp.nn.engines.triton.program import Program, make_program, widths_of

MOST_FEATURES = 4096
"""H of a cell that sums over rows: an instance of the kernel then holds whole rows."""

_FEATURES = 128
_NUMBERS = 256
"""Features and numbers of an instance."""


class Product(NamedTuple):
    """A product of one run of gates: their columns at each step, their weight and their bias."""

    steps: Sequence[Tensor]
    weight: Tensor
    bias: Tensor | None
    merged: bool


class Kernel(NamedTuple):
    """A program, and how it is shared out among instances of the kernel.

    constants: the kernel's last arguments. options: Triton's own.
    """

    program: Program
    rows: int
    features: int
    constants: tuple[object, ...]
    options: Mapping[str, object]


class GatedLoop:
    """The loop over time of one plan, see `seqnlp.nn.engines.call.Loop`.

    Steps are launched one after another and nothing waits for them. No size but H is in the
    kernels: neither lengths nor batches make Triton compile again.
    """

    def __init__(self, plan: Plan, size: int) -> None:
        self.plan = plan
        self.size = size
        self._kernels: dict[tuple[str, tuple[int, ...]], Kernel] = {}

    @property
    def obstacle(self) -> str | None:
        """Why no kernel can be made."""
        steps = (self.plan.forward, self.plan.backward)
        reduces = any(self.kernel(step).program.reduces for step in steps)
        if reduces and self.size > MOST_FEATURES:
            return f"it sums over rows of at most {MOST_FEATURES} features, not {self.size}"
        return None

    def kernel(self, step: Step, outputs: tuple[int, ...] = ()) -> Kernel:
        """The kernel of a step; `outputs`: see `make_program`."""
        key = (step.function.name, outputs)
        if key not in self._kernels:
            program = make_program(
                self.plan.pointwise.graph,
                step,
                self.size,
                widths_of(self.plan, self.size),
                outputs,
            )
            self._kernels[key] = _share_out(program, self.size)
        return self._kernels[key]

    def shares(self, batch: int) -> int:
        """See `Loop`: one for each instance that has rows of its own."""
        return -(-batch // self.kernel(self.plan.backward).rows)

    def forward(
        self, call: Call, bias: Tensor, bias_h: Tensor | None, outputs: Sequence[Tensor | None]
    ) -> None:
        """See `Loop`."""
        arrays = call.arrays
        read_inputs(call, bias)
        counts = call.shape.packing.running.tolist()
        before = torch.split(arrays["state0"], [call.shape.packing.batch, *counts])
        hidden, masked = arrays.get("hidden"), arrays.get("masked")
        places = None if masked is None else torch.split(masked, counts)
        products = list(self._products(call, counts, "x_gates", "h_gates", bias_h))
        launch = _Launch(self.kernel(call.step), call)
        for t, rows in enumerate(counts):
            state = before[t][:rows]
            if hidden is not None and places is not None:
                state = torch.mul(state, hidden[:rows], out=places[t])
            for steps, weight, own_bias, merged in products:
                if merged:
                    steps[t].addmm_(state, weight.t())
                elif own_bias is None:
                    torch.mm(state, weight.t(), out=steps[t])
                else:
                    torch.addmm(own_bias, state, weight.t(), out=steps[t])
            launch(t, rows)
        write_outputs(call, outputs)

    def backward(self, call: Call, found: Mapping[str, Tensor]) -> None:
        """See `Loop`."""
        packing, arrays = call.shape.packing, call.arrays
        place = packing.batch_index.long(), call.shape.time.long()
        given = {k: output[place] for k, output in enumerate(call.outputs) if output is not None}
        arrays |= {f"output{leaf}": gradient for leaf, gradient in given.items()}
        counts = packing.running.tolist()
        products = list(self._products(call, counts, "x_gradients", "h_gradients", None))
        hidden = arrays.get("hidden")
        launch = _Launch(self.kernel(call.step, tuple(given)), call)
        for t in reversed(range(len(counts))):
            rows = counts[t]
            launch(t, rows)
            gradient = arrays["gradient0"][:rows]
            total = gradient if hidden is None else torch.zeros_like(gradient)
            for steps, weight, _, _ in products:
                total.addmm_(steps[t], weight)
            if hidden is not None:
                gradient.addcmul_(total, hidden[:rows])
        multiply_gradients(call, found)

    def _products(
        self, call: Call, counts: list[int], merged: str, apart: str, bias: Tensor | None
    ) -> Iterator[Product]:
        size, weight = self.size, call.arrays["weight_h"]
        for run in self.plan.runs:
            first = (run.first if run.merged else run.column) * size
            columns = slice(first, first + run.gates * size)
            array = call.arrays[merged if run.merged else apart]
            yield Product(
                steps=torch.split(array[:, columns], counts),
                weight=weight[run.first * size : (run.first + run.gates) * size],
                bias=None if bias is None or run.merged else bias[columns],
                merged=run.merged,
            )


class _Launch:
    """Launches of one kernel on the arrays of one call.

    The first goes by way of Triton, which looks at every argument to find what it has compiled,
    for tens of microseconds; the others, whose arguments differ in numbers alone, go straight to
    that. Its interpreter compiles nothing.
    """

    def __init__(self, kernel: Kernel, call: Call) -> None:
        # Imported here: Triton is there where kernels run, and nowhere else.
        from seqnlp.nn.engines.triton.kernels.pointwise import run_program

        packing = call.shape.packing
        self.kernel, self.batch = kernel, packing.batch
        self.arrays = tuple(call.arrays[name] for name in kernel.program.arrays)
        self.offset = packing.offset.tolist()
        self.columns = -(-call.arrays["weight_h"].shape[1] // kernel.features)
        self.run = run_program
        self.compiled: Any = None

    def __call__(self, t: int, rows: int) -> None:
        """Launch step t on so many rows."""
        step = self.offset[t]
        previous = self.batch + self.offset[t - 1] if t else 0
        grid = (-(-rows // self.kernel.rows), self.columns, 1)
        arguments = (self.arrays, rows, step, previous, self.batch + step, *self.kernel.constants)
        if self.compiled is None:
            self.compiled = self.run[grid](*arguments, **self.kernel.options)
        else:
            self.compiled[grid](*arguments)


def _share_out(program: Program, size: int) -> Kernel:
    """Instances of one size, whatever the batch."""
    features = 1 << (size - 1).bit_length()
    if not program.reduces:
        features = min(features, _FEATURES)
    rows = max(1, _NUMBERS // features)
    numbers = (program.loads, program.constants, program.instructions, program.stores)
    return Kernel(
        program=program,
        rows=rows,
        features=features,
        constants=(*numbers, size, rows, features),
        # Fusion is what Triton does by default; where it is not asked for, it warns of a change.
        options={"num_warps": min(16, max(4, features // 256)), "enable_fp_fusion": True},
    )
