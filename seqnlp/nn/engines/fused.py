"""The fused engine: one compiled call for a whole sequence, from any gated cell's `update`."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.cells.linear import LinearCell
from seqnlp.nn.cells.quantized import QuantizedCell
from seqnlp.nn.engines.affine import OwnProducts
from seqnlp.nn.engines.base import Engine
from seqnlp.nn.engines.gated import run_gated
from seqnlp.nn.engines.inference import Prepared, prepare, run_prepared
from seqnlp.nn.engines.linear import run_linear
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.plans import find_obstacle, find_plan
from seqnlp.nn.engines.quantized import run_quantized
from seqnlp.nn.engines.transforms import OBSTACLE, transforming
from seqnlp.nn.noise import Noise

# A step of fewer rows is over before its products could be made faster.
_FEW_ROWS = 16


class FusedEngine(Engine):
    """Runs gated and linear cells in one compiled call for a whole sequence, on the CPU.

    The products with the inputs of all steps are one; a step makes one product with the last
    output and one call of the pointwise part, both compiled. Rows are sorted by length and step t
    works on those that still run, so that padding costs nothing. Where nothing can be compiled the
    same traced operations run in a loop.
    """

    name: ClassVar[str] = "fused"

    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """The cell must be linear, or gated and traceable; all float32 or float64 on the CPU."""
        if x.device.type != "cpu":
            return f"it runs on the CPU, and the input is on {x.device.type}"
        if transforming():
            return OBSTACLE
        if isinstance(cell, LinearCell):
            if noise is not None:
                return "dropout inside a recurrence needs a GatedCell"
            if type(cell).forward is not LinearCell.forward:
                return f"{type(cell).__name__} has a step of its own"
            return None
        if isinstance(cell, QuantizedCell):
            if x.dtype != torch.float32:
                return "int8 weights take float32"
            return None if noise is None else "int8 weights take no dropout inside"
        return None if _prepare(cell, x, noise) else find_obstacle(cell, x, noise)

    def run(
        self,
        cell: Cell,
        x: Tensor,
        padding: Padding | None,
        state: State,
        *,
        reverse: bool,
        want_state: bool,
        noise: Noise | None = None,
    ) -> tuple[Tensor, State | None]:
        """See `Engine.run`."""
        if isinstance(cell, LinearCell):
            return run_linear(cell, x, padding, state, reverse=reverse, want_state=want_state)
        if isinstance(cell, QuantizedCell):
            return run_quantized(cell, x, padding, state, reverse=reverse)
        assert isinstance(cell, GatedCell)
        prepared = _prepare(cell, x, noise)
        if prepared is not None:
            room = _room(x, padding, cell.hidden_size)
            final = run_prepared(
                prepared, x, padding, state, reverse=reverse, want_state=want_state, outputs=room
            )
            return room, final
        plan = find_plan(cell, noise)
        outputs, final = run_gated(
            plan,
            cell,
            x,
            packing_of(x, padding),
            state,
            reverse=reverse,
            noise=noise or Noise(),
        )
        return outputs[0], final

    def run_both(
        self,
        forward_cell: Cell,
        backward_cell: Cell,
        x: Tensor,
        padding: Padding | None,
        noise: tuple[Noise | None, Noise | None] = (None, None),
    ) -> Tensor:
        """See `Engine.run_both`."""
        ahead, back = _prepare(forward_cell, x, noise[0]), _prepare(backward_cell, x, noise[1])
        if ahead is None or back is None:
            return super().run_both(forward_cell, backward_cell, x, padding, noise)
        outputs = _room(x, padding, 2 * forward_cell.hidden_size)
        halves = outputs.chunk(2, 2)
        run_prepared(ahead, x, padding, None, reverse=False, want_state=False, outputs=halves[0])
        run_prepared(back, x, padding, None, reverse=True, want_state=False, outputs=halves[1])
        return outputs

    def run_states(
        self, cell: Cell, x: Tensor, padding: Padding | None, state: State, *, reverse: bool
    ) -> tuple[State, State]:
        """See `Engine.run_states`; of gated cells."""
        if not isinstance(cell, GatedCell):
            return super().run_states(cell, x, padding, state, reverse=reverse)
        return run_gated(
            find_plan(cell, None),
            cell,
            x,
            packing_of(x, padding),
            state,
            reverse=reverse,
            noise=Noise(),
            every_state=True,
        )

    def step(self, cell: Cell, x: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Engine.step`."""
        if isinstance(cell, QuantizedCell):
            # Its own step is in torch, for which the codes have to be laid out anew.
            outputs, state = run_quantized(cell, x.unsqueeze(1), None, state, reverse=False)
            return outputs[:, 0], state
        if len(x) < _FEW_ROWS:
            return super().step(cell, x, state)
        with OwnProducts():
            return super().step(cell, x, state)


def packing_of(x: Tensor, padding: Padding | None) -> Packing:
    """The packing of a batch, made once for all layers and directions."""
    return Packing.of_full(x.shape[0], x.shape[1]) if padding is None else padding.packing


def _prepare(cell: Cell, x: Tensor, noise: Noise | None) -> Prepared | None:
    """What runs a cell with no thought of gradients; None where that is not what is asked for."""
    if noise is not None or torch.is_grad_enabled() or x.dtype != torch.float32:
        return None
    return prepare(cell) if isinstance(cell, GatedCell | QuantizedCell) else None


def _room(x: Tensor, padding: Padding | None, size: int) -> Tensor:
    """Memory for outputs [B, T, size], zero where some of them will not be written."""
    return (x.new_empty if padding is None else x.new_zeros)(*x.shape[:2], size)
