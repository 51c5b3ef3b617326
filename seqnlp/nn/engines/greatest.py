"""The greatest of many columns, row by row: what a search for sequences spends its time on."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import pointer, team
from seqnlp.nn.engines.emit import sources

WIDTH = 64  # columns of a block
NARROW = 8  # blocks of those that are left
# More of a row are sorted faster than put in one by one.
_MOST = 64
# Below this many numbers a second thread costs more than it does.
_WORTH_A_THREAD = 1 << 19


def most_probable(
    logits: Tensor, count: int, forbidden: Tensor, *, normalized: bool = False
) -> tuple[Tensor, Tensor]:
    """The `count` most probable columns of each row, most probable first.

    Args:
        logits: float [N, V]; what it has in forbidden columns is lost.
        count: at most V.
        forbidden: int64 [F], columns that are not wanted; their probability is not taken away from
            the others'.
        normalized: whether the logits are log-probabilities already.

    Returns:
        Log-probabilities, float64 [N, count]; columns, int64 [N, count]. Where a row has fewer
        that are possible, the last log-probabilities are -inf.
    """
    known = logits.device.type == "cpu" and logits.dtype == torch.float32
    if known and count <= _MOST and not torch.is_grad_enabled():
        library = build.load(sources("greatest.cpp", logits.dtype))
        if library is not None:
            return _run(library, logits.contiguous(), count, forbidden, normalized)
    scores = logits if normalized else torch.log_softmax(logits, 1)
    values, columns = top(scores.index_fill(1, forbidden, float("-inf")), count)
    return values.double(), columns


class _Call(ctypes.Structure):
    """`Call` of greatest.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "columns", "count", "forbidden", "threads")),
        *((name, ctypes.c_void_p) for name in ("team", "logits", "ruled_out")),
        ("normalized", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("values", "places")),
    )


def _run(
    library: ctypes.CDLL, logits: Tensor, count: int, forbidden: Tensor, normalized: bool
) -> tuple[Tensor, Tensor]:
    rows, size = logits.shape
    values = logits.new_empty(rows, count, dtype=torch.float64)
    columns = forbidden.new_empty(rows, count)
    forbidden = forbidden.contiguous()
    threads = max(1, min(torch.get_num_threads(), logits.numel() // _WORTH_A_THREAD))
    call = _Call(
        rows=rows,
        columns=size,
        count=count,
        forbidden=len(forbidden),
        threads=threads,
        team=team() if threads > 1 else None,
        logits=pointer(logits),
        ruled_out=pointer(forbidden),
        normalized=normalized,
        values=pointer(values),
        places=pointer(columns),
    )
    if library.find_greatest(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for a step of the search")
    return values, columns


def top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` greatest of each row, greatest first: (values, columns), each [N, count].

    Of many columns they are found several times faster than by a plain `topk`: they lie in the
    `count` blocks of the greatest maxima. Maxima run at the speed of memory, where sorting does
    not; so only those blocks are looked at again, and in them smaller ones.

    Args:
        values: float [N, V].
        count: at most V.
    """
    rows, size = values.shape
    blocks = size // WIDTH
    if blocks < 4 * count:
        return _plain(values, count)
    body = values[:, : blocks * WIDTH].view(rows, blocks, WIDTH)
    first = body.amax(2).topk(count, 1, sorted=False).indices
    near = body[torch.arange(rows, device=values.device).unsqueeze(1), first].flatten(1)
    # A smaller block is every so-manieth column: neighbors are reduced as vectors.
    strides = near.view(rows, NARROW, -1)
    second = strides.amax(1).topk(count, 1, sorted=False).indices
    steps = torch.arange(NARROW, device=values.device) * strides.shape[2]
    places = (second.unsqueeze(2) + steps).flatten(1)
    rest = values[:, blocks * WIDTH :]
    found, picked = _plain(torch.cat([near.gather(1, places), rest], 1), count)
    place = places.gather(1, picked.clamp(max=places.shape[1] - 1))
    columns = first.gather(1, place // WIDTH) * WIDTH + place % WIDTH
    outside = picked + (blocks * WIDTH - places.shape[1])
    return found, torch.where(picked < places.shape[1], columns, outside)


def _plain(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    found = values.topk(count, 1)
    return found.values, found.indices
