"""A quantized cell over a batch: one compiled call or, where nothing can be compiled, torch's."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.cells.base import State
from seqnlp.nn.cells.quantized import QuantizedCell, QuantizedWeight
from seqnlp.nn.engines import abi, build
from seqnlp.nn.engines.abi import Int, Pointer
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.plan import Place, Plan
from seqnlp.nn.engines.plans import find_plan
from seqnlp.nn.engines.reference import ReferenceEngine

_REFERENCE = ReferenceEngine()
_X_GATES, _H_GATES, _BEFORE, _AFTER, _FIXED = range(5)
# As in call.py; a product of codes takes a quarter of the time.
_ROWS_A_THREAD = 2
_PRODUCTS_A_THREAD = 1 << 25


def run_quantized(
    cell: QuantizedCell, x: Tensor, padding: Padding | None, state: State, *, reverse: bool
) -> tuple[Tensor, State]:
    """See `Engine.run`."""
    cell.check(x)
    program = _program(find_plan(cell.inner, None))
    if program is None:
        outputs, final = _REFERENCE.run(
            cell.unpacked(), x, padding, state, reverse=reverse, want_state=True
        )
        assert final is not None
        return outputs, final
    return _call(program, cell, x, padding, state, reverse=reverse)


class _Weight(ctypes.Structure):
    """`Weight` of codes.h."""

    _fields_ = (("codes", Pointer), ("scales", Pointer), ("sums", Pointer))

    @classmethod
    def of(cls, weight: QuantizedWeight) -> _Weight:
        return cls(weight.codes.data_ptr(), weight.scales.data_ptr(), weight.sums.data_ptr())


class _Quantized(ctypes.Structure):
    """`Quantized` of quantized.cpp."""

    _fields_ = (
        *(
            (name, Int)
            for name in (
                "steps", "batch", "input", "hidden", "gates",
                "separate", "threads", "slots", "leaves", "scratch",
            )
        ),
        *((name, Pointer) for name in ("running", "offset", "cuts", "batch_index", "time_index")),
        ("order", Pointer),
        ("x", Pointer), ("x_batch_stride", Int), ("x_time_stride", Int),
        ("outputs", Pointer), ("output_time", Int),
        ("initial", Pointer), ("final", Pointer),
        ("weight_x", _Weight), ("weight_h", _Weight),
        *((name, Pointer) for name in ("bias", "bias_h", "apart", "slot", "fixed")),
        ("pointwise", Pointer), ("team", Pointer),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Program:
    """What runs a kind of cell, whatever the numbers.

    apart: int64 [gates], see quantized.cpp. slots: int64 [2 * slots], kinds and indices.
    parameters: the names of what is fixed, in order.
    """

    run: Any
    pointwise: int
    gates: int
    separate: int
    leaves: int
    scratch: int
    apart: Any
    slots: Any
    parameters: tuple[str, ...]


def _program(plan: Plan) -> _Program | None:
    """The compiled program of a plan; None where nothing can be compiled."""
    if "int8" not in plan.programs:
        plan.programs["int8"] = _load(plan)
    found: _Program | None = plan.programs["int8"]
    return found


def _load(plan: Plan) -> _Program | None:
    driver = build.load(sources("quantized.cpp", torch.float32))
    cell = None if driver is None else build.load(plan.source(torch.float32))
    if driver is None or cell is None:
        return None
    apart = [-1] * plan.pointwise.gate_count
    for run in plan.runs:
        if not run.merged:
            for gate in range(run.gates):
                apart[run.first + gate] = run.column + gate
    slots: list[int] = []
    parameters: list[str] = []
    for slot in plan.inference.slots:
        if slot.place is Place.FIXED:
            slots += [_FIXED, len(parameters)]
            parameters.append(slot.array.removeprefix("p_"))
        elif slot.place is Place.STEP:
            slots += [_X_GATES if slot.array == "x_gates" else _H_GATES, slot.column]
        else:
            kind = _BEFORE if slot.place is Place.PREVIOUS else _AFTER
            slots += [kind, int(slot.array.removeprefix("state"))]
    function = driver.run_quantized
    function.argtypes, function.restype = [ctypes.POINTER(_Quantized)], ctypes.c_int
    return _Program(
        run=function,
        pointwise=abi.load_cell(cell)["inference"],
        gates=len(apart),
        separate=plan.separate,
        leaves=len(plan.pointwise.states),
        scratch=plan.inference.scratch,
        apart=(Int * len(apart))(*apart),
        slots=(Int * len(slots))(*slots),
        parameters=tuple(parameters),
    )


def _call(
    program: _Program,
    cell: QuantizedCell,
    x: Tensor,
    padding: Padding | None,
    state: State,
    *,
    reverse: bool,
) -> tuple[Tensor, State]:
    batch, time, size = x.shape
    hidden = cell.hidden_size
    packing = Packing.of_full(batch, time) if padding is None else padding.packing
    x = x if x.stride(2) == 1 else x.contiguous()
    state = tuple(leaf.contiguous() for leaf in state)
    outputs = (x.new_empty if padding is None else x.new_zeros)(batch, time, hidden)
    final = tuple(torch.empty_like(leaf) for leaf in state)
    inner, own = cell.inner, cell.inner.author_parameters()
    parameters = [own[name].contiguous() for name in program.parameters]
    initial_at, final_at, fixed = map(_addresses, (state, final, parameters))
    products = packing.total * program.gates * hidden * (size + hidden)
    most = min(batch // _ROWS_A_THREAD, products // _PRODUCTS_A_THREAD)
    threads = max(1, min(torch.get_num_threads(), most))
    cuts = packing.cut(threads)
    times = packing.reversed_time if reverse else packing.time
    bias, bias_h = inner.bias, inner.bias_h
    call = _Quantized(
        packing.steps, batch, size, hidden, program.gates,
        program.separate, threads, len(program.slots) // 2, program.leaves, program.scratch,
        packing.running.data_ptr(), packing.offset.data_ptr(), cuts.data_ptr(),
        packing.batch_index.data_ptr(), times.data_ptr(), abi.pointer(packing.order),
        x.data_ptr(), x.stride(0), x.stride(1), outputs.data_ptr(), time,
        ctypes.addressof(initial_at), ctypes.addressof(final_at),
        _Weight.of(cell.weight_x), _Weight.of(cell.weight_h),
        bias.data_ptr(), abi.pointer(bias_h), ctypes.addressof(program.apart),
        ctypes.addressof(program.slots), ctypes.addressof(fixed),
        program.pointwise, abi.team() if threads > 1 else None,
    )  # fmt: skip
    if program.run(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for the recurrence")
    return outputs, final


def _addresses(tensors: Sequence[Tensor]) -> Any:
    return (Pointer * max(len(tensors), 1))(*(tensor.data_ptr() for tensor in tensors))
