"""The engine that is fastest, by rules that were measured.

`python benchmarks/cells.py` measures what they rest on: torch 2.13 on one core with AVX-512.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn.cells.base import Cell, GatedCell, NativeForm
from seqnlp.nn.engines.padding import Padding

# Below so many steps a call of torch is over before the fused engine has laid out its arrays.
_FEW_STEPS_IN_TRAINING = 5
_FEW_STEPS = 10
# A single step of so many rows, of products so large, gains by products of our own.
_MANY_ROWS = 16
_LARGE_PRODUCT = 1 << 21
# torch's LSTM on a CPU is as fast as a fused one, but for what it does before the first step
# (it lays its weights out anew, which shows in small batches), for long sequences of many rows,
# for padding and, in training, for two directions at once.
_LARGE = 256
_LONG = 100
_MANY = 8
_REAL_SHARE = 0.9


def prefers_fused(
    cell: Cell, x: Tensor, padding: Padding | None, *, both_directions: bool = False
) -> bool:
    """Whether the fused engine is faster than torch's own recurrence on this input on a CPU.

    Args:
        cell: one that both can run.
        x: float [B, T, I].
        padding: where the rows end.
        both_directions: whether it stands for two cells that read in opposite directions.
    """
    assert isinstance(cell, GatedCell)
    batch, time = x.shape[:2]
    if not torch.is_grad_enabled() and x.dtype == torch.float32:
        # Its weights are laid out once and for all, see inference.py.
        return True
    learns = torch.is_grad_enabled() and (x.requires_grad or cell.weight_h.requires_grad)
    if time == 1 and not learns:
        return batch >= _MANY_ROWS and batch * cell.weight_h.numel() >= _LARGE_PRODUCT
    if time < (_FEW_STEPS_IN_TRAINING if learns else _FEW_STEPS):
        return False
    if cell.native() is not NativeForm.LSTM:
        return True
    if padding is not None and padding.packing.total < _REAL_SHARE * batch * time:
        return True
    if learns:
        return both_directions or (time >= _LONG and batch >= _MANY)
    return cell.hidden_size >= _LARGE and batch * time <= cell.hidden_size // 2
