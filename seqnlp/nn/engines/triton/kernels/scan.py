"""h_t = a_t h_{t-1} + b_t on a GPU, and its gradients: see `seqnlp.nn.engines.scan`.

An instance does some features of one row of the batch. It takes STEPS steps at once: a scan within
them, by products and sums alone, and what they begin from carried on to the next. A number has one
part, or two of a complex one; the second of a real one is anything.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["time"])
def scan_forward(
    a,
    b,
    first,
    h,
    last,
    lengths,
    time,
    width,
    CONSTANT: tl.constexpr,
    REVERSE: tl.constexpr,
    PARTS: tl.constexpr,
    STEPS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute h [B, T, width] and last [B, width] from a, b and first.

    a is [width] where it is CONSTANT; lengths is None where all rows have `time` steps.
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    here = column < width
    index = tl.arange(0, STEPS)[:, None]
    length = time.to(tl.int64)
    if lengths is not None:
        length = tl.load(lengths + row)
    state = row * width + column
    carry_r, carry_i = load(first, state, here, 0.0, PARTS)
    for start in range(0, time, STEPS):
        step = start + index.to(tl.int64)
        real = step < length
        place = step
        if REVERSE:
            place = tl.where(real, length - 1 - step, step)
        at = (row * time + place) * width + column
        mask = real & here
        a_at = at
        if CONSTANT:
            a_at = column + place * 0
        a_r, a_i = load(a, a_at, mask, 1.0, PARTS)
        b_r, b_i = load(b, at, mask, 0.0, PARTS)
        a_r, a_i, b_r, b_i = scan(a_r, a_i, b_r, b_i, PARTS)
        h_r, h_i = multiply(a_r, a_i, carry_r, carry_i, PARTS)
        h_r, h_i = h_r + b_r, h_i + b_i
        store(
            h, at, tl.where(real, h_r, 0.0), tl.where(real, h_i, 0.0), here & (step < time), PARTS
        )
        carry_r, carry_i = pick(h_r, index == STEPS - 1), pick(h_i, index == STEPS - 1)
    store(last, state, carry_r, carry_i, here, PARTS)


@triton.jit(do_not_specialize=["time"])
def scan_backward(
    a,
    first,
    h,
    g,
    g_last,
    da,
    db,
    d_first,
    lengths,
    time,
    width,
    CONSTANT: tl.constexpr,
    REVERSE: tl.constexpr,
    PARTS: tl.constexpr,
    STEPS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute da, db [B, T, width] and d_first [B, width], from the last step read to the first.

    With d_k the gradient of h after the k-th step read: d_k = g_k + conj(a_{k+1}) d_{k+1}, and of
    the last one g_k + g_last. Where a is CONSTANT da is [B, width], a sum over the steps.
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    here = column < width
    index = tl.arange(0, STEPS)[:, None]
    length = time.to(tl.int64)
    if lengths is not None:
        length = tl.load(lengths + row)
    state = row * width + column
    first_r, first_i = load(first, state, here, 0.0, PARTS)
    carry_r, carry_i = load(g_last, state, here, 0.0, PARTS)
    sum_r, sum_i = carry_r * 0.0, carry_i * 0.0
    for start in range(0, time, STEPS):
        # The place of a step, of the one read after it and of the one read before it.
        step = start + index.to(tl.int64)
        real = step < length
        if REVERSE:
            place = step
            after = step - 1
            before = step + 1
        else:
            place = tl.where(real, length - 1 - step, step)
            after = place + 1
            before = place - 1
        at = (row * time + place) * width + column
        a_at = (row * time + after) * width + column
        if CONSTANT:
            a_at = column + place * 0
        a_r, a_i = load(a, a_at, real & here & (step > 0), 1.0, PARTS)
        d_r, d_i = load(g, at, real & here, 0.0, PARTS)
        a_r, a_i, d_r, d_i = scan(a_r, -a_i, d_r, d_i, PARTS)
        more_r, more_i = multiply(a_r, a_i, carry_r, carry_i, PARTS)
        d_r, d_i = d_r + more_r, d_i + more_i
        carry_r, carry_i = pick(d_r, index == STEPS - 1), pick(d_i, index == STEPS - 1)

        d_r, d_i = tl.where(real, d_r, 0.0), tl.where(real, d_i, 0.0)
        h_at = (row * time + before) * width + column
        h_r, h_i = load(h, h_at, here & (step < length - 1), 0.0, PARTS)
        begins = step == length - 1
        h_r, h_i = tl.where(begins, first_r, h_r), tl.where(begins, first_i, h_i)
        da_r, da_i = multiply(d_r, d_i, h_r, -h_i, PARTS)
        store(db, at, d_r, d_i, here & (step < time), PARTS)
        if CONSTANT:
            sum_r, sum_i = sum_r + pick(da_r, real), sum_i + pick(da_i, real)
        else:
            store(da, at, da_r, da_i, here & (step < time), PARTS)
    if CONSTANT:
        store(da, state, sum_r, sum_i, here, PARTS)
    # Through the first step read, of a row that has any.
    a_at = (row * time + (length - 1 if REVERSE else 0)) * width + column
    if CONSTANT:
        a_at = column
    a_r, a_i = load(a, a_at, here & (column * 0 < length), 1.0, PARTS)
    d_r, d_i = multiply(carry_r, carry_i, a_r, -a_i, PARTS)
    store(d_first, state, d_r, d_i, here, PARTS)


@triton.jit
def scan(a_r, a_i, b_r, b_i, PARTS: tl.constexpr):
    """What a state is scaled by and what is added to it by all steps up to each."""
    if PARTS == 2:
        a_r, a_i, b_r, b_i = tl.associative_scan((a_r, a_i, b_r, b_i), 0, follow_complex)
    else:
        a_r, b_r = tl.associative_scan((a_r, b_r), 0, follow)
    return a_r, a_i, b_r, b_i


@triton.jit
def follow(a, b, next_a, next_b):
    """Two steps as one."""
    return a * next_a, b * next_a + next_b


@triton.jit
def follow_complex(a_r, a_i, b_r, b_i, next_a_r, next_a_i, next_b_r, next_b_i):
    """Two steps as one, of complex numbers."""
    return (
        a_r * next_a_r - a_i * next_a_i,
        a_r * next_a_i + a_i * next_a_r,
        b_r * next_a_r - b_i * next_a_i + next_b_r,
        b_r * next_a_i + b_i * next_a_r + next_b_i,
    )


@triton.jit
def multiply(x_r, x_i, y_r, y_i, PARTS: tl.constexpr):
    """Their product."""
    if PARTS == 2:
        product_r = x_r * y_r - x_i * y_i
        product_i = x_r * y_i + x_i * y_r
    else:
        product_r = x_r * y_r
        product_i = product_r
    return product_r, product_i


@triton.jit
def pick(x, mask):
    """The sum of the rows of [STEPS, COLUMNS] that the mask names, [1, COLUMNS]."""
    return tl.sum(tl.where(mask, x, 0.0), 0, keep_dims=True)


@triton.jit
def load(array, at, mask, other: tl.constexpr, PARTS: tl.constexpr):
    """Numbers, and a real one (`other`) where there is none."""
    real = tl.load(array + PARTS * at, mask=mask, other=other)
    imaginary = real
    if PARTS == 2:
        imaginary = tl.load(array + PARTS * at + 1, mask=mask, other=0.0)
    return real, imaginary


@triton.jit
def store(array, at, real, imaginary, mask, PARTS: tl.constexpr):
    """Write numbers."""
    tl.store(array + PARTS * at, real, mask=mask)
    if PARTS == 2:
        tl.store(array + PARTS * at + 1, imaginary, mask=mask)
