"""The past of an attention that reads it: what one step leaves for the next."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.nn.attention.base import Attention
from seqnlp.types import Attended, Memory


def remember(attention: Attention, history: Tensor, weights: Tensor) -> Tensor:
    """What the attention reads at the next step, of its history and the weights of this one."""
    return history + weights if attention.history == "sum" else weights


def attend_in_turn(
    attention: Attention, queries: Tensor, memory: Memory, history: Tensor
) -> Attended:
    """Attend with T queries [B, T, Q], each of which has those before it as its past.

    Args:
        attention: one that reads a history.
        queries: float [B, T, Q], T at least 1.
        memory: of B rows.
        history: float [B, S], before the first of them.
    """
    contexts, weights = [], []
    for query in queries.unbind(1):
        attended = attention.attend(query.unsqueeze(1), memory, history.unsqueeze(1))
        contexts.append(attended.context)
        weights.append(attended.weights)
        history = remember(attention, history, attended.weights.squeeze(1))
    return Attended(context=torch.cat(contexts, dim=1), weights=torch.cat(weights, dim=1))
