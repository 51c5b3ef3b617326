"""Attentions that score by inner products."""

from __future__ import annotations

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.affine import Affine
from seqnlp.nn.attention.base import ScoredAttention, ScoreForm, masked_softmax
from seqnlp.types import Attended, Encoded, Memory


class DotAttention(ScoredAttention):
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
                f"and {memory_size} features; use 'general', which maps one to the other, or give "
                f"a decoder as many: head.decoder_hidden_size = {memory_size}"
            )
        super().__init__(query_size, memory_size)
        self.scaled = scaled

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, D] are the states themselves."""
        return Memory(keys=memory.states, values=memory.states, mask=memory.mask)

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        """See `ScoredAttention.score`."""
        if self.scaled:
            queries = queries * self.memory_size**-0.5
        return torch.bmm(queries, memory.keys.transpose(1, 2))

    def form(self) -> ScoreForm | None:
        """See `ScoredAttention.form`."""
        scale = self.memory_size**-0.5 if self.scaled else 1.0
        return ScoreForm(scale=scale) if self._scores_as(DotAttention) else None


class GeneralAttention(ScoredAttention):
    r"""Scores from a bilinear form.

        score = q . W m

    Source: Luong et al. 2015, arXiv:1508.04025, equation 8.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key_projection = Affine(memory_size, query_size, bias=False)

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, Q] are W m."""
        keys = self.key_projection(memory.states)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        """See `ScoredAttention.score`."""
        return torch.bmm(queries, memory.keys.transpose(1, 2))

    def form(self) -> ScoreForm | None:
        """See `ScoredAttention.form`."""
        return ScoreForm() if self._scores_as(GeneralAttention) else None


class MultiHeadAttention(ScoredAttention):
    r"""Scaled dot attention in several learned subspaces at once.

        q = W_q query + b_q         k_s = W_k m_s + b_k         v_s = W_v m_s + b_v
        head = sum_s softmax_s(q . k_s / sqrt(A / heads)) v_s   context = W_o [heads] + b_o

    where each head has its own slice of q, k and v, which have A features. The weights are the
    mean over the heads.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    Args:
        heads: how many; they divide A among them.
        size: A, which is the size of the context too; the memory's by default.
        output: whether there is W_o. A network that maps the context itself has no need of it.

    Raises:
        InputError: `heads` does not divide A.
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        heads: int = 4,
        size: int | None = None,
        output: bool = True,
    ) -> None:
        super().__init__(query_size, memory_size)
        if size is not None and size < 1:
            raise InputError(f"size must be at least 1, not {size}")
        if heads < 1 or (size or memory_size) % heads:
            whose = f"{memory_size} memory features" if size is None else f"{size} features of size"
            raise InputError(f"heads must divide the {whose}, not {heads}")
        self.heads = heads
        self.context_size = memory_size if size is None else size
        self.query_projection = Affine(query_size, self.context_size)
        self.key_projection = Affine(memory_size, self.context_size)
        self.value_projection = Affine(memory_size, self.context_size)
        self.output_projection = Affine(self.context_size, self.context_size) if output else None

    def prepare(self, memory: Encoded) -> Memory:
        """Keys and values [B, heads, S, A / heads], so that no product has to copy them."""
        return Memory(
            keys=self._split(self.key_projection(memory.states)).contiguous(),
            values=self._split(self.value_projection(memory.states)).contiguous(),
            mask=memory.mask,
        )

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        """Scores [B, heads, N, S]."""
        projected = self.query_projection(queries) * (self.context_size // self.heads) ** -0.5
        return self._split(projected) @ memory.keys.transpose(2, 3)

    def attend(self, queries: Tensor, memory: Memory, history: Tensor | None = None) -> Attended:
        """See `Attention.attend`."""
        mask = memory.mask.unsqueeze(1)
        weights = masked_softmax(self.score(queries, memory, None), mask.unsqueeze(1))
        context = (weights @ memory.values).transpose(1, 2).flatten(2)
        if self.output_projection is not None:
            # The output's bias would reach rows that have nothing to attend to.
            context = self.output_projection(context) * mask.any(2, keepdim=True)
        return Attended(context=context, weights=weights.mean(1))

    def _split(self, x: Tensor) -> Tensor:
        """[B, N, A] to [B, heads, N, A / heads], a view."""
        return x.view(*x.shape[:2], self.heads, self.context_size // self.heads).transpose(1, 2)
