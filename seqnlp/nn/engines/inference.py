"""Gated cells over a batch where no gradient is asked for: weights are laid out once.

A call for one short text takes as long as what is done around it, so that all that does not depend
on the text is prepared once for a cell and kept beside it, for as long as its parameters stay.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import is_
from weakref import WeakKeyDictionary, WeakMethod

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.changes import Sample
from seqnlp.nn.engines import abi
from seqnlp.nn.engines.abi import Int
from seqnlp.nn.engines.arrays import merge_biases
from seqnlp.nn.engines.inference_program import Inference, Program, Weight, load_program
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.plan import Plan, Run
from seqnlp.nn.engines.plans import MODULE, code_of, find_obstacle, find_plan, kind_of

# As in call.py; a product of codes takes a quarter of the time.
_ROWS_A_THREAD = 2
PRODUCTS_A_THREAD = {"float": 1 << 23, "int8": 1 << 25}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A cell as the compiled loop reads it.

    program: of its kind. description: of a call, as far as the cell alone says it. work: products
    for each step of a row. threshold: so many of them are worth a thread. start: makes the state
    before the first step; None for zeros. held: what must live as long.
    """

    program: Program
    description: Inference
    work: int
    threshold: int
    start: Callable[[int], State] | None
    held: tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What was prepared, and all that it depends on.

    same: objects that must be the same ones. equal: where tensors lie, and torch's count of their
    changes in place. sample: what has changed without being counted. kind: see `kind_of`, where
    objects may have changed inside.
    """

    same: list[object]
    equal: list[int]
    sample: Sample | None
    kind: object
    prepared: Prepared | None


_KNOWN: WeakKeyDictionary[Cell, _Known] = WeakKeyDictionary()


def prepare(cell: GatedCell | QuantizedCell) -> Prepared | None:
    """What runs this cell; None where it is not float32, not to be traced or not to be compiled."""
    inner = cell.inner if isinstance(cell, QuantizedCell) else cell
    parameters = [each for each in inner._parameters.values() if each is not None]
    same = [*vars(inner).values(), *code_of(type(inner)), *parameters]
    try:
        equal = [each.data_ptr() for each in parameters]
        equal += [each._version for each in parameters]
        if inner is not cell:
            assert isinstance(cell, QuantizedCell)
            both = cell.weight_x, cell.weight_h
            equal += [each.data_ptr() for w in both for each in (w.codes, w.scales, w.sums)]
    except RuntimeError:
        # Tensors made in inference mode count no changes, and stand-ins have no numbers.
        return None
    known = _KNOWN.get(cell)
    if known is not None and known.equal == equal and len(known.same) == len(same):
        as_before = all(map(is_, known.same, same))
        as_before = as_before and (known.sample is None or known.sample.stands())
        if as_before and (known.kind is None or known.kind == kind_of(inner)):
            return known.prepared
    if inner._modules.get("parametrizations") is not None:
        # Its weights are computed anew whenever they are asked for.
        return None
    sample = Sample(parameters) if _suit(parameters) else None
    made = _prepare(cell, parameters)
    kind = kind_of(inner) if inner._modules or _may_change(inner) else None
    _KNOWN[cell] = _Known(same=same, equal=equal, sample=sample, kind=kind, prepared=made)
    return made


def _suit(parameters: Sequence[Tensor]) -> bool:
    return all(each.dtype == torch.float32 and each.device.type == "cpu" for each in parameters)


def _may_change(cell: GatedCell) -> bool:
    """Whether something that a cell or its class holds may change inside and stay the same."""
    own = [value for name, value in vars(cell).items() if name not in MODULE]
    ours = [each for each in type(cell).__mro__ if each not in GatedCell.__mro__]
    own += [v for each in ours for name, v in vars(each).items() if not name.startswith("__")]
    return any(isinstance(value, list | dict | set) for value in own)


def run_prepared(
    prepared: Prepared,
    x: Tensor,
    padding: Padding | None,
    state: State | None,
    *,
    reverse: bool,
    want_state: bool,
    outputs: Tensor,
) -> State | None:
    """Run a cell over a batch.

    Args:
        prepared: see `prepare`.
        x: see `Engine.run`, and so are padding and reverse.
        state: before the first step; None for the cell's initial one.
        want_state: whether the final state is wanted.
        outputs: float [B, T, H], zero on padding, where outputs go; features lie side by side.

    Returns:
        The final state, where it is wanted.
    """
    batch, steps, _ = x.shape
    if x.stride(2) != 1:
        x = x.contiguous()
    if state is None and prepared.start is not None:
        state = prepared.start(batch)
    leaves: State = ()
    if state is not None:
        leaves = tuple(leaf.contiguous() for leaf in state)
    final: State | None = None
    if want_state:
        shape = batch, prepared.description.hidden
        final = tuple(x.new_empty(shape) for _ in range(prepared.description.leaves))
    call = Inference.from_buffer_copy(prepared.description)
    call.steps, call.batch, call.reverse, call.threads = steps, batch, reverse, 1
    held: list[object] = []
    threads = torch.get_num_threads()
    if threads > 1:
        real = batch * steps if padding is None else padding.packing.total
        most = min(batch // _ROWS_A_THREAD, real * prepared.work // prepared.threshold)
        call.threads = threads = max(1, min(threads, most))
        call.team = abi.team() if threads > 1 else None
    if padding is not None or threads > 1:
        packing = Packing.of_full(batch, steps) if padding is None else padding.packing
        cuts = packing.cut(threads)
        times = packing.reversed_time if reverse else packing.time
        call.steps = packing.steps
        call.running, call.offset = packing.running.data_ptr(), packing.offset.data_ptr()
        call.cuts, call.order = cuts.data_ptr(), abi.pointer(packing.order)
        call.batch_index, call.time_index = packing.batch_index.data_ptr(), times.data_ptr()
        held += [packing, cuts, times]
    call.x, call.x_batch_stride, call.x_time_stride = x.data_ptr(), x.stride(0), x.stride(1)
    call.outputs = outputs.data_ptr()
    call.output_batch_stride, call.output_time_stride = outputs.stride(0), outputs.stride(1)
    for name, tensors in (("initial", leaves), ("final", final or ())):
        if tensors:
            addresses = abi.pointers(tensors)
            setattr(call, name, ctypes.addressof(addresses))
            held.append(addresses)
    if prepared.program.run(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for the recurrence")
    del held
    return final


def _prepare(cell: GatedCell | QuantizedCell, parameters: Sequence[Tensor]) -> Prepared | None:
    inner = cell.inner if isinstance(cell, QuantizedCell) else cell
    if not _suit(parameters):
        return None
    if find_obstacle(inner, inner.bias, None) is not None:
        return None
    plan = find_plan(inner, None)
    kind = "int8" if isinstance(cell, QuantizedCell) else "float"
    program = load_program(plan, kind)
    if program is None:
        return None
    runs, weights = _lay_out(plan, cell, program.panel)
    own = inner.author_parameters()
    fixed = [own[name].detach().contiguous() for name in program.parameters]
    bias_h = None if inner.bias_h is None else inner.bias_h.detach()
    bias, bias_h = merge_biases(plan, inner.bias.detach(), bias_h)
    table = [n for run, at in runs for n in (run.first, run.gates, _column(run), at)]
    arrays = (Int * len(table))(*table), (Int * len(program.slots))(*program.slots)
    addresses = abi.pointers(fixed)
    description = Inference(
        input=cell.input_size,
        hidden=cell.hidden_size,
        gates=plan.pointwise.gate_count,
        separate=plan.separate,
        runs=len(runs),
        slots=len(program.slots) // 2,
        leaves=len(plan.pointwise.states),
        scratch=plan.inference.scratch,
        weight_x=Weight(*map(abi.pointer, weights[0])),
        weight_h=Weight(*map(abi.pointer, weights[1])),
        bias=abi.pointer(bias),
        bias_h=abi.pointer(bias_h),
        run=ctypes.addressof(arrays[0]),
        slot=ctypes.addressof(arrays[1]),
        fixed=ctypes.addressof(addresses),
        pointwise=program.pointwise,
    )
    return Prepared(
        program=program,
        description=description,
        work=plan.pointwise.gate_count * cell.hidden_size * (cell.input_size + cell.hidden_size),
        threshold=PRODUCTS_A_THREAD[kind],
        start=_start(inner),
        # Parameters too: other ones could come to lie where these were.
        held=(weights, fixed, bias, bias_h, arrays, addresses, [p.detach() for p in parameters]),
    )


def _start(cell: GatedCell) -> Callable[[int], State] | None:
    if type(cell).initial_state is GatedCell.initial_state:
        return None
    # What is prepared is kept for as long as the cell is there, and must not keep it.
    own = WeakMethod(cell.initial_state)

    def start(batch: int) -> State:
        method = own()
        assert method is not None
        return method(batch)

    return start


def _column(run: Run) -> int:
    return -1 if run.merged else run.column


def _lay_out(
    plan: Plan, cell: GatedCell | QuantizedCell, panel: int
) -> tuple[list[tuple[Run, int]], list[tuple[Tensor | None, ...]]]:
    """Runs, each with the number of its first panel; what `Weight` points to, of both weights."""
    if isinstance(cell, QuantizedCell):
        both = cell.weight_x, cell.weight_h
        return [(run, 0) for run in plan.runs], [(w.codes, w.scales, w.sums) for w in both]
    size = cell.hidden_size
    runs, parts, first = [], [], 0
    for run in plan.runs:
        part = cell.weight_h.detach()[run.first * size : (run.first + run.gates) * size]
        parts.append(_panels(part, panel))
        runs.append((run, first))
        first += len(parts[-1])
    weights = _panels(cell.weight_x.detach(), panel), torch.cat(parts)
    return runs, [(each, None, None) for each in weights]


def _panels(weight: Tensor, rows: int) -> Tensor:
    """From [N, K] to [panels, K, rows], filled up with zeros."""
    padded = F.pad(weight, (0, 0, 0, -len(weight) % rows))
    return padded.view(-1, rows, weight.shape[1]).transpose(1, 2).contiguous()
