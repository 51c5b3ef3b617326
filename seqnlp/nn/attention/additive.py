"""Attentions that score by a network of one hidden layer."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqnlp.errors import InputError
from seqnlp.nn.affine import Affine, is_affine
from seqnlp.nn.attention.base import ScoredAttention, ScoreForm
from seqnlp.nn.engines.additive import additive_scores
from seqnlp.nn.engines.affine import affine
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.types import Encoded, Memory

# Hidden units that are held at once: so many numbers of float32 are 32 MiB.
_BLOCK = 1 << 23


class _HiddenLayerAttention(ScoredAttention):
    """What these attentions share: v . tanh(query part + key part + what the past adds).

    The hidden layer of all queries at once is T times as large as the keys. A kernel need not hold
    it; else, where that is much, it is computed by blocks of queries, and again in backward, so
    that memory does not grow with T.
    """

    vector: nn.Parameter

    @abstractmethod
    def project(self, queries: Tensor) -> Tensor:
        """The query's part of the hidden layer, [B, N, Q] to [B, N, A]."""

    def look_back(self, history: Tensor) -> Tensor:
        """What the past adds to the hidden layer, [B, N, S] to [B, N, S, A]."""
        raise NotImplementedError

    def score(self, queries: Tensor, memory: Memory, history: Tensor | None) -> Tensor:
        """See `ScoredAttention.score`."""
        projected = self.project(queries)
        if self.history == "none" or memory.keys.shape[1] == 0:
            history = None
        if history is None:
            scores = additive_scores(projected, memory.keys, self.vector, memory.mask)
            if scores is not None:
                return scores
        if exporting_to() is not None:
            return self._score(projected, memory.keys, history)
        count = max(1, _BLOCK // max(1, memory.keys.numel()))
        if projected.shape[1] <= count:
            return self._score(projected, memory.keys, history)
        blocks = torch.split(projected, count, 1)
        past = [None] * len(blocks) if history is None else torch.split(history, count, 1)
        learns = torch.is_grad_enabled()
        return torch.cat(
            [
                checkpoint(
                    self._score, block, memory.keys, own,
                    use_reentrant=False, preserve_rng_state=False,
                )
                if learns
                else self._score(block, memory.keys, own)
                for block, own in zip(blocks, past, strict=True)
            ],
            dim=1,
        )  # fmt: skip

    def _score(self, projected: Tensor, keys: Tensor, history: Tensor | None) -> Tensor:
        hidden = keys.unsqueeze(1) + projected.unsqueeze(2)
        if history is not None:
            hidden = hidden + self.look_back(history)
        return torch.tanh(hidden) @ self.vector


class AdditiveAttention(_HiddenLayerAttention):
    r"""Scores from a small network of one hidden layer.

        score = v . tanh(W_q q + b + W_k m)

    With `coverage` the hidden layer also sees how much of a position has been attended to, c: the
    sum of its weights at all steps before.

        score = v . tanh(W_q q + b + W_k m + u c)

    Source: Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2; coverage of Tu et al. 2016,
    arXiv:1601.04811, equations 6 and 8, of one number a position and no fertility.

    Args:
        size: A, units of the hidden layer; as many as the memory has features by default.
        coverage: whether past attention is seen.
    """

    def __init__(
        self, query_size: int, memory_size: int, *, size: int | None = None, coverage: bool = False
    ) -> None:
        super().__init__(query_size, memory_size)
        size = _hidden_units(size, memory_size)
        self.query_projection = Affine(query_size, size)
        self.key_projection = Affine(memory_size, size, bias=False)
        self.vector = _uniform(size)
        self.coverage = _uniform(size) if coverage else None
        self.history = "sum" if coverage else "none"

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, A] are W_k m."""
        keys = self.key_projection(memory.states)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def project(self, queries: Tensor) -> Tensor:
        """W_q q + b."""
        projected: Tensor = self.query_projection(queries)
        return projected

    def look_back(self, history: Tensor) -> Tensor:
        """Coverage, by the units' own weights: u c."""
        assert self.coverage is not None
        return history.unsqueeze(3) * self.coverage

    def form(self) -> ScoreForm | None:
        """See `ScoredAttention.form`; none with coverage."""
        own = self._scores_as(AdditiveAttention, "project")
        if not own or self.history != "none" or not is_affine(self.query_projection):
            return None
        weight, bias = self.query_projection.weight, self.query_projection.bias
        return ScoreForm(weight=weight, bias=bias, vector=self.vector)


class ConcatAttention(_HiddenLayerAttention):
    r"""Scores from query and memory beside each other.

        score = v . tanh(W [q ; m])

    Source: Luong et al. 2015, arXiv:1508.04025, equation 8.

    Args:
        size: A, units of the hidden layer; as many as the memory has features by default.
    """

    def __init__(self, query_size: int, memory_size: int, *, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        size = _hidden_units(size, memory_size)
        self.projection = Affine(query_size + memory_size, size, bias=False)
        self.vector = _uniform(size)

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, A] are the product of the columns of W that see m."""
        keys = affine(memory.states, self.projection.weight[:, self.query_size :])
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def project(self, queries: Tensor) -> Tensor:
        """The product of the other columns."""
        return affine(queries, self.projection.weight[:, : self.query_size])

    def form(self) -> ScoreForm | None:
        """See `ScoredAttention.form`."""
        own = self._scores_as(ConcatAttention, "project")
        if not own or not is_affine(self.projection):
            return None
        return ScoreForm(weight=self.projection.weight[:, : self.query_size], vector=self.vector)


class LocationAttention(_HiddenLayerAttention):
    r"""Additive attention that also sees where it looked at the step before.

        f = filters * weights of the step before, a convolution over the positions
        score = v . tanh(W_q q + b + W_k m + U f)

    Before the first step, and beyond the ends of a row, those weights are 0.
    Source: Chorowski et al. 2015, arXiv:1506.07503, equations 8 and 9.

    Args:
        size: A, units of the hidden layer; as many as the memory has features by default.
        filters: features of f at each position.
        width: positions that a filter sees, an odd number.
    """

    history = "last"

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        size: int | None = None,
        filters: int = 10,
        width: int = 7,
    ) -> None:
        super().__init__(query_size, memory_size)
        size = _hidden_units(size, memory_size)
        if filters < 1:
            raise InputError(f"filters must be at least 1, not {filters}")
        if width < 1 or width % 2 == 0:
            raise InputError(
                f"width must be an odd number, so that a filter has a middle, not {width}"
            )
        self.query_projection = Affine(query_size, size)
        self.key_projection = Affine(memory_size, size, bias=False)
        self.filters = nn.Conv1d(1, filters, width, padding=width // 2, bias=False)
        self.location_projection = Affine(filters, size, bias=False)
        self.vector = _uniform(size)

    def prepare(self, memory: Encoded) -> Memory:
        """Keys [B, S, A] are W_k m."""
        keys = self.key_projection(memory.states)
        return Memory(keys=keys, values=memory.states, mask=memory.mask)

    def project(self, queries: Tensor) -> Tensor:
        """W_q q + b."""
        projected: Tensor = self.query_projection(queries)
        return projected

    def look_back(self, history: Tensor) -> Tensor:
        """U f."""
        batch_size, count, positions = history.shape
        features = self.filters(history.reshape(batch_size * count, 1, positions))
        located: Tensor = self.location_projection(features.transpose(1, 2))
        return located.view(batch_size, count, positions, located.shape[2])


def _hidden_units(size: int | None, memory_size: int) -> int:
    size = memory_size if size is None else size
    if size < 1:
        raise InputError(f"size must be at least 1, not {size}")
    return size


def _uniform(size: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))
