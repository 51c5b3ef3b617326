"""The operations that a traced `update` may consist of: what each computes, here and in C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from seqnlp.errors import SeqnlpError


class UntraceableError(SeqnlpError):
    """What `update` does is not pointwise, or not known here; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation on values of a row.

    evaluate: on tensors [rows, H] and [rows, 1] and on numbers.
    source: in C++, with a place for each argument.
    costly: whether its result is rather kept for the backward pass than computed again.
    reduces: whether it sums over a row's features, H of them, to one.
    logical: whether its result is true or false.
    """

    evaluate: Callable[..., Any]
    source: str
    costly: bool = False
    reduces: bool = False
    logical: bool = False


def _compare(function: Callable[..., Any], sign: str) -> Operation:
    return Operation(evaluate=function, source=f"({{0}} {sign} {{1}})", logical=True)


def _call(function: Callable[..., Any], name: str) -> Operation:
    return Operation(evaluate=function, source=f"{name}({{0}})", costly=True)


def _sign(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x)


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "add": Operation(evaluate=lambda a, b: a + b, source="({0} + {1})"),
        "sub": Operation(evaluate=lambda a, b: a - b, source="({0} - {1})"),
        "mul": Operation(evaluate=lambda a, b: a * b, source="({0} * {1})"),
        "div": Operation(evaluate=lambda a, b: a / b, source="({0} / {1})"),
        "neg": Operation(evaluate=lambda a: -a, source="(-{0})"),
        "abs": Operation(evaluate=torch.abs, source="std::fabs({0})"),
        "sign": Operation(
            evaluate=_sign, source="(({0} > 0 ? REAL(1) : REAL(0)) - ({0} < 0 ? REAL(1) : REAL(0)))"
        ),
        "maximum": Operation(evaluate=torch.maximum, source="larger({0}, {1})"),
        "minimum": Operation(evaluate=torch.minimum, source="smaller({0}, {1})"),
        "sqrt": _call(torch.sqrt, "std::sqrt"),
        "exp": _call(torch.exp, "exponential"),
        "expm1": _call(torch.expm1, "exponential_minus_one"),
        "log": _call(torch.log, "logarithm"),
        "log1p": _call(torch.log1p, "logarithm_one_plus"),
        "sin": _call(torch.sin, "std::sin"),
        "cos": _call(torch.cos, "std::cos"),
        "erf": _call(torch.erf, "std::erf"),
        "sigmoid": _call(torch.sigmoid, "sigmoid"),
        "tanh": _call(torch.tanh, "hyperbolic_tangent"),
        "gt": _compare(torch.gt, ">"),
        "ge": _compare(torch.ge, ">="),
        "lt": _compare(torch.lt, "<"),
        "le": _compare(torch.le, "<="),
        "eq": _compare(torch.eq, "=="),
        "ne": _compare(torch.ne, "!="),
        "and": Operation(evaluate=torch.logical_and, source="({0} & {1})", logical=True),
        "or": Operation(evaluate=torch.logical_or, source="({0} | {1})", logical=True),
        "not": Operation(evaluate=torch.logical_not, source="(!{0})", logical=True),
        "real": Operation(evaluate=lambda a: a * 1.0, source="({0} ? REAL(1) : REAL(0))"),
        "where": Operation(evaluate=torch.where, source="({0} ? {1} : {2})"),
        "sum": Operation(
            evaluate=lambda a: a.sum(-1, keepdim=True), source="+", costly=True, reduces=True
        ),
        "largest": Operation(
            evaluate=lambda a: a.amax(-1, keepdim=True), source="max", costly=True, reduces=True
        ),
    }
)
"""By name. Reductions are loops of their own: their `source` is the sign of what is reduced."""
