"""The check that a step returns the leaves of its state in the order in which it reads them."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn import Cell, GatedCell, Role
from seqnlp.testing.cells.subject import CellSubject, draw, is_real_valued, start_of, weigh
from seqnlp.testing.contract import Skip, Violation

_FAR = 40.0
"""A gate's bias at which its sigmoid is 0 or 1."""


def check_order(subject: CellSubject) -> None:
    """No leaf is carried on in the place of another.

    Two looks: what a saturated gate carries on from one leaf to another only, never to itself; and
    the names that the code reads from the state and returns.
    """
    cell = subject.make()
    if len(cell.initial_state(1)) < 2:
        raise Skip("the state has one leaf")
    place, method = _step_of(cell)
    idle = _idle_leaf(subject)
    if idle is not None:
        raise Violation(
            f"{place} neither changes nor reads leaf {idle} of the state",
            "return its new value, not the one that was read, and read the leaf that is meant; or "
            "leave it out of the state",
        )
    moved = _moved_leaf(cell)
    if moved is not None:
        old, new = moved
        raise Violation(
            f"{place} reads leaf {old} of the state as memory and returns it as leaf {new}",
            "return the leaves in the order in which they are read: h, c = state, then return h, c",
        )
    swapped = _swapped_names(method)
    if swapped is not None:
        read, returned = swapped
        raise Violation(
            f"{place} reads the state as ({', '.join(read)}) and returns ({', '.join(returned)})",
            "return the leaves in the order in which they are read",
        )


def _step_of(cell: Cell) -> tuple[str, Callable[..., Any]]:
    if isinstance(cell, GatedCell):
        return f"{type(cell).__name__}.update", type(cell).update
    return f"{type(cell).__name__}.forward", type(cell).forward


def _idle_leaf(subject: CellSubject) -> int | None:
    """A leaf that a step hands on as it is and on which nothing else depends."""
    cell = subject.make_moved()
    state = tuple(
        torch.randn_like(leaf).requires_grad_() if is_real_valued(leaf) else leaf
        for leaf in cell.initial_state(4)
    )
    output, after = cell(draw(4, cell.input_size), state)
    for index, leaf in enumerate(state):
        if not leaf.requires_grad or not torch.equal(after[index], leaf):
            continue
        others = (output, *(each for at, each in enumerate(after) if at != index))
        total = weigh(others[0], others[1:])
        if not total.requires_grad:
            return index
        (found,) = torch.autograd.grad(total, leaf, allow_unused=True, retain_graph=True)
        if found is None or not bool(found.any()):
            return index
    return None


def _moved_leaf(cell: Cell) -> tuple[int, int] | None:
    """A leaf that some gate, when saturated, carries on as another and none as itself."""
    size = len(cell.initial_state(1))
    base = _carried(cell)
    found: set[tuple[int, int]] = set()
    for bias in _gate_biases(cell):
        before = bias.detach().clone()
        for value in (_FAR, -_FAR):
            with torch.no_grad():
                bias.fill_(value)
            found |= _carried(cell)
        with torch.no_grad():
            bias.copy_(before)
    for old in range(size):
        elsewhere = [new for new in range(size) if new != old and (old, new) in found - base]
        if elsewhere and (old, old) not in found | base:
            return old, elsewhere[0]
    return None


def _gate_biases(cell: Cell) -> Iterator[Tensor]:
    """The bias of each gate, or of those that are known to make the cell remember."""
    if isinstance(cell, GatedCell):
        yield from cell.bias.chunk(cell.gates)
        return
    for role, block in cell.weight_blocks():
        if role is Role.FORGET_BIAS:
            yield block


def _carried(cell: Cell) -> set[tuple[int, int]]:
    """The pairs (old, new) of leaves such that the derivative of new by old is exactly one."""
    torch.manual_seed(1)
    state = start_of(cell)
    pairs = set()
    _, after = cell(draw(len(state[0]), cell.input_size), state)
    for new, leaf in enumerate(after):
        if not (leaf.is_floating_point() and leaf.requires_grad):
            continue
        wanted = [old for old, before in enumerate(state) if before.requires_grad]
        found = torch.autograd.grad(
            leaf.sum(), [state[old] for old in wanted], retain_graph=True, allow_unused=True
        )
        for old, gradient in zip(wanted, found, strict=True):
            if gradient is not None and gradient.is_floating_point() and _is_one(gradient):
                pairs.add((old, new))
    return pairs


def _is_one(gradient: Tensor) -> bool:
    return bool(((gradient - 1).abs() < 1e-9).all())


def _swapped_names(method: Callable[..., Any]) -> tuple[list[str], list[str]] | None:
    """The names that a method unpacks its state into and those that it returns, if swapped."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    except (OSError, TypeError, SyntaxError):
        return None
    function = tree.body[0]
    if not isinstance(function, ast.FunctionDef):
        return None
    names = [argument.arg for argument in function.args.args]
    state = "state" if "state" in names else names[-1]
    read, targets = _unpacked(function, state)
    for node in ast.walk(function):
        if not isinstance(node, ast.Return) or not isinstance(node.value, ast.Tuple):
            continue
        leaves: ast.expr = node.value
        if method.__name__ == "forward":
            leaves = node.value.elts[-1]
        returned = _names(leaves)
        if len(read) < 2 or len(returned) != len(read):
            continue
        meant = [name if name in read else _stem(name) for name in returned]
        # A name that is passed on as it was read is a delay, which may stand anywhere.
        fresh = all(name not in read or _is_set_again(function, name, targets) for name in returned)
        if fresh and meant != read and sorted(meant) == sorted(read):
            return read, returned
    return None


def _unpacked(function: ast.FunctionDef, state: str) -> tuple[list[str], list[ast.expr]]:
    """The names in `h, c = state`, and the places where they are set there."""
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Name)
            and node.value.id == state
            and isinstance(node.targets[0], ast.Tuple)
        ):
            return _names(node.targets[0]), node.targets[0].elts
    return [], []


def _names(node: ast.expr) -> list[str]:
    """The names in a tuple of nothing but names."""
    if not isinstance(node, ast.Tuple):
        return []
    found = [each.id for each in node.elts if isinstance(each, ast.Name)]
    return found if len(found) == len(node.elts) else []


def _is_set_again(function: ast.FunctionDef, name: str, unpacking: list[ast.expr]) -> bool:
    return any(
        isinstance(node, ast.Name)
        and isinstance(node.ctx, ast.Store)
        and node.id == name
        and node not in unpacking
        for node in ast.walk(function)
    )


def _stem(name: str) -> str:
    """The name without what marks a new value: "new_c", "c_next" and "c2" are "c"."""
    return re.sub(r"^(new|next)_|_(new|next|t)$|_?\d+$", "", name)
