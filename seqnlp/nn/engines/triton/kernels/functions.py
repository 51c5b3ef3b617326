"""Functions that Triton does not have on every machine, and one operation of a program.

The formulas are those of `kernels/pointwise.h`: they keep NaN and the digits of small numbers.
"""

from __future__ import annotations

import triton
import triton.language as tl

from seqnlp.nn.engines.triton.program import CODES

ADD = tl.constexpr(CODES["add"])
SUB = tl.constexpr(CODES["sub"])
MUL = tl.constexpr(CODES["mul"])
DIV = tl.constexpr(CODES["div"])
NEG = tl.constexpr(CODES["neg"])
ABS = tl.constexpr(CODES["abs"])
SIGN = tl.constexpr(CODES["sign"])
MAXIMUM = tl.constexpr(CODES["maximum"])
MINIMUM = tl.constexpr(CODES["minimum"])
SQRT = tl.constexpr(CODES["sqrt"])
EXP = tl.constexpr(CODES["exp"])
EXPM1 = tl.constexpr(CODES["expm1"])
LOG = tl.constexpr(CODES["log"])
LOG1P = tl.constexpr(CODES["log1p"])
SIN = tl.constexpr(CODES["sin"])
COS = tl.constexpr(CODES["cos"])
ERF = tl.constexpr(CODES["erf"])
SIGMOID = tl.constexpr(CODES["sigmoid"])
TANH = tl.constexpr(CODES["tanh"])
GT = tl.constexpr(CODES["gt"])
GE = tl.constexpr(CODES["ge"])
LT = tl.constexpr(CODES["lt"])
LE = tl.constexpr(CODES["le"])
EQ = tl.constexpr(CODES["eq"])
NE = tl.constexpr(CODES["ne"])
AND = tl.constexpr(CODES["and"])
OR = tl.constexpr(CODES["or"])
NOT = tl.constexpr(CODES["not"])
REAL = tl.constexpr(CODES["real"])
NAN = tl.constexpr(CODES["nan"])
WHERE = tl.constexpr(CODES["where"])
SUM = tl.constexpr(CODES["sum"])
LARGEST = tl.constexpr(CODES["largest"])


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
    """The operation of a code, on numbers of type KIND.

    a, b, c: its arguments, [ROWS, COLUMNS], [ROWS, 1] or [1, 1]; those that it lacks are anything.
    real: [ROWS, COLUMNS], what reductions go over.
    """
    if OPERATION == ADD:
        result = a + b
    elif OPERATION == SUB:
        result = a - b
    elif OPERATION == MUL:
        result = a * b
    elif OPERATION == DIV:
        result = a / b
    elif OPERATION == NEG:
        result = -a
    elif OPERATION == ABS:
        result = tl.abs(a)
    elif OPERATION == SIGN:
        result = (a > 0).to(KIND) - (a < 0).to(KIND)
    elif OPERATION == MAXIMUM:
        result = tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
    elif OPERATION == MINIMUM:
        result = tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
    elif OPERATION == SQRT:
        result = tl.sqrt(a)
    elif OPERATION == EXP:
        result = tl.exp(a)
    elif OPERATION == EXPM1:
        result = expm1(a)
    elif OPERATION == LOG:
        result = tl.log(a)
    elif OPERATION == LOG1P:
        result = log1p(a)
    elif OPERATION == SIN:
        result = tl.sin(a)
    elif OPERATION == COS:
        result = tl.cos(a)
    elif OPERATION == ERF:
        result = tl.erf(a)
    elif OPERATION == SIGMOID:
        result = tl.sigmoid(a)
    elif OPERATION == TANH:
        result = tanh(a)
    elif OPERATION == GT:
        result = a > b
    elif OPERATION == GE:
        result = a >= b
    elif OPERATION == LT:
        result = a < b
    elif OPERATION == LE:
        result = a <= b
    elif OPERATION == EQ:
        result = a == b
    elif OPERATION == NE:
        result = a != b
    elif OPERATION == AND:
        result = a & b
    elif OPERATION == OR:
        result = a | b
    elif OPERATION == NOT:
        result = a == 0
    elif OPERATION == REAL:
        result = a.to(KIND)
    elif OPERATION == NAN:
        result = tl.full((1, 1), float("nan"), KIND)
    elif OPERATION == WHERE:
        result = tl.where(a, b, c)
    elif OPERATION == SUM:
        result = tl.sum(tl.where(real, a, 0.0), 1, keep_dims=True)
    elif OPERATION == LARGEST:
        result = tl.max(tl.where(real, a, float("-inf")), 1, keep_dims=True)
    else:
        tl.static_assert(False, "a program with an operation that kernels do not know")
    return result
