"""What an attention is: queries over a memory. No tensor stays on a module between calls."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

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
        memory_size: D, features of the memory's states.
    """

    history: Literal["none", "last", "sum"] = "none"
    """What is read beside the query: nothing; the weights of the step before; the sum of the
    weights of all steps before. A constructor may set it."""

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size = query_size
        self.memory_size = memory_size
        self.context_size = memory_size
        """C, features of a context."""

    @abstractmethod
    def prepare(self, memory: Encoded) -> Memory:
        """Project the keys once, for any number of queries."""

    @abstractmethod
    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """Attend with float [B, Q], before any history: context [B, C] and weights [B, S]."""

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        """Attend with N queries for each row of the memory.

        An attention that can do better than query by query, or reads a history, overrides this.

        Args:
            queries: float [B, N, Q].
            memory: of B rows.
            history: float [B, N, S], what each query's own past was, where one is read; None
                before the first step, which means zeros.

        Returns:
            Contexts, float [B, N, C], and weights, float [B, N, S].

        Raises:
            InputError: the attention says that it reads a history, and does not override this.
        """
        if self.history != "none":
            name = type(self).__name__
            raise InputError(
                f"{name} reads a history ({self.history!r}), so {name}.attend must be its own"
            )
        found = [self(query, memory) for query in queries.unbind(1)]
        if not found:
            batch_size, _, size = queries.shape[0], 0, memory.mask.shape[1]
            return Attended(
                context=queries.new_zeros(batch_size, 0, self.context_size),
                weights=queries.new_zeros(batch_size, 0, size),
            )
        return Attended(
            context=torch.stack([each.context for each in found], dim=1),
            weights=torch.stack([each.weights for each in found], dim=1),
        )


@dataclass(frozen=True, kw_only=True)
class ScoreForm:
    """How a key k is scored for a query q.

    vector . tanh(weight q + bias + k) or, without a vector, scale * q . k

    weight: float [A, Q]. bias: float [A], or None. vector: float [A].
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    vector: Tensor | None = None
    scale: float = 1.0


class ScoredAttention(Attention):
    """An attention that is a score for each query and position, the same for one query or many."""

    def form(self) -> ScoreForm | None:
        """What `attend` computes between keys and softmax, for an engine; None if it is no such."""
        return None

    @abstractmethod
    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        """Scores, float [B, N, S], of queries [B, N, Q]; whatever on hidden positions.

        Args:
            queries: float [B, N, Q].
            memory: what `prepare` made.
            history: see `attend`.
        """

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        """See `Attention.attend`."""
        weights = masked_softmax(self.score(queries, memory, history), memory.mask.unsqueeze(1))
        return Attended(context=torch.bmm(weights, memory.values), weights=weights)

    def forward(self, query: Tensor, memory: Memory) -> Attended:
        """See `Attention.forward`."""
        attended = self.attend(query.unsqueeze(1), memory)
        return Attended(context=attended.context.squeeze(1), weights=attended.weights.squeeze(1))

    def _scores_as(self, ancestor: type[ScoredAttention], *methods: str) -> bool:
        """Whether no subclass of `ancestor` changed what is computed, by these and by `attend`."""
        names = ("attend", "score", *methods)
        return all(getattr(type(self), name) is getattr(ancestor, name) for name in names)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis, 0 exactly where the mask is False, even in all of a row."""
    # The least finite number, not -inf, whose softmax over a hidden row would be NaN.
    least = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, least), dim=-1).masked_fill(~mask, 0.0)
