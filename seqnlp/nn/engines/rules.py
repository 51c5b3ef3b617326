"""What each operation of torch means in a graph, where that is more than a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seqnlp.nn.engines.graph import Value
from seqnlp.nn.engines.operations import UntraceableError

if TYPE_CHECKING:
    from seqnlp.nn.engines.recorder import Tracer

_FILLS = ("zeros", "ones", "zeros_like", "ones_like", "new_zeros", "new_ones", "full", "full_like")

Rule = Callable[["Tracer", str, tuple[Any, ...], dict[str, Any]], Value]


def _add(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    a, b = (tracer.value(arg, name) for arg in args[:2])
    if _are_logical(args[:2]):
        return tracer.graph.add("or", a, b)
    alpha = options.get("alpha", args[2] if len(args) > 2 else 1)
    if name == "rsub":
        a, b = b, a
        if alpha != 1:
            b = tracer.graph.add("mul", b, tracer.graph.add_constant(alpha))
        return tracer.graph.add("sub", a, b)
    if alpha != 1:
        b = tracer.graph.add("mul", b, tracer.graph.add_constant(alpha))
    return tracer.graph.add(name.rstrip("_"), a, b)


def _mul(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    both = (tracer.value(arg, name) for arg in args[:2])
    return tracer.graph.add("and" if _are_logical(args[:2]) else "mul", *both)


def _are_logical(args: tuple[Any, ...]) -> bool:
    """Whether torch gives a truth, and no number, of their sum and product."""
    return all(isinstance(arg, Tensor) and arg.dtype == torch.bool for arg in args)


def _div(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    if options.get("rounding_mode") is not None:
        raise UntraceableError("div with a rounding_mode is not known to the engine")
    return tracer.graph.add("div", *(tracer.value(arg, name) for arg in args[:2]))


def _where(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    return tracer.graph.add("where", *(tracer.value(arg, name) for arg in args))


def _masked_fill(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    x, mask, fill = (tracer.value(arg, name) for arg in args)
    return tracer.graph.add("where", mask, fill, x)


def _power(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, exponent = tracer.graph, args[1]
    if isinstance(args[0], int | float) or isinstance(exponent, Tensor):
        raise UntraceableError(f"{name} takes numbers as exponents: use exp and log")
    whole, rest = divmod(abs(exponent), 1)
    # The gradient of a power is of the next lower one.
    if rest not in (0, 0.5) or whole > (9 if tracer.in_backward else 8):
        raise UntraceableError(
            f"{name} takes multiples of 0.5 up to 8 as exponents: use exp and log"
        )
    x = tracer.value(args[0], name)
    power = graph.add("sqrt", x) if rest else graph.add_constant(1.0)
    for _ in range(int(whole)):
        power = graph.add("mul", power, x)
    return power if exponent >= 0 else graph.add("div", graph.add_constant(1.0), power)


def _reciprocal(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, x = tracer.graph, tracer.value(args[0], name)
    if name == "rsqrt":
        x = graph.add("sqrt", x)
    return graph.add("div", graph.add_constant(1.0), x)


def _relu(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, x = tracer.graph, tracer.value(args[0], name)
    zero = graph.add_constant(0.0)
    # Not a maximum, whose gradient at zero is another.
    return graph.add("where", graph.add("le", x, zero), zero, x)


def _threshold_backward(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    graph = tracer.graph
    gradient, x, limit = (tracer.value(arg, name) for arg in args)
    # As torch does, for NaN's sake.
    return graph.add("where", graph.add("le", x, limit), graph.add_constant(0.0), gradient)


def _sigmoid_backward(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    graph = tracer.graph
    gradient, y = (tracer.value(arg, name) for arg in args)
    slope = graph.add("mul", y, graph.add("sub", graph.add_constant(1.0), y))
    return graph.add("mul", gradient, slope)


def _tanh_backward(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    graph = tracer.graph
    gradient, y = (tracer.value(arg, name) for arg in args)
    slope = graph.add("sub", graph.add_constant(1.0), graph.add("mul", y, y))
    return graph.add("mul", gradient, slope)


def _clamp(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, value = tracer.graph, tracer.value(args[0], name)
    names = {"clamp": ("min", "max"), "clamp_min": ("min",), "clamp_max": ("max",)}[name]
    limits = dict(zip(names, args[1:], strict=False)) | options
    for side, beyond in (("min", "lt"), ("max", "gt")):
        if limits.get(side) is not None:
            limit = tracer.value(limits[side], name)
            value = graph.add("where", graph.add(beyond, value, limit), limit, value)
    return value


def _sum(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    return tracer.reduce(name, args[0], args[1] if len(args) > 1 else None)[0]


def _mean(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    value, count = tracer.reduce(name, args[0], args[1] if len(args) > 1 else None)
    return tracer.graph.add("div", value, tracer.graph.add_constant(count))


def _largest(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    dims = args[1] if len(args) > 1 else ()
    if [dim % args[0].dim() for dim in dims] != [args[0].dim() - 1]:
        raise UntraceableError(
            f"{name} mixes the rows of a batch: use torch.where in place of if, or write a Cell"
        )
    graph, value = tracer.graph, tracer.value(args[0], name)
    if not graph.nodes[value].wide:
        return value
    if name == "amin":
        return graph.add("neg", graph.add("largest", graph.add("neg", value)))
    return graph.add("largest", value)


def _filled(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    if "zeros" in name or "empty" in name:
        number = 0.0
    elif "ones" in name:
        number = 1.0
    else:
        number = args[0] if name == "scalar_tensor" else args[2] if name == "new_full" else args[1]
    return tracer.graph.add_constant(float(number))


def _convert(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, value = tracer.graph, tracer.value(args[0], name)
    old, new = args[0].dtype, options.get("dtype") or args[0].dtype
    if old == torch.bool:
        return value if new == torch.bool else graph.add("real", value)
    if new == torch.bool:
        return graph.add("ne", value, graph.add_constant(0.0))
    # Which of these makes no difference: the engine computes in the type of the parameters.
    if new in (torch.float32, torch.float64):
        return value
    kind = str(new).removeprefix("torch.")
    raise UntraceableError(
        f"the conversion to {kind} is not known to the engine: it has real numbers"
    )


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("add", "sub", "rsub"), _add),
        "mul": _mul,
        **dict.fromkeys(("div", "true_divide"), _div),
        "where": _where,
        "masked_fill": _masked_fill,
        "pow": _power,
        **dict.fromkeys(("reciprocal", "rsqrt"), _reciprocal),
        "relu": _relu,
        "threshold_backward": _threshold_backward,
        "sigmoid_backward": _sigmoid_backward,
        "tanh_backward": _tanh_backward,
        **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), _clamp),
        "sum": _sum,
        "mean": _mean,
        **dict.fromkeys(("amax", "amin"), _largest),
        **dict.fromkeys((*_FILLS, "new_full", "scalar_tensor"), _filled),
        # Autograd makes constants so.
        **dict.fromkeys(("empty_like", "fill"), _filled),
        **dict.fromkeys(("_to_copy", "to"), _convert),
    }
)
"""By aten's name."""
