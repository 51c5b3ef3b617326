"""A module as an ONNX graph: recorded by torch, tidied, its constants computed once."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError, MissingPackageError, SeqnlpError
from seqnlp.nn.engines.exporting import exporting
from seqnlp.nn.modes import in_mode

if TYPE_CHECKING:
    import onnx

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18
# Of what is computed once, in numbers; weights may be large, and so may what is made of them.
_LARGEST = 1 << 40


def require_packages() -> None:
    """See that graphs can be made.

    Raises:
        MissingPackageError: a package of the extra `onnx` is not installed.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingPackageError(
                f"an ONNX graph needs the package {package}; pip install 'seqnlp[onnx]'"
            )


def to_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    dynamic: Sequence[Mapping[int, str]],
    input_names: Sequence[str],
    output_names: Sequence[str],
    *,
    what: str = "",
) -> onnx.ModelProto:
    """Record a module as an ONNX graph.

    Args:
        module: takes the inputs in their order and returns a tensor or a flat tuple of tensors. It
            runs in evaluation and under `exporting("onnx")`.
        inputs: examples, whose dynamic axes are at least 2 long and different from each other.
        dynamic: for each input its axes of any length, by name: axes of one name are equally long.
        input_names: what the graph calls them.
        output_names: what it calls what is returned.
        what: is recorded, for messages; the module's class by default.

    Returns:
        A graph of float32 and integers, opset 18, without traces of where it was made.

    Raises:
        MissingPackageError: a package of the extra `onnx` is not installed.
        InputError: the module does something that cannot be recorded for any length.
    """
    require_packages()
    dims = {name: torch.export.Dim(name) for axes in dynamic for name in axes.values()}
    shapes = tuple({axis: dims[name] for axis, name in axes.items()} for axes in dynamic)
    from seqnlp.integrations.onnx.cells import translations

    with torch.no_grad(), in_mode(module, training=False), exporting("onnx"), _quiet():
        try:
            recorded = torch.export.export(
                _Positional(module), tuple(inputs), dynamic_shapes=(shapes,), strict=False
            )
            program = torch.onnx.export(
                recorded,
                input_names=list(input_names),
                output_names=list(output_names),
                opset_version=OPSET,
                dynamo=True,
                custom_translation_table=translations(),
                verbose=False,
                optimize=False,
            )
        except SeqnlpError:
            raise
        except Exception as error:  # torch raises many kinds, some of them bare
            raise InputError(
                f"{what or type(module).__name__} cannot be recorded as an ONNX graph: "
                f"{_reason(error)}"
            ) from error
        assert program is not None
        return _tidy(program.model, _axis_names(program.model, dynamic), output_names)


class _Positional(nn.Module):
    """A module of one signature for all that is recorded."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        found = self.module(*inputs)
        return (found,) if isinstance(found, Tensor) else tuple(found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what torch tells of its steps, of what else it could translate, of its own age."""
    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of what was wrong at the bottom."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _axis_names(model: Any, dynamic: Sequence[Mapping[int, str]]) -> dict[str, str]:
    """The names that torch gave to the axes, and ours."""
    return {
        str(value.shape[axis]): name
        for value, axes in zip(model.graph.inputs, dynamic, strict=True)
        for axis, name in axes.items()
    }


def _tidy(model: Any, axes: Mapping[str, str], outputs: Sequence[str]) -> onnx.ModelProto:
    import onnx_ir
    from onnx_ir.passes import common
    from onnxscript import optimizer

    # Not by the optimizer that torch would call: it takes a sum with 1e-12 for none.
    common.InlinePass()(model)
    optimizer.fold_constants(model, input_size_limit=_LARGEST, output_size_limit=_LARGEST)
    passes = [
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.CommonSubexpressionEliminationPass(),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.DeduplicateInitializersPass(),
        # Traces of where a model was made are nobody's affair, and differ from place to place.
        common.ClearMetadataAndDocStringPass(),
    ]
    for each in passes:
        each(model)
    _tell_outputs_apart(model.graph, outputs)
    for graph in model.graph.subgraphs():
        _tell_outputs_apart(graph)
    for graph in [model.graph, *model.graph.subgraphs()]:
        for value in _values(graph):
            if value.shape is not None:
                value.shape = onnx_ir.Shape([axes.get(str(size), size) for size in value.shape])
    model.producer_name, model.producer_version = "seqnlp", ""
    proto: onnx.ModelProto = onnx_ir.to_proto(model)
    return proto


def _tell_outputs_apart(graph: Any, names: Sequence[str] = ()) -> None:
    """Let a graph put out no value twice: what is the same was made one, and lost a name.

    Of such outputs of a loop's body onnxruntime fills in only one.
    """
    import onnx_ir

    seen = set()
    for index, value in enumerate(graph.outputs):
        name = names[index] if names else f"{value.name}_{index}"
        if value in seen:
            node = onnx_ir.Node("", "Identity", [value], num_outputs=1)
            copy = node.outputs[0]
            copy.name, copy.shape, copy.type = name, value.shape, value.type
            graph.append(node)
            graph.outputs[index] = copy
        elif names:
            value.name = name
        seen.add(value)


def _values(graph: Any) -> Iterator[Any]:
    yield from graph.inputs
    for node in graph:
        yield from node.outputs
