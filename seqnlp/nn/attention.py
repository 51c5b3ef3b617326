"""Attention of a query over an encoded memory. No tensor stays on a module between calls."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.types import Attended, Encoded, Memory


class Attention(nn.Module, ABC):
    """Weighs the positions of a memory for a query.

    Positions that the mask hides get weight 0 exactly; a row that it hides altogether gets a
    context of zeros.

    Args:
        query_size: Q, features of a query.
        memory_size: D, features of the memory's states and of the context.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size = query_size
        self.memory_size = memory_size

    @abstractmethod
    def prepare(self, memory: Encoded) -> Memory:
        """Project the keys once, for any number of queries."""

    @abstractmethod
    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """Attend with float [B, Q]: context float [B, D] and weights float [B, S]."""


class AdditiveAttention(Attention):
    r"""Scores from a small network of one hidden layer.

        score = v . tanh(W_q q + b + W_k m)

    Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.

    Args:
        size: A, units of the hidden layer; as many as the memory has features by default.
    """

    def __init__(self, query_size: int, memory_size: int, *, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        size = memory_size if size is None else size
        if size < 1:
            raise InputError(f"size must be at least 1, not {size}")
        self.query_projection = nn.Linear(query_size, size)
        self.key_projection = nn.Linear(memory_size, size, bias=False)
        self.vector = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, A] are W_k m."""
        keys = self.key_projection(memory.states)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """See the class."""
        hidden = torch.tanh(memory.keys + self.query_projection(query).unsqueeze(1))
        return attend(hidden @ self.vector, memory)


class DotAttention(Attention):
    r"""Scores from the inner product of query and memory, which have one size.

        score = q . m        or, scaled, q . m / sqrt(D)

    Source: Luong et al. 2015, arXiv:1508.04025, equation 8; the scale of Vaswani et al. 2017.

    Args:
        scaled: whether to divide by sqrt(D).

    Raises:
        InputError: the sizes differ.
    """

    def __init__(self, query_size: int, memory_size: int, *, scaled: bool = False) -> None:
        if query_size != memory_size:
            raise InputError(
                f"dot attention needs queries of the memory's size, but they have {query_size} "
                f"and {memory_size} features; use 'general', which maps one to the other"
            )
        super().__init__(query_size, memory_size)
        self.scaled = scaled

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, D] are the states themselves."""
        return Memory(keys=memory.states, values=memory.states, mask=memory.mask)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """See the class."""
        if self.scaled:
            query = query * self.memory_size**-0.5
        return attend(_dot(memory.keys, query), memory)


class GeneralAttention(Attention):
    r"""Scores from a bilinear form.

        score = q . W m

    Source: Luong et al. 2015, arXiv:1508.04025, equation 8.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key_projection = nn.Linear(memory_size, query_size, bias=False)

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, Q] are W m."""
        keys = self.key_projection(memory.states)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """See the class."""
        return attend(_dot(memory.keys, query), memory)


class MultiHeadAttention(Attention):
    r"""Scaled dot attention in several learned subspaces at once.

        q = W_q query + b_q         k_s = W_k m_s + b_k         v_s = W_v m_s + b_v
        head = sum_s softmax_s(q . k_s / sqrt(D / heads)) v_s   context = W_o [heads] + b_o

    where each head has its own slice of q, k and v. The weights are the mean over the heads.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    Args:
        heads: how many; they divide the memory's features among them.

    Raises:
        InputError: `heads` does not divide `memory_size`.
    """

    def __init__(self, query_size: int, memory_size: int, *, heads: int = 4) -> None:
        super().__init__(query_size, memory_size)
        if heads < 1 or memory_size % heads:
            raise InputError(f"heads must divide the {memory_size} memory features, not {heads}")
        self.heads = heads
        self.query_projection = nn.Linear(query_size, memory_size)
        self.key_projection = nn.Linear(memory_size, memory_size)
        self.value_projection = nn.Linear(memory_size, memory_size)
        self.output_projection = nn.Linear(memory_size, memory_size)

    def prepare(self, memory: Encoded) -> Memory:
        """Keys and values [B, S, D], head beside head."""
        return Memory(
            keys=self.key_projection(memory.states),
            values=self.value_projection(memory.states),
            mask=memory.mask,
        )

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """See the class."""
        batch_size = query.shape[0]
        split = (self.heads, self.memory_size // self.heads)
        queries = self.query_projection(query).view(batch_size, *split) * split[1] ** -0.5
        keys = memory.keys.view(batch_size, -1, *split)
        values = memory.values.view(batch_size, -1, *split)
        scores = torch.einsum("bhd,bshd->bhs", queries, keys)
        weights = masked_softmax(scores, memory.mask.unsqueeze(1))
        heads = torch.einsum("bhs,bshd->bhd", weights, values)
        context = self.output_projection(heads.flatten(1))
        # The output's bias would reach rows that have nothing to attend to.
        context = context.masked_fill(~memory.mask.any(1, keepdim=True), 0.0)
        return Attended(context=context, weights=weights.mean(1))


def attend(scores: Tensor, memory: Memory) -> Attended:
    """The mean of the memory's values, weighted by the softmax of scores float [B, S]."""
    weights = masked_softmax(scores, memory.mask)
    context = torch.bmm(weights.unsqueeze(1), memory.values).squeeze(1)
    return Attended(context=context, weights=weights)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis, 0 exactly where the mask is False, even in all of a row."""
    # The least finite number, not -inf, whose softmax over a hidden row would be NaN.
    least = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, least), dim=-1).masked_fill(~mask, 0.0)


def _dot(keys: Tensor, query: Tensor) -> Tensor:
    """Inner products float [B, S] of keys [B, S, A] with one query [B, A] a row."""
    return torch.bmm(keys, query.unsqueeze(2)).squeeze(2)
