"""Checks of a single step: what it takes and gives, and what it must leave alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn import Cell, State, unroll
from seqnlp.nn.cells.checks import check_initial, check_step, describe_leaf
from seqnlp.testing.cells.subject import (
    EXACT,
    B,
    CellSubject,
    D,
    H,
    T,
    distance,
    draw,
    is_real_valued,
    start_of,
    weigh,
)
from seqnlp.testing.contract import Violation
from seqnlp.testing.tensors import contents

# Different from H, D and each other, so that no axis passes for another.
_ROWS = 5


def check_class(subject: CellSubject) -> None:
    """What is registered is a subclass of `Cell`."""
    factory = subject.part.factory
    if isinstance(factory, type) and issubclass(factory, Cell):
        return
    found = f"the class {factory.__name__}" if isinstance(factory, type) else "a function"
    raise Violation(
        f"{found} is registered, which is no Cell",
        "register a class that derives from seqnlp.GatedCell, seqnlp.LinearCell or seqnlp.Cell",
    )


def check_made(subject: CellSubject) -> None:
    """It can be made from its two sizes, keeps them, and its weights have values."""
    for sizes in ((D, H), (H, H), (1, 1)):
        try:
            cell = subject.make(*sizes)
        except InputError:
            if sizes == (1, 1):
                continue  # one that works on pairs, or with heads, may refuse a size by a message
            raise
        kept = (cell.input_size, cell.hidden_size)
        if kept != sizes:
            raise Violation(
                f"made with input_size={sizes[0]} and hidden_size={sizes[1]} it has {kept[0]} and "
                f"{kept[1]}",
                "give both to super().__init__(input_size, hidden_size) and set them nowhere else",
            )
    with _nan_where_unset():
        parameters = dict(subject.make().named_parameters())
    if not parameters:
        raise Violation(
            "it has no parameters",
            "make weights in __init__, after super().__init__: self.weight = nn.Parameter(...)",
        )
    for name, parameter in parameters.items():
        if bool(parameter.isnan().any()):
            raise Violation(
                f"the parameter {name!r} begins with whatever lay in memory",
                f"give it values in __init__: torch.zeros(...), or nn.init.uniform_(self.{name})",
            )


@contextmanager
def _nan_where_unset() -> Iterator[None]:
    """Run where torch.empty gives NaN, as it does in torch's deterministic mode."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def check_shapes(subject: CellSubject) -> None:
    """A step gives float [B, H] and a state like the one that it was given, in either precision."""
    for dtype in (torch.float32, torch.float64):
        cell = subject.make(dtype=dtype)
        state = cell.initial_state(_ROWS)
        check_initial(cell, state)
        _check_leaves(state, dtype)
        with torch.no_grad():
            output, _ = check_step(cell, cell(draw(_ROWS, D, dtype=dtype), state), state)
        if len(output) != _ROWS or output.dtype != dtype:
            raise Violation(
                f"the output of {_ROWS} rows is {describe_leaf(output)} where weights and inputs "
                f"are {_name(dtype)}",
                f"make it [{_ROWS}, {H}] here, a row for each, and cast nothing",
            )
    _check_device(subject.make())


def _check_leaves(state: State, dtype: torch.dtype) -> None:
    for index, leaf in enumerate(state):
        if leaf.dim() == 0 or len(leaf) != _ROWS:
            raise Violation(
                f"leaf {index} of initial_state({_ROWS}) is {describe_leaf(leaf)}",
                f"make its first axis the rows: new_zeros(batch_size, ...), here [{_ROWS}, ...]",
            )
        if leaf.is_floating_point() and leaf.dtype != dtype:
            raise Violation(
                f"leaf {index} of initial_state is {describe_leaf(leaf)} where the weights are "
                f"{_name(dtype)}",
                "make it like a weight: self.weight.new_zeros(...), not torch.zeros(...)",
            )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _check_device(cell: Cell) -> None:
    """Leaves are made where the weights are: seen on torch's device for shapes alone."""
    try:
        state = cell.to("meta").initial_state(_ROWS)
    except (RuntimeError, NotImplementedError):
        return  # it computes what it begins with, which has no values there
    for index, leaf in enumerate(state):
        if not leaf.is_meta:
            raise Violation(
                f"leaf {index} of initial_state is on the CPU wherever the weights are",
                "make it like a weight: self.weight.new_zeros(...), or with device=",
            )


def check_sizes(subject: CellSubject) -> None:
    """No row, one row, one step and none at all run as others do."""
    cell = subject.make_moved()
    with torch.no_grad():
        for rows in (0, 1):
            state = cell.initial_state(rows)
            output, new = cell(draw(rows, D), state)
            if list(output.shape) != [rows, H]:
                raise Violation(
                    f"the output of {rows} rows is {list(output.shape)}",
                    f"keep the axis of rows, [{rows}, {H}], whatever its size: no squeeze()",
                )
            check_step(cell, (output, new), state)
        for rows, time in ((0, T), (1, T), (B, 1), (B, 0)):
            outputs, _ = unroll(cell, draw(rows, time, D))
            if list(outputs.shape) != [rows, time, H]:
                raise Violation(
                    f"{rows} rows of {time} steps give {list(outputs.shape)}",
                    f"keep the axis of rows, whatever its size: [{rows}, {H}] at each step",
                )


def check_in_place(subject: CellSubject) -> None:
    """A step leaves its arguments and parameters alone, and nothing that a gradient needs."""
    for training in (False, True):
        cell = subject.make_moved(training=training)
        x, state = draw(B, D), tuple(leaf.detach() for leaf in start_of(cell))
        given = {"x": x, **{f"leaf {i} of the state": leaf for i, leaf in enumerate(state)}}
        own: dict[str, Tensor] = {**dict(cell.named_parameters())}
        own |= {} if training else dict(cell.named_buffers())
        kept = {name: tensor.detach().clone() for name, tensor in (given | own).items()}
        with torch.no_grad():
            cell(x, state)
        for name, tensor in (given | own).items():
            if not torch.equal(to_comparable(tensor), to_comparable(kept[name])):
                raise Violation(
                    f"a step changes {name if name in given else f'the tensor self.{name}'}",
                    "make a new tensor in place of changing one: h = f * h, not h *= f, "
                    "h.mul_(f) or h[:] = ...",
                )
        output, new = cell(x.requires_grad_(), state)
        if weigh(output, new).requires_grad:
            weigh(output, new).backward()  # type: ignore[no-untyped-call]


def to_comparable(tensor: Tensor) -> Tensor:
    """The bits of a tensor, in which NaN equals itself."""
    return tensor.detach().nan_to_num(1e9) if is_real_valued(tensor) else tensor.detach()


def check_forgets(subject: CellSubject) -> None:
    """What a step gives depends on its arguments alone: nothing is kept on the module."""
    cell = subject.make_moved()
    before = set(dict(cell.named_parameters()))
    tensors = _plain_tensors(cell)
    x, other = draw(B, T, D), draw(B, T, D)
    state = cell.initial_state(B)
    with torch.no_grad():
        first, _ = unroll(cell, x, state=state, engine="reference")
        unroll(cell, other, state=state, engine="reference")
        again, _ = unroll(cell, x, state=state, engine="reference")
    made = sorted(set(dict(cell.named_parameters())) - before)
    if made:
        raise Violation(
            f"a step registers the parameter {made[0]!r}, which the optimizer then does not know",
            f"make self.{made[0].split('.')[0]} in __init__",
        )
    off = distance(again, first)
    if not off <= EXACT:
        raise Violation(
            f"the same inputs give other outputs after another batch: they differ by {off:.2g}",
            "keep what a step remembers in the state that it returns and nothing on self; draw "
            "nothing from a generator of its own",
        )
    kept = [name for name, tensor in _plain_tensors(cell).items() if tensors.get(name) != tensor]
    if kept:
        raise Violation(
            f"a step keeps a tensor on the module: self.{kept[0]}",
            "keep what a step remembers in the state that it returns, and nothing on self",
        )


def _plain_tensors(cell: nn.Module) -> dict[str, tuple[int, ...]]:
    """The attributes of a module and its parts that are or hold tensors, and which they are."""
    return {
        f"{path}.{name}" if path else name: tuple(map(id, contents(value)))
        for path, module in cell.named_modules()
        for name, value in vars(module).items()
        if any(isinstance(each, Tensor) for each in contents(value))
    }


def check_certain(subject: CellSubject) -> None:
    """In evaluation a step draws no random numbers, from any generator."""
    cell = subject.make_moved()
    x, state = draw(B, D), cell.initial_state(B)
    before = _generators()
    with torch.no_grad():
        cell(x, state)
    if _generators() != before:
        raise Violation(
            "a step draws random numbers in evaluation",
            "draw where self.training is set alone (F.dropout(..., training=self.training)), "
            "begin a state with zeros, and make layers in __init__, not in a step",
        )


def _generators() -> object:
    """Where the global generators of random numbers stand."""
    return torch.random.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())
