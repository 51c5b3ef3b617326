"""Memory that a call needs only while it runs, kept for the next one.

Fresh memory is handed out by the system page by page, at a cost of 5 % of a training step.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor

# In bytes; what is larger is not kept.
_MOST = 64 << 20


class _Shelf(threading.local):
    """One for each thread, so that calls of different threads do not share."""

    def __init__(self) -> None:
        self.tensors: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}


_shelf = _Shelf()


def borrow(name: str, like: Tensor, rows: int, columns: int) -> Tensor:
    """Uninitialized [rows, columns], to be used until this thread asks for the name again.

    Args:
        name: what it is for: two tensors in use at once have two names.
        like: for its type and device.
        rows: of the result.
        columns: of the result.
    """
    count = rows * columns
    key = (name, like.dtype, like.device)
    found = _shelf.tensors.get(key)
    if found is None or found.numel() < count:
        # Memory that inference mode has made could not be written to in training.
        with torch.inference_mode(False):
            found = like.new_empty(count)
        if count * like.element_size() <= _MOST:
            _shelf.tensors[key] = found
    return found[:count].view(rows, columns)
