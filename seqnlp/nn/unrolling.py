"""Unrolling: one cell over the rows of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import engines
from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.engines.padding import Padding


def unroll(
    cell: Cell,
    x: Tensor,
    lengths: Tensor | None = None,
    state: State | None = None,
    *,
    reverse: bool = False,
    engine: str = "auto",
) -> tuple[Tensor, State]:
    """Run a cell over every row of a padded batch.

    What stands on padding changes neither results nor gradients.

    Args:
        cell: any recurrence; its `forward` is one step.
        x: float [B, T, I].
        lengths: int64 [B], each in 0..T; None where every row is full.
        state: before the first step; None for the cell's initial state.
        reverse: read each row from its last real step to its first.
        engine: a registered name, or "auto" for the fastest that runs the cell.

    Returns:
        Outputs, float [B, T, H], each at the time of its input and zero on padding; the state
        after the last step read of each row, which for an empty row is the one before the first.

    Raises:
        InputError: shapes, lengths or engine do not suit the cell.
    """
    x, padding, state = _prepare(cell, x, lengths, state)
    chosen = engines.select(engine, cell, x, None, padding)
    if x.shape[0] == 0 or x.shape[1] == 0:
        return x.new_zeros(*x.shape[:2], cell.hidden_size), state
    outputs, final = chosen.run(cell, x, padding, state, reverse=reverse, want_state=True)
    assert final is not None
    return outputs, final


def unroll_states(
    cell: Cell,
    x: Tensor,
    lengths: Tensor | None = None,
    state: State | None = None,
    *,
    reverse: bool = False,
    engine: str = "auto",
) -> tuple[State, State]:
    """`unroll`, giving the whole state after each step: for a look at what a cell remembers.

    Args:
        cell: see `unroll`, and so are the others.
        x: float [B, T, I].
        lengths: int64 [B].
        state: before the first step.
        reverse: read each row from its last real step to its first.
        engine: a registered name, or "auto".

    Returns:
        The leaves of the state as they were after each step, [B, T, ...], each at the time of its
        input and zero on padding; the final state.

    Raises:
        InputError: shapes, lengths or engine do not suit the cell.
    """
    x, padding, state = _prepare(cell, x, lengths, state)
    if engine == engines.AUTO:
        fused = engines.find("fused").supports(cell, x) and isinstance(cell, GatedCell)
        engine = "fused" if fused else "reference"
    chosen = engines.select(engine, cell, x, None, padding)
    if x.shape[0] == 0 or x.shape[1] == 0:
        return tuple(leaf.new_zeros(*x.shape[:2], *leaf.shape[1:]) for leaf in state), state
    return chosen.run_states(cell, x, padding, state, reverse=reverse)


def check_input(x: Tensor, size: int) -> None:
    """Refuse what is not float [B, T, size].

    Raises:
        InputError: the shape is another.
    """
    if x.dim() != 3 or x.shape[2] != size:
        raise InputError(f"x must be float [B, T, {size}], not {list(x.shape)}")


def _prepare(
    cell: Cell, x: Tensor, lengths: Tensor | None, state: State | None
) -> tuple[Tensor, Padding | None, State]:
    check_input(x, cell.input_size)
    padding = Padding.of(lengths, x)
    first = cell.initial_state(x.shape[0])
    state = first if state is None else _check_state(cell, state, first)
    return x if padding is None else padding.zero(x), padding, state


def _check_state(cell: Cell, state: State, first: State) -> State:
    """Refuse a state that is not like the cell's initial one, which engines may not notice."""
    found = [(list(leaf.shape), leaf.dtype) for leaf in state]
    wanted = [(list(leaf.shape), leaf.dtype) for leaf in first]
    if found != wanted:
        raise InputError(
            f"the state of {type(cell).__name__} must be {_describe(wanted)}, "
            f"not {_describe(found)}"
        )
    return state


def _describe(leaves: list[tuple[list[int], torch.dtype]]) -> str:
    shapes = [f"{str(dtype).removeprefix('torch.')} {shape}" for shape, dtype in leaves]
    return f"({', '.join(shapes)})"
