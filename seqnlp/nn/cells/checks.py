"""What an author's methods return, refused where no engine can go on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.nn.cells.base import Cell, GatedCell, State


def check_state(cell: GatedCell, new: object, state: State) -> None:
    """Refuse what an `update` returned where it cannot be a state like the one before.

    Raises:
        InputError: it is no tuple of as many tensors of the same shapes.
    """
    if isinstance(new, tuple) and len(new) == len(state):
        wrong = [
            list(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__
            for leaf, before in zip(new, state, strict=True)
            if not isinstance(leaf, Tensor) or leaf.shape != before.shape
        ]
        if not wrong:
            return
        found = f"the leaf {wrong[0]}: expected a tensor [B, H], here {list(state[0].shape)}"
    else:
        form = "(h,)" if len(state) == 1 else "h, c" if len(state) == 2 else "all of them"
        count = "one tensor" if len(state) == 1 else f"{len(state)} tensors"
        kind = f"a tuple of {len(new)}" if isinstance(new, tuple) else f"a {type(new).__name__}"
        found = f"{kind}: expected a tuple of {count}, return {form}"
    raise InputError(f"{type(cell).__name__}.update returned {found}")


def check_mix(cell: Cell, found: object) -> tuple[Tensor, Tensor]:
    """What a `mix` returned.

    Raises:
        InputError: it is no pair of tensors.
    """
    if isinstance(found, tuple) and len(found) == 2:
        a, b = found
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a, b
    kind = f"a tuple of {len(found)}" if isinstance(found, tuple) else f"a {type(found).__name__}"
    raise InputError(
        f"{type(cell).__name__}.mix returned {kind}; return what the state is scaled by and what "
        "is added to it, two tensors: return a, b"
    )


def check_step(cell: Cell, result: object, state: State) -> tuple[Tensor, State]:
    """What a step gave, refused where it is no output and state like the one before.

    Args:
        cell: whose `forward` gave it.
        result: what it gave.
        state: what it was given, B rows.

    Raises:
        InputError: it is no output [B, H] with a tuple of leaves of the same shapes and types.
    """
    name = f"{type(cell).__name__}.forward"
    output, new = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    leaves = isinstance(new, tuple) and all(isinstance(leaf, Tensor) for leaf in new)
    if not isinstance(output, Tensor) or not leaves:
        each = result if isinstance(result, tuple) else (result,)
        found = ", ".join(type(one).__name__ for one in each)
        raise InputError(
            f"{name} returned ({found}), not an output and a tuple of tensors; return both: "
            "return output, (h, c), or return h, (h,) with a comma where there is one"
        )
    if output.dim() != 2 or output.shape[1] != cell.hidden_size:
        raise InputError(
            f"{name} gave the output {list(output.shape)}; make it [B, {cell.hidden_size}], "
            "hidden_size numbers a row"
        )
    assert isinstance(new, tuple)
    given, gave = ([describe_leaf(leaf) for leaf in each] for each in (state, new))
    if gave != given:
        advice = "return as many leaves as initial_state, of the same shapes and types"
        if sorted(gave) == sorted(given):
            advice = "return the leaves in the order of initial_state, in which they are read"
        raise InputError(
            f"{name} was given a state of {', '.join(given)} and gave one of "
            f"{', '.join(gave) or 'no leaf'}; {advice}"
        )
    return output, new


def check_initial(cell: Cell, state: object) -> None:
    """Refuse what an `initial_state` gave where it is no tuple of tensors.

    Raises:
        InputError: it is something else.
    """
    if isinstance(state, tuple) and all(isinstance(leaf, Tensor) for leaf in state):
        return
    raise InputError(
        f"{type(cell).__name__}.initial_state returned a {type(state).__name__}; "
        "return a tuple of tensors: return (h,), with a comma where there is one"
    )


def describe_leaf(leaf: Tensor) -> str:
    """Type and shape: "float32 [2, 3]"."""
    return f"{str(leaf.dtype).removeprefix('torch.')} {list(leaf.shape)}"
