"""Linear recurrences over whole rows: the coefficients in one go, then one pass over time."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn.cells.base import State
from seqnlp.nn.cells.linear import GatedLinearCell, LinearCell, windows
from seqnlp.nn.engines.affine import OwnProducts
from seqnlp.nn.engines.gated_linear import find_kernel, run_kernel
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.scan import Scanner, scan


def run_linear(
    cell: LinearCell,
    x: Tensor,
    padding: Padding | None,
    state: State,
    *,
    reverse: bool,
    want_state: bool,
    scanner: Scanner | None = None,
) -> tuple[Tensor, State | None]:
    """Run a linear cell over every row; see `Engine.run`.

    `scanner` takes the states from coefficients; None leaves all to the CPU's kernels.
    """
    # The kernel reads rows from either end. What looks back at inputs has to be turned round.
    turned = reverse and cell.window > 1
    if turned:
        x = x.flip(1) if padding is None else padding.reverse(x)
    seen = x if cell.window == 1 else torch.cat([state[1], x], dim=1)
    backward = reverse and not turned
    with OwnProducts():
        states, last = _states(cell, seen, state[0], padding, scanner, reverse=backward)
        outputs = cell.output(states, seen)
    if padding is not None and outputs is not states:
        outputs = padding.zero(outputs)
    if turned:
        outputs = outputs.flip(1) if padding is None else padding.reverse(outputs)
    if not want_state:
        return outputs, None
    return outputs, (last,) if cell.window == 1 else (last, _tail(seen, x.shape[1], padding))


def _states(
    cell: LinearCell,
    seen: Tensor,
    first: Tensor,
    padding: Padding | None,
    scanner: Scanner | None,
    *,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    if scanner is None and isinstance(cell, GatedLinearCell):
        kernel = find_kernel(cell, seen, first)
        if kernel is not None:
            x = windows(seen, cell.window)
            return run_kernel(kernel, cell, x, first, padding, reverse=reverse)
    a, b = cell.coefficients(seen)
    return scan(a, b, first, padding, reverse=reverse, scanner=scanner)


def _tail(seen: Tensor, time: int, padding: Padding | None) -> Tensor:
    """The last inputs of each row of seen [B, k - 1 + T, I], [B, k - 1, I]."""
    if padding is None:
        return seen[:, time:]
    steps = torch.arange(seen.shape[1] - time, device=seen.device)
    index = (padding.lengths.unsqueeze(1) + steps).unsqueeze(2)
    return seen.gather(1, index.expand(-1, -1, seen.shape[2]))
