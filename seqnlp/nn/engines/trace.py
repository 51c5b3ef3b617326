"""Tracing: the pointwise part of a gated cell, written on torch operations, becomes a graph.

`update` runs once, on a few rows of numbers, while every operation that torch dispatches is written
down; then autograd runs through it, and its operations are written down too. So no author writes a
gradient, and sizes of batches or lengths never enter the graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.missteps import describe
from seqnlp.nn.cells.base import GatedCell
from seqnlp.nn.cells.checks import check_state
from seqnlp.nn.engines.graph import Graph, Pointwise, Value, choose_kept, merge
from seqnlp.nn.engines.recorder import Tracer, UntraceableError, Watch


@torch.inference_mode(False)  # where it is asked for first, gradients may be off
def trace(cell: GatedCell, *, masks: Sequence[str] = (), keep: Sequence[bool] = ()) -> Pointwise:
    """Trace what a step computes between its products, and its gradients.

    Args:
        cell: its `update` is called twice, on different numbers of rows: what comes out otherwise
            the second time is no formula of a step.
        masks: the keywords of `update` that get a mask.
        keep: which leaves are mixed with their old value, see `Noise`.

    Raises:
        UntraceableError: `update` does something that is not pointwise, or depends on more than
            its arguments.
        InputError: `update` fails, returns no state or does not take the cell's parameters.
    """
    _check_signature(cell)
    # Different from H, so that rows and features are told apart.
    rows, others = [count for count in (3, 4, 5) if count != cell.hidden_size][:2]
    try:
        found = _trace(cell, masks, keep, rows)
        again = _trace(cell, masks, keep, others)
    except InputError:
        raise
    except Exception as error:
        _try_plainly(cell)
        if isinstance(error, UntraceableError):
            raise
        reason = (str(error).splitlines() or [""])[0]
        raise UntraceableError(
            f"it failed on a few rows: {type(error).__name__}: {reason}"
        ) from error
    if _describe(found) != _describe(again):
        raise UntraceableError(
            "it depends on the number of rows, or is another from one call to the next: "
            "write a Cell"
        )
    return found


def _describe(pointwise: Pointwise) -> object:
    """All that a trace says, in a form in which NaN equals itself."""
    nodes = [repr(node) for node in pointwise.graph.nodes]
    return nodes, pointwise.new_states, pointwise.backward_outputs


def _check_signature(cell: GatedCell) -> None:
    """Refuse an `update` that does not take what the engines will give it."""
    taken = inspect.signature(cell.update).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken):
        return
    for name in cell.author_parameters():
        if name not in {each.name for each in taken}:
            raise InputError(
                f"{type(cell).__name__}.update does not take the parameter {name!r}, which the "
                f"cell registers: add {name} to its arguments"
            )


def _try_plainly(cell: GatedCell) -> None:
    """Run `update` as the reference engine would: where that fails too, no engine can run it."""
    generator = torch.Generator().manual_seed(0)

    def make() -> Tensor:
        size = (3, cell.hidden_size)
        return torch.rand(size, generator=generator, dtype=cell.bias.dtype).to(cell.bias.device)

    with torch.no_grad():
        x, h = (tuple(make() for _ in range(cell.gates)) for _ in range(2))
        state = tuple(make() for _ in range(cell.states))
        try:
            cell.update(x, h, state, **cell.author_parameters())
        except Exception as error:
            what, advice = describe(error)
            raise InputError(
                f"{type(cell).__name__}.update fails on gates and state [3, {cell.hidden_size}]: "
                f"{what}; {advice}"
            ) from error


def _trace(cell: GatedCell, masks: Sequence[str], keep: Sequence[bool], rows: int) -> Pointwise:
    size, gates, leaves = cell.hidden_size, cell.gates, cell.states
    graph = Graph()
    tracer = Tracer(graph, rows, size)
    generator = torch.Generator().manual_seed(rows)

    def enter(name: str, shape: Sequence[int], *, wide: bool) -> tuple[Tensor, Value]:
        tensor = torch.rand(shape, generator=generator, dtype=cell.bias.dtype) + 0.25
        value = graph.add_input(name, wide=wide)
        tracer.enter(tensor, value)
        return tensor.requires_grad_(), value

    def enter_rows(letter: str, count: int) -> tuple[list[Tensor], list[Value]]:
        made = [enter(f"{letter}{i}", (rows, size), wide=True) for i in range(count)]
        return [tensor for tensor, _ in made], [value for _, value in made]

    x, x_values = enter_rows("x", gates)
    h, h_values = enter_rows("h", gates)
    state, state_values = enter_rows("s", leaves)
    kept_old, keep_values = enter_rows("keep", sum(keep))
    gradients, gradient_values = enter_rows("d", leaves)
    parameters: dict[str, Tensor] = {}
    parameter_values: dict[str, Value] = {}
    for name, parameter in cell.author_parameters().items():
        if parameter.shape not in ((size,), (1,), ()):
            raise UntraceableError(
                f"the parameter {name!r} is {list(parameter.shape)}: the engine takes [{size}], "
                "one number for each feature, or a single number"
            )
        wide = parameter.shape == (size,)
        parameters[name], parameter_values[name] = enter(f"p_{name}", parameter.shape, wide=wide)
    given: dict[str, Tensor] = {}
    mask_values: dict[str, Value] = {}
    for name in masks:
        given[name], mask_values[name] = enter(f"m_{name}", (rows, size), wide=True)

    with torch.enable_grad(), tracer:
        with Watch(tracer):
            new = cell.update(tuple(x), tuple(h), tuple(state), **parameters, **given)
        check_state(cell, new, tuple(state))
        old = iter(kept_old)
        mixed = [
            share * before + (1 - share) * after
            if wanted and (share := next(old)) is not None
            else after
            for after, before, wanted in zip(new, state, keep or [False] * leaves, strict=True)
        ]
        new_values = [tracer.value(leaf, "the new state") for leaf in mixed]
        inputs = [*x, *h, *state, *parameters.values()]
        pairs = [(o, d) for o, d in zip(mixed, gradients, strict=True) if o.requires_grad]
        tracer.in_backward = True
        # A sum, since for gradients that are given torch imports sympy, which takes a second.
        total = sum((o * d).sum() for o, d in pairs)
        found: Sequence[Tensor | None] = [None] * len(inputs)
        if isinstance(total, Tensor):
            found = torch.autograd.grad(total, inputs, allow_unused=True)
        values = [
            graph.add_constant(0.0) if g is None else tracer.value(g, "a gradient") for g in found
        ]
    x_end, h_end = gates, 2 * gates
    state_end = h_end + leaves
    # Where there is one feature, torch need not sum over it.
    for index, given_value in enumerate(parameter_values.values(), start=state_end):
        if graph.nodes[values[index]].wide and not graph.nodes[given_value].wide:
            values[index] = graph.add("sum", values[index])
    pointwise = merge(
        Pointwise(
            graph=graph,
            x_gates=tuple(x_values),
            h_gates=tuple(h_values),
            states=tuple(state_values),
            parameters=parameter_values,
            masks=mask_values | {f"keep {i}": v for i, v in enumerate(keep_values)},
            gradients=tuple(gradient_values),
            new_states=tuple(new_values),
            x_gradients=tuple(values[:x_end]),
            h_gradients=tuple(values[x_end:h_end]),
            state_gradients=tuple(values[h_end:state_end]),
            parameter_gradients=dict(zip(parameters, values[state_end:], strict=True)),
            merged=(False,) * gates,
            detaches=tracer.detaches,
        )
    )
    return replace(pointwise, kept=choose_kept(pointwise))
