"""What a decoder attends to: a memory, by an attention that may have a past, and its own states."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seqnlp.nn.attention.base import Attention
from seqnlp.nn.attention.intra import IntraAttention
from seqnlp.nn.decoder_state import RecurrentDecoderState
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


def attend_whole(
    attention: Attention,
    intra: IntraAttention | None,
    h: Tensor,
    memory: Memory,
    state: RecurrentDecoderState,
) -> Attended:
    """Attend with the states of whole targets, float [B, T, H]; contexts as in `attend_step`."""
    if state.history is None:
        attended = attention.attend(h, memory)
    else:
        attended = attend_in_turn(attention, h, memory, state.history)
    if intra is None:
        return attended
    assert state.past is not None
    own = intra(h, state.past)
    return replace(attended, context=torch.cat([attended.context, own], dim=2))


def attend_step(
    attention: Attention,
    intra: IntraAttention | None,
    h: Tensor,
    memory: Memory,
    state: RecurrentDecoderState,
) -> tuple[Attended, RecurrentDecoderState]:
    """Attend with the states of one step.

    Args:
        attention: to the memory.
        intra: to the states before; None for none.
        h: float [N, H], N = B * K, K hypotheses of each row of the memory.
        memory: of B rows.
        state: what is remembered, of N rows.

    Returns:
        The context [N, C], behind it that of the decoder's own past, and the weights [N, S]; and
        the state, with what the next step is to remember.
    """
    sources, positions = memory.mask.shape
    grouped = sources, h.shape[0] // max(1, sources)
    history, past = state.history, state.past
    attended = attention.attend(
        h.reshape(*grouped, h.shape[1]),
        memory,
        None if history is None else history.reshape(*grouped, positions),
    )
    context, weights = attended.context.flatten(0, 1), attended.weights.flatten(0, 1)
    if history is not None:
        history = remember(attention, history, weights)
    if intra is not None:
        assert past is not None
        query = h.unsqueeze(1)
        context = torch.cat([context, intra(query, past).squeeze(1)], dim=1)
        past = torch.cat([past, query], dim=1)
    return (
        Attended(context=context, weights=weights),
        replace(state, history=history, past=past),
    )
