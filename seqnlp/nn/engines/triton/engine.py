"""The engine of GPUs: torch's products and Triton's kernels, from any gated or linear cell."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, State
from seqnlp.nn.cells.linear import LinearCell
from seqnlp.nn.engines.base import Engine
from seqnlp.nn.engines.gated import run_gated
from seqnlp.nn.engines.linear import run_linear
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.padding import Padding
from seqnlp.nn.engines.plan import Plan
from seqnlp.nn.engines.plans import find_obstacle, find_plan
from seqnlp.nn.engines.transforms import OBSTACLE, transforming
from seqnlp.nn.engines.triton import scan
from seqnlp.nn.engines.triton.gated import GatedLoop
from seqnlp.nn.engines.triton.machine import find_obstacle_on, on
from seqnlp.nn.noise import Noise

_LOOPS: dict[int, GatedLoop] = {}


class TritonEngine(Engine):
    """Runs gated and linear cells on a GPU, where torch has no recurrence that computes the same.

    A gated cell takes two launches a step: the recurrent product, and one kernel for all that is
    pointwise, made from the same traced graphs as the fused engine's. Products with the inputs of
    all steps are one. A linear cell takes one launch for all steps, each row of its own length.
    """

    name: ClassVar[str] = "triton"

    def obstacle(self, cell: Cell, x: Tensor, noise: Noise | None = None) -> str | None:
        """The cell must be linear, or gated and traceable; float32 or float64, on a GPU."""
        obstacle = find_obstacle_on(x.device)
        if obstacle is not None:
            return obstacle
        if transforming():
            return OBSTACLE
        if isinstance(cell, LinearCell):
            if noise is not None:
                return "dropout inside a recurrence needs a GatedCell"
            if type(cell).forward is not LinearCell.forward:
                return f"{type(cell).__name__} has a step of its own"
            if x.dtype not in (torch.float32, torch.float64):
                return f"it computes float32 and float64, not {str(x.dtype).removeprefix('torch.')}"
            return None
        obstacle = find_obstacle(cell, x, noise)
        if obstacle is not None:
            return obstacle
        assert isinstance(cell, GatedCell)
        return _loop_of(find_plan(cell, noise), cell.hidden_size).obstacle

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
            return run_linear(
                cell, x, padding, state, reverse=reverse, want_state=want_state, scanner=scan
            )
        assert isinstance(cell, GatedCell)
        plan = find_plan(cell, noise)
        full = x.shape[:2]
        with on(x.device):
            outputs, final = run_gated(
                plan,
                cell,
                x,
                Packing.of_full(*full, x.device) if padding is None else padding.packing,
                state,
                reverse=reverse,
                noise=noise or Noise(),
                loop=_loop_of(plan, cell.hidden_size),
            )
        return outputs[0], final


def _loop_of(plan: Plan, size: int) -> GatedLoop:
    """The loop of a plan; it holds the plan, so that no other gets its identity."""
    if id(plan) not in _LOOPS:
        _LOOPS[id(plan)] = GatedLoop(plan, size)
    return _LOOPS[id(plan)]
