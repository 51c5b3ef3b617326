"""Writing down what torch computes: each operation that it dispatches becomes one of a graph's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from seqnlp.nn.engines.decompositions import find_decomposition
from seqnlp.nn.engines.graph import Graph, Value
from seqnlp.nn.engines.operations import UntraceableError
from seqnlp.nn.engines.rules import RULES

__all__ = ["Tracer", "UntraceableError", "Watch"]


_SAME_NAME = frozenset(
    {"neg", "abs", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "erf", "sigmoid", "tanh"}
    | {"gt", "ge", "lt", "le", "eq", "ne", "maximum", "minimum"}
)
# Aten's names that mean what one of ours means.
_OTHER_NAME: Mapping[str, str] = MappingProxyType(
    {
        "sgn": "sign",
        "sign": "sign",
        "logical_and": "and",
        "logical_or": "or",
        "logical_not": "not",
        "logical_xor": "ne",
        "bitwise_xor": "ne",
        "__and__": "and",
        "__or__": "or",
        "__xor__": "ne",
        "bitwise_and": "and",
        "bitwise_or": "or",
        "bitwise_not": "not",
    }
)
_SAME_VALUE = frozenset(
    {"alias", "clone", "contiguous", "detach", "expand", "lift_fresh", "real", "reshape", "squeeze"}
    | {"unsqueeze", "view", "_unsafe_view", "view_as", "_reshape_alias"}
)
_PRODUCT = "a product belongs to the engine: declare one more gate, or write a Cell"
_RANDOM = "random numbers come from outside, as masks"
_APART = "work on each gate by itself"
_ADVICE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "t"), _PRODUCT),
        "_local_scalar_dense": "use torch.where in place of if, and no item()",
        **dict.fromkeys(("rand", "randn", "randint", "rand_like", "randn_like"), _RANDOM),
        **dict.fromkeys(
            ("bernoulli", "uniform", "normal", "exponential", "normal_functional"), _RANDOM
        ),
        **dict.fromkeys(("native_dropout", "empty_like", "randint_like", "multinomial"), _RANDOM),
        **dict.fromkeys(("cat", "stack", "split", "split_with_sizes", "slice", "select"), _APART),
        **dict.fromkeys(("index", "gather", "flip", "roll", "transpose", "permute"), _APART),
        **dict.fromkeys(("sort", "topk", "cumsum", "cumprod", "as_strided", "unbind"), _APART),
    }
)


_CUTS = (Tensor.detach, Tensor.data.__get__)  # type: ignore[attr-defined]


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what torch computes on values of rows [rows, H].

    Tensors are known by where they lie: autograd hands back those that it saved as new objects.
    All are held until the end, so that no two lie at one place.

    in_backward: whether it is autograd that computes.
    detaches: whether a value was taken without its gradient.
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
        self.detaches = False
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
        plain = name if name.startswith("_") else name.rstrip("_")
        if plain in _ADVICE and (not self.in_backward or plain not in RULES):
            raise UntraceableError(f"{plain} is not known to the engine: {_ADVICE[plain]}")
        if plain != name:
            if not self.in_backward:
                raise UntraceableError(f"{name} changes a tensor in place: use {plain}")
            # Autograd does so with what it has just made, which nobody else looks at.
            name = plain
        if not self.in_backward and not torch.is_grad_enabled():
            self.detaches = True
        rule = RULES.get(name)
        known = name in _SAME_NAME or name in _OTHER_NAME or name in _SAME_VALUE
        if rule is None and not known:
            replaced = find_decomposition(func)
            if replaced is not None:
                with self:
                    return replaced(*args, **options)
            raise UntraceableError(
                f"{name} is not known to the engine: "
                "use pointwise operations and sums over the last dimension"
            )
        result = func(*args, **options)
        if rule is not None:
            value = rule(self, name, args, options)
        elif name in _SAME_VALUE:
            if name == "lift_fresh":
                if args[0].numel() != 1:
                    self.value(args[0], "update")
                value = self.graph.add_constant(float(args[0]))
            else:
                value = self.value(args[0], name)
                self._check_shape(name, value, result)
        else:
            ours = _OTHER_NAME.get(name, name)
            if name.startswith("bitwise") and result.dtype != torch.bool:
                raise UntraceableError(f"{name} of whole numbers is not known to the engine")
            value = self.graph.add(ours, *(self.value(arg, name) for arg in args[:2]))
        self.enter(result, value)
        return result

    def _check_shape(self, name: str, value: Value, result: Tensor) -> None:
        apart = self.hidden_size > 1 and result.shape[-1:] != (self.hidden_size,)
        if apart and self.graph.nodes[value].wide:
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
        # No other dimension is as long as there are rows.
        if not self.in_backward and any(x.shape[dim] == self.rows for dim in chosen):
            raise UntraceableError(
                f"{name} mixes the rows of a batch: use torch.where in place of if, or write a Cell"
            )
        features = 1
        if x.dim() and x.dim() - 1 in chosen and x.shape[-1] != self.rows:
            features = x.shape[-1]
            if self.graph.nodes[value].wide:
                value = self.graph.add("sum", value)
            elif features > 1:
                value = self.graph.add("mul", value, self.graph.add_constant(features))
        return value, features


class Watch(TorchFunctionMode):
    """Tells a tracer of values that the author detaches; autograd detaches too, what it saves."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer = tracer

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call, and see what."""
        self.tracer.detaches |= func in _CUTS
        return func(*args, **(kwargs or {}))


def _place(tensor: Tensor) -> object:
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
