"""Tracing: the pointwise part of a gated cell, written on torch operations, becomes a graph.

`update` runs once, on a few rows of numbers, while every operation that torch dispatches is written
down; then autograd runs through it, and its operations are written down too. So no author writes a
gradient, and sizes of batches or lengths never enter the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import GatedCell
from seqnlp.nn.engines.graph import Graph, Pointwise, Value, choose_kept, merge
from seqnlp.nn.engines.recorder import Tracer, UntraceableError, Watch


@torch.inference_mode(False)  # where it is asked for first, gradients may be off
def trace(cell: GatedCell, *, masks: Sequence[str] = (), keep: Sequence[bool] = ()) -> Pointwise:
    """Trace what a step computes between its products, and its gradients.

    Args:
        cell: its `update` is called once.
        masks: the keywords of `update` that get a mask.
        keep: which leaves are mixed with their old value, see `Noise`.

    Raises:
        UntraceableError: `update` does something that is not pointwise, or fails.
        InputError: `update` returns no state.
    """
    try:
        return _trace(cell, masks, keep)
    except (UntraceableError, InputError):
        raise
    except Exception as error:
        # Where the author is wrong, the reference loop says so with the place; else it works.
        reason = (str(error).splitlines() or [""])[0]
        raise UntraceableError(
            f"it failed on a few rows: {type(error).__name__}: {reason}"
        ) from error


def _trace(cell: GatedCell, masks: Sequence[str], keep: Sequence[bool]) -> Pointwise:
    size, gates, leaves = cell.hidden_size, cell.gates, cell.states
    rows = 3 if size != 3 else 5
    graph = Graph()
    tracer = Tracer(graph, rows, size)
    generator = torch.Generator().manual_seed(0)

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
        _check_state(cell, new, state)
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
            masks=mask_values | {f"keep{i}": v for i, v in enumerate(keep_values)},
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


def _check_state(cell: GatedCell, new: object, state: Sequence[Tensor]) -> None:
    """Refuse what is no state: no engine can do anything with it."""
    what = f"{type(cell).__name__}.update returned"
    if not isinstance(new, tuple) or len(new) != len(state):
        found = f"{len(new)} leaves" if isinstance(new, tuple) else f"a {type(new).__name__}"
        raise InputError(f"{what} {found}: expected a tuple of {len(state)}")
    for leaf, before in zip(new, state, strict=True):
        if not isinstance(leaf, Tensor):
            raise InputError(f"{what} a leaf that is a {type(leaf).__name__}: expected a tensor")
        if leaf.shape != before.shape:
            raise InputError(
                f"{what} a leaf {list(leaf.shape)}: expected [B, H], here {list(before.shape)}"
            )
