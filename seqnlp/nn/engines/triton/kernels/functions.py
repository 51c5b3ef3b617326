"""Functions that Triton does not have on every machine, and one operation of a program.

The formulas are those of `kernels/pointwise.h`: they keep NaN and the digits of small numbers.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def exponential_minus_one(x):
    """e^x - 1 for |x| up to 80: with x = n ln 2 + r, 2^n (e^r - 1) + (2^n - 1)."""
    n = tl.floor(x * 1.4426950408889634 + 0.5)
    if x.dtype == tl.float64:
        r = (x - n * 0.693145751953125) - n * 1.42860682030941723212e-6
        series = taylor(r, 13)
    else:
        r = (x - n * 0.693359375) - n * -2.12194440e-4
        series = taylor(r, 7)
    power = tl.exp2(n)
    return series * power + (power - 1)


@triton.jit
def taylor(r, TERMS: tl.constexpr):
    """e^r - 1 for |r| up to half of ln 2."""
    series = tl.full(r.shape, 1.0, r.dtype)
    for k in tl.static_range(TERMS, 1, -1):
        series = series * r * (1.0 / k) + 1.0
    return series * r


@triton.jit
def clamp(x, LOWEST: tl.constexpr, HIGHEST: tl.constexpr):
    """Comparisons that are false for NaN, so that it goes on."""
    return tl.where(x > HIGHEST, HIGHEST, tl.where(x < LOWEST, LOWEST, x))


@triton.jit
def expm1(x):
    """e^x - 1."""
    return tl.where(x > 80, tl.exp(x), exponential_minus_one(clamp(x, -50, 80)))


@triton.jit
def tanh(x):
    """From e^2x - 1."""
    t = exponential_minus_one(clamp(2 * x, -40, 40))
    return t / (t + 2)


@triton.jit
def log1p(x):
    """Log u x / (u - 1) with u = 1 + x as rounded (Goldberg 1991, theorem 4)."""
    u = 1.0 + x
    exact = (u == 1) | (u == float("inf"))
    return tl.where(exact, x, tl.log(u) * (x / tl.where(exact, 1.0, u - 1)))


@triton.jit
def compute(a, b, c, real, OPERATION: tl.constexpr, KIND: tl.constexpr):
    """One operation of `seqnlp.nn.engines.operations`, on numbers of type KIND.

    a, b, c: its arguments, [ROWS, COLUMNS], [ROWS, 1] or [1, 1]; those that it lacks are anything.
    real: [ROWS, COLUMNS], what reductions go over.
    """
    if OPERATION == "add":
        result = a + b
    elif OPERATION == "sub":
        result = a - b
    elif OPERATION == "mul":
        result = a * b
    elif OPERATION == "div":
        result = a / b
    elif OPERATION == "neg":
        result = -a
    elif OPERATION == "abs":
        result = tl.abs(a)
    elif OPERATION == "sign":
        result = (a > 0).to(KIND) - (a < 0).to(KIND)
    elif OPERATION == "maximum":
        result = tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
    elif OPERATION == "minimum":
        result = tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
    elif OPERATION == "sqrt":
        result = tl.sqrt(a)
    elif OPERATION == "exp":
        result = tl.exp(a)
    elif OPERATION == "expm1":
        result = expm1(a)
    elif OPERATION == "log":
        result = tl.log(a)
    elif OPERATION == "log1p":
        result = log1p(a)
    elif OPERATION == "sin":
        result = tl.sin(a)
    elif OPERATION == "cos":
        result = tl.cos(a)
    elif OPERATION == "erf":
        result = tl.erf(a)
    elif OPERATION == "sigmoid":
        result = tl.sigmoid(a)
    elif OPERATION == "tanh":
        result = tanh(a)
    elif OPERATION == "gt":
        result = a > b
    elif OPERATION == "ge":
        result = a >= b
    elif OPERATION == "lt":
        result = a < b
    elif OPERATION == "le":
        result = a <= b
    elif OPERATION == "eq":
        result = a == b
    elif OPERATION == "ne":
        result = a != b
    elif OPERATION == "and":
        result = a & b
    elif OPERATION == "or":
        result = a | b
    elif OPERATION == "not":
        result = a == 0
    elif OPERATION == "real":
        result = a.to(KIND)
    elif OPERATION == "nan":
        result = tl.full((1, 1), float("nan"), KIND)
    elif OPERATION == "where":
        result = tl.where(a, b, c)
    elif OPERATION == "sum":
        result = tl.sum(tl.where(real, a, 0.0), 1, keep_dims=True)
    elif OPERATION == "largest":
        result = tl.max(tl.where(real, a, float("-inf")), 1, keep_dims=True)
    else:
        tl.static_assert(False, "a program with an operation that kernels do not know")
    return result
