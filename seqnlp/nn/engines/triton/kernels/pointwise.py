"""The kernel of every gated cell: Triton compiles it anew for each program that it is given.

A program is a constant of the kernel, so that its loops and choices are gone once it is compiled:
what is left are the loads, operations and stores of that cell, as if they had been written out.
"""

from __future__ import annotations

import triton
import triton.language as tl

from seqnlp.nn.engines.triton.kernels.functions import compute


@triton.jit(do_not_specialize=["rows", "step", "previous", "following"])
def run_program(
    arrays,
    rows,
    step,
    previous,
    following,
    LOADS: tl.constexpr,
    CONSTANTS: tl.constexpr,
    INSTRUCTIONS: tl.constexpr,
    STORES: tl.constexpr,
    HIDDEN: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Run a program on `rows` rows, of which the arrays hold the first at the places that it names.

    An instance does ROWS rows and COLUMNS features. It reads all before it writes any, and nothing
    that another one writes: so results may lie where inputs did.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    feature = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    real_row = row < rows
    real = real_row & (feature < HIDDEN)
    origins = (step, previous, following, 0)
    kind = arrays[0].dtype.element_ty
    values = ()
    for i in tl.static_range(len(LOADS)):
        first = arrays[LOADS[i][0]] + (origins[LOADS[i][1]] + row).to(tl.int64) * LOADS[i][2]
        values = values + (load(first + LOADS[i][3], feature, real_row, real, LOADS[i][4]),)
    for i in tl.static_range(len(CONSTANTS)):
        values = values + (tl.full((1, 1), CONSTANTS[i], kind),)
    for i in tl.static_range(len(INSTRUCTIONS)):
        values = values + (
            compute(
                values[INSTRUCTIONS[i][1]],
                values[INSTRUCTIONS[i][2]],
                values[INSTRUCTIONS[i][3]],
                real,
                INSTRUCTIONS[i][0],
                kind,
            ),
        )
    for i in tl.static_range(len(STORES)):
        value = values[STORES[i][5]]
        if STORES[i][6]:
            sums = arrays[STORES[i][0]] + tl.program_id(0).to(tl.int64) * STORES[i][2]
            add(sums, feature, real_row, real, value, HIDDEN, STORES[i][4])
        else:
            first = arrays[STORES[i][0]] + (origins[STORES[i][1]] + row).to(tl.int64) * STORES[i][2]
            store(first + STORES[i][3], feature, real_row, real, value, STORES[i][4])


@triton.jit
def load(first, feature, real_row, real, WIDE: tl.constexpr):
    """Read [ROWS, COLUMNS], or [ROWS, 1] of a narrow value; zero where there is nothing."""
    if WIDE:
        value = tl.load(first + feature, mask=real, other=0.0)
    else:
        value = tl.load(first, mask=real_row, other=0.0)
    return value


@triton.jit
def store(first, feature, real_row, real, value, WIDE: tl.constexpr):
    """Write a value; a narrow one is the same in all instances that see the row."""
    if WIDE:
        tl.store(first + feature, value, mask=real)
    else:
        tl.store(first, value, mask=real_row)


@triton.jit
def add(sums, feature, real_row, real, value, HIDDEN: tl.constexpr, WIDE: tl.constexpr):
    """Add a value's sum over the rows to what this instance summed in other steps.

    Each instance has sums of its own: so they are the same however the instances are scheduled.
    """
    if WIDE:
        total = tl.sum(tl.where(real, value, 0.0), 0, keep_dims=True)
        place = sums + feature
        mask = feature < HIDDEN
    else:
        total = tl.sum(tl.where(real_row, value, 0.0), 0, keep_dims=True)
        instance = tl.program_id(1) + tl.zeros((1, 1), tl.int32)
        place = sums + instance
        mask = instance == 0
    tl.store(place, tl.load(place, mask=mask, other=0.0) + total, mask=mask)
