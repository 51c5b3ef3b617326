"""Backpropagation through time that reaches back a bounded number of steps."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn import engines
from seqnlp.nn.cells.base import Cell, State
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.noise import Noise


def run_truncated(
    cell: Cell,
    x: Tensor,
    padding: Padding | None,
    state: State,
    *,
    steps: int,
    engine: str,
    reverse: bool = False,
    noise: Noise | None = None,
) -> tuple[Tensor, State]:
    """`Engine.run`, with the state detached after every so many steps of each row.

    The values are the same. A gradient reaches back through the recurrence to the beginning of its
    stretch of `steps` and no further; stretches begin at the first step that is read, which in
    reverse is a row's last.

    Args:
        cell: see `Engine.run`, and so are `x`, `padding`, `state`, `reverse` and `noise`.
        steps: of a stretch, at least 1.
        engine: a registered name, or "auto".
    Source: Williams and Peng 1990, "An efficient gradient-based algorithm for on-line training of
        recurrent network trajectories", section 3, with k1 = k2.
    """

    def turned(each: Tensor) -> Tensor:
        return each.flip(1) if padding is None else padding.reverse(each)

    if reverse:
        x, noise = turned(x), noise and noise.map(turned)
    outputs = []
    for begin in range(0, x.shape[1], steps):
        stretch = slice(begin, begin + steps)
        part = x[:, stretch]
        ends = None if padding is None else (padding.lengths - begin).clamp(0, part.shape[1])
        inner = Padding.of(ends, part)
        masks = noise and noise.map(lambda mask, stretch=stretch: mask[:, stretch])  # type: ignore[misc]
        chosen = engines.select(engine, cell, part, masks, inner)
        output, final = chosen.run(
            cell, part, inner, state, reverse=False, want_state=True, noise=masks
        )
        assert final is not None
        state = tuple(leaf.detach() for leaf in final) if stretch.stop < x.shape[1] else final
        outputs.append(output)
    whole = torch.cat(outputs, dim=1)
    return (turned(whole) if reverse else whole), state
