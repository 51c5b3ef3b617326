"""Writing down what torch computes: each operation that it dispatches becomes one of a graph's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqnlp.errors import SeqnlpError
from seqnlp.nn.engines.decompositions import find_decomposition
from seqnlp.nn.engines.graph import Graph, Value


class UntraceableError(SeqnlpError):
    """What `update` does is not pointwise, or not known here; the message names it."""


_SAME_NAME = frozenset(
    {"neg", "abs", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "erf", "sigmoid", "tanh"}
    | {"gt", "ge", "lt", "le", "eq", "ne", "maximum", "minimum", "div"}
)
# Aten's names that mean what one of ours means.
_OTHER_NAME: Mapping[str, str] = MappingProxyType(
    {
        "sgn": "sign",
        "sign": "sign",
        "logical_and": "and",
        "logical_or": "or",
        "logical_not": "not",
        "bitwise_and": "and",
        "bitwise_or": "or",
        "bitwise_not": "not",
    }
)
_SAME_VALUE = frozenset(
    {"alias", "clone", "contiguous", "detach", "expand", "lift_fresh", "reshape", "squeeze"}
    | {"unsqueeze", "view", "_unsafe_view", "view_as", "_reshape_alias"}
)
_FILLS = ("zeros", "ones", "zeros_like", "ones_like", "new_zeros", "new_ones", "full", "full_like")
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        "mm": "a product belongs to the engine: declare one more gate, or write a Cell",
        "addmm": "a product belongs to the engine: declare one more gate, or write a Cell",
        "bmm": "a product belongs to the engine: declare one more gate, or write a Cell",
        "_local_scalar_dense": "use torch.where in place of if, and no item()",
        "bernoulli": "random numbers come from outside, as masks",
        "rand_like": "random numbers come from outside, as masks",
        "native_dropout": "random numbers come from outside, as masks",
        "cat": "work on each gate by itself",
        "split": "work on each gate by itself",
        "slice": "work on each gate by itself",
        "select": "work on each gate by itself",
    }
)


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what torch computes on values of rows [rows, H].

    Tensors are known by where they lie: autograd hands back those that it saved as new objects.
    All are held until the end, so that no two lie at one place.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # To skip it torch would import it first, which takes a second.
        return False

    def __init__(self, graph: Graph, rows: int, hidden_size: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = graph
        self.rows = rows
        self.hidden_size = hidden_size
        self.in_backward = False
        self._values: dict[object, Value] = {}
        self._held: list[Tensor] = []

    def enter(self, tensor: Tensor, value: Value) -> None:
        """Make a tensor known."""
        self._held.append(tensor)
        self._values[_place(tensor)] = value

    def value(self, argument: object, operation: str) -> Value:
        """What is known of a tensor, or the constant that a number is."""
        if not isinstance(argument, Tensor):
            assert isinstance(argument, bool | int | float)
            return self.graph.add_constant(float(argument))
        known = self._values.get(_place(argument))
        if known is None:
            raise UntraceableError(
                f"{operation} reads a tensor [{', '.join(map(str, argument.shape))}] that is none "
                "of update's arguments: register it as a parameter and take it by its name"
            )
        return known

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Compute, and write down."""
        options = dict(kwargs or {})
        name: str = func.overloadpacket.__name__
        if name.endswith("_") and not name.startswith("_") and not self.in_backward:
            raise UntraceableError(f"{name} changes a tensor in place: use {name.rstrip('_')}")
        rule = _RULES.get(name.rstrip("_") if self.in_backward else name)
        known = name in _SAME_NAME or name in _OTHER_NAME or name in _SAME_VALUE
        if rule is None and not known:
            replaced = find_decomposition(func)
            if replaced is not None:
                with self:
                    return replaced(*args, **options)
            advice = _ADVICE.get(name, "use pointwise operations and sums over the last dimension")
            raise UntraceableError(f"{name} is not known to the engine: {advice}")
        result = func(*args, **options)
        if rule is not None:
            value = rule(self, name, args, options)
        elif name in _SAME_VALUE:
            if name == "lift_fresh":
                value = self.graph.add_constant(float(args[0]))
            else:
                value = self.value(args[0], name)
                self._check_shape(name, value, result)
        else:
            ours = _OTHER_NAME.get(name, name)
            value = self.graph.add(ours, *(self.value(arg, name) for arg in args[:2]))
        self.enter(result, value)
        return result

    def _check_shape(self, name: str, value: Value, result: Tensor) -> None:
        if self.graph.nodes[value].wide and result.shape[-1:] != (self.hidden_size,):
            raise UntraceableError(
                f"{name} takes a row's features apart: work on each gate by itself"
            )

    def reduce(self, name: str, x: Tensor, dims: Sequence[int] | None) -> tuple[Value, int]:
        """The sum over some dimensions, and how many numbers of a row it takes.

        Sums over the rows are left out: in a gradient they end in that of a parameter, which adds
        up over the rows whatever it is given.
        """
        value = self.value(x, name)
        chosen = range(x.dim()) if not dims else [dim % x.dim() for dim in dims]
        over_rows = any(x.dim() == 2 and dim == 0 and x.shape[0] == self.rows for dim in chosen)
        if over_rows and not self.in_backward:
            raise UntraceableError(f"{name} mixes the rows of a batch: write a Cell")
        features = 1
        if x.dim() and x.dim() - 1 in chosen:
            features = x.shape[-1]
            if self.graph.nodes[value].wide:
                value = self.graph.add("sum", value)
            elif features > 1:
                value = self.graph.add("mul", value, self.graph.add_constant(features))
        return value, features


def _place(tensor: Tensor) -> object:
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


Rule = Callable[[Tracer, str, tuple[Any, ...], dict[str, Any]], Value]


def _add(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    a, b = (tracer.value(arg, name) for arg in args[:2])
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
    return tracer.graph.add("mul", *(tracer.value(arg, name) for arg in args[:2]))


def _where(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    return tracer.graph.add("where", *(tracer.value(arg, name) for arg in args))


def _masked_fill(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    x, mask, fill = (tracer.value(arg, name) for arg in args)
    return tracer.graph.add("where", mask, fill, x)


def _power(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, x, exponent = tracer.graph, tracer.value(args[0], name), args[1]
    if exponent == 0.5:
        return graph.add("sqrt", x)
    if not isinstance(exponent, int | float) or exponent != int(exponent) or abs(exponent) > 8:
        raise UntraceableError(f"{name} takes whole exponents up to 8 and 0.5, not {exponent}")
    power = graph.add_constant(1.0)
    for _ in range(abs(int(exponent))):
        power = graph.add("mul", power, x)
    return power if exponent >= 0 else graph.add("div", graph.add_constant(1.0), power)


def _reciprocal(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    graph, x = tracer.graph, tracer.value(args[0], name)
    if name == "rsqrt":
        x = graph.add("sqrt", x)
    return graph.add("div", graph.add_constant(1.0), x)


def _relu(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    return tracer.graph.add("maximum", tracer.value(args[0], name), tracer.graph.add_constant(0.0))


def _threshold_backward(
    tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]
) -> Value:
    graph = tracer.graph
    gradient, x, limit = (tracer.value(arg, name) for arg in args)
    return graph.add("where", graph.add("gt", x, limit), gradient, graph.add_constant(0.0))


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
    for side, operation in (("min", "maximum"), ("max", "minimum")):
        if limits.get(side) is not None:
            value = graph.add(operation, value, tracer.value(limits[side], name))
    return value


def _sum(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    return tracer.reduce(name, args[0], args[1] if len(args) > 1 else None)[0]


def _mean(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    value, count = tracer.reduce(name, args[0], args[1] if len(args) > 1 else None)
    return tracer.graph.add("mul", value, tracer.graph.add_constant(1.0 / count))


def _largest(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    dims = args[1] if len(args) > 1 else ()
    if [dim % args[0].dim() for dim in dims] != [args[0].dim() - 1]:
        raise UntraceableError(f"{name} mixes the rows of a batch: write a Cell")
    value = tracer.value(args[0], name)
    return tracer.graph.add("largest", value) if tracer.graph.nodes[value].wide else value


def _filled(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    if "zeros" in name:
        number = 0.0
    elif "ones" in name:
        number = 1.0
    else:
        number = args[0] if name == "scalar_tensor" else args[2] if name == "new_full" else args[1]
    return tracer.graph.add_constant(float(number))


def _convert(tracer: Tracer, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Value:
    value = tracer.value(args[0], name)
    logical = args[0].dtype == torch.bool
    return tracer.graph.add("real", value) if logical else value


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("add", "sub", "rsub"), _add),
        "mul": _mul,
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
        "amax": _largest,
        **dict.fromkeys((*_FILLS, "new_full", "scalar_tensor"), _filled),
        **dict.fromkeys(("_to_copy", "to"), _convert),
    }
)
