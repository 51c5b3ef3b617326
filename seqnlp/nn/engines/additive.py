"""The scores of additive attention, without the hidden layer of all queries in memory."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from seqnlp.nn.engines import build
from seqnlp.nn.engines.abi import pointer, team
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.transforms import must_follow, transforming

# Hidden units that are worth a call, and a thread of its own.
_NUMBERS = 1 << 13
_NUMBERS_A_THREAD = 1 << 18


def additive_scores(queries: Tensor, keys: Tensor, vector: Tensor, mask: Tensor) -> Tensor | None:
    """What vector . tanh(query + key) is; None where nothing can be compiled or it is too small.

    Args:
        queries: float [B, N, A].
        keys: float [B, S, A].
        vector: float [A].
        mask: bool [B, S], False on positions that nobody looks at.

    Returns:
        Float [B, N, S], 0 on those positions.
    """
    tensors = (queries, keys, vector)
    known = all(
        each.device.type == "cpu"
        and each.dtype == vector.dtype
        and each.dtype in (torch.float32, torch.float64)
        for each in tensors
    )
    if not known or transforming() or torch.is_autocast_enabled("cpu"):
        return None
    if queries.shape[1] * keys.numel() < _NUMBERS:
        return None
    library = build.load(sources("additive.cpp", vector.dtype))
    if library is None:
        return None
    # Copies that the function made itself would have no part in second derivatives.
    whole = (tensor.contiguous() for tensor in (*tensors, mask))
    scores: Tensor = _AdditiveScores.apply(*whole, library)  # type: ignore[no-untyped-call]
    return scores


class _AdditiveScores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        keys: Tensor,
        vector: Tensor,
        mask: Tensor,
        library: ctypes.CDLL,
    ) -> Tensor:
        scores = queries.new_empty(*queries.shape[:2], keys.shape[1])
        _run(library.run_forward, queries, keys, vector, mask, scores)
        ctx.library = library
        ctx.save_for_backward(queries, keys, vector, mask)
        return scores

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        queries, keys, vector, mask = ctx.saved_tensors
        (g,) = gradients
        if must_follow(g):
            g = (g * mask.unsqueeze(1)).unsqueeze(3)
            hidden = torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))
            back = g * vector * (1 - hidden * hidden)
            return back.sum(2), back.sum(1), (g * hidden).sum((0, 1, 2)), None, None
        d_queries, d_keys = torch.empty_like(queries), torch.empty_like(keys)
        threads = _threads(queries, keys)
        d_vector = vector.new_empty(threads, len(vector))
        _run(
            ctx.library.run_backward, queries, keys, vector, mask, g.contiguous(),
            d_q=d_queries, d_k=d_keys, d_vector=d_vector,
        )  # fmt: skip
        return d_queries, d_keys, d_vector.sum(0), None, None


class _Call(ctypes.Structure):
    """`Call` of additive.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "queries", "positions", "size", "threads")),
        *((name, ctypes.c_void_p) for name in ("team", "q", "k", "vector", "mask", "scores")),
        *((name, ctypes.c_void_p) for name in ("d_q", "d_k", "d_vector")),
    )


def _threads(queries: Tensor, keys: Tensor) -> int:
    work = queries.shape[1] * keys.numel() // _NUMBERS_A_THREAD
    return max(1, min(torch.get_num_threads(), work, len(queries)))


def _run(
    function: Any,
    queries: Tensor,
    keys: Tensor,
    vector: Tensor,
    mask: Tensor,
    scores: Tensor,
    **gradients: Tensor,
) -> None:
    threads = _threads(queries, keys)
    call = _Call(
        rows=len(queries),
        queries=queries.shape[1],
        positions=keys.shape[1],
        size=len(vector),
        threads=threads,
        team=team() if threads > 1 else None,
        q=pointer(queries),
        k=pointer(keys),
        vector=pointer(vector),
        mask=pointer(mask),
        scores=pointer(scores),
        **{name: pointer(tensor) for name, tensor in gradients.items()},
    )
    if function(ctypes.byref(call)):
        raise MemoryError("there is not enough memory for the gradients of an attention")
