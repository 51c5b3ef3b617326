"""Bridges: from an encoder's summary to the state that a decoder's cell begins in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError, UnknownNameError
from seqnlp.nn.affine import Affine
from seqnlp.nn.cells.base import Cell, State

BRIDGES = ("none", "tanh", "linear", "copy")


class Bridge(nn.Module):
    r"""Gives the leaves of a state that are float [B, n] what the summary s says.

    - "none": nothing; the cell's own initial state.
    - "tanh": tanh(W s + b), a row of W for each number (Bahdanau et al. 2015, arXiv:1409.0473,
      appendix A.2.2, of the whole summary and with a bias).
    - "linear": W s + b.
    - "copy": s itself.

    Other leaves, such as counters, windows or complex numbers, keep what the cell begins with. So
    do all but the first where there are more than two, which mean nothing one by one: in the place
    of a normalizer any number would do harm.

    Args:
        kind: one of `BRIDGES`.
        summary_size: features of the summary.
        cell: whose states are to be made.

    Raises:
        UnknownNameError: no bridge has that name.
        InputError: "copy", and no leaf has the summary's size.
    """

    def __init__(self, kind: str, summary_size: int, cell: Cell) -> None:
        super().__init__()
        if kind not in BRIDGES:
            raise UnknownNameError("bridge", kind, BRIDGES)
        start = cell.initial_state(1)
        reached = [
            index
            for index, leaf in enumerate(start)
            if leaf.is_floating_point() and leaf.dim() == 2
        ]
        reached = reached[:1] if len(reached) > 2 else reached
        if kind == "none":
            reached = []
        if kind == "copy":
            sizes = sorted({start[index].shape[1] for index in reached})
            reached = [index for index in reached if start[index].shape[1] == summary_size]
            if not reached:
                other = f", or head.decoder_hidden_size = {summary_size}" if sizes else ""
                raise InputError(
                    f"the bridge 'copy' needs a state of {summary_size} features, as the summary "
                    f"has, but that of {type(cell).__name__} has {_join(sizes)}; use 'tanh', which "
                    f"maps one to the other{other}"
                )
        self.kind = kind
        self.reached = tuple(reached)
        self.sizes = tuple(start[index].shape[1] for index in reached)
        maps = kind in {"tanh", "linear"} and bool(reached)
        self.map = Affine(summary_size, sum(self.sizes)) if maps else None

    def forward(self, summary: Tensor, start: State) -> State:
        """The state of B rows.

        Args:
            summary: float [B, summary_size].
            start: the cell's initial state.
        """
        state = list(start)
        if self.map is not None:
            mapped = self.map(summary)
            mapped = torch.tanh(mapped) if self.kind == "tanh" else mapped
            for index, leaf in zip(self.reached, mapped.split(self.sizes, dim=1), strict=True):
                state[index] = leaf
        elif self.kind == "copy":
            for index in self.reached:
                state[index] = summary
        return tuple(state)

    def extra_repr(self) -> str:
        """Kind, for printing."""
        return repr(self.kind)


def _join(sizes: list[int]) -> str:
    return " and ".join(map(str, sizes)) if sizes else "none that it could reach"
