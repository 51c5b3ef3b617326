"""Pointer-generators: a token is generated from a vocabulary, or copied from the source."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.nn.affine import Affine
from seqnlp.types import Copies


class Pointer(nn.Module):
    r"""How probable it is that a token is generated, and with it the mixture.

        g = sigmoid(w . [output ; input] + b)
        p(token) = g p_generated(token) + (1 - g) sum of the weights at its source positions

    What is copied has no features but the attention's own weights. All of it is computed by
    logarithms, so that no token's probability is lost to underflow.

    Source: See, Liu and Manning 2017, arXiv:1704.04368, equations 8 and 9, with the decoder's
    output in place of the state and the context that it is made of.

    Args:
        output_size: O, features of a decoder's output.
        input_size: E, features of the embedding that the decoder has read.
    """

    def __init__(self, output_size: int, input_size: int) -> None:
        super().__init__()
        self.gate = Affine(output_size + input_size, 1)

    def forward(self, outputs: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithms of g and 1 - g, float [...], of outputs [..., O] and inputs [..., E]."""
        logits = self.gate(torch.cat([outputs, inputs], dim=-1)).squeeze(-1)
        return F.logsigmoid(logits), F.logsigmoid(-logits)


def copied(weights: Tensor, ids: Tensor, goals: Tensor) -> Tensor:
    """The attention to each goal, float [B, T, S]: a weight where its token stands, 0 elsewhere.

    Args:
        weights: float [B, T, S].
        ids: int64 [B, S], see `Copies`.
        goals: int64 [B, T], extended ids.
    """
    return weights.masked_fill(ids.unsqueeze(1) != goals.unsqueeze(2), 0.0)


def mix(shares: tuple[Tensor, Tensor], generated: Tensor, attention: Tensor) -> Tensor:
    """Log-probabilities of tokens, float [N], in nats.

    Args:
        shares: log g and log(1 - g), float [N].
        generated: log-probabilities of the tokens if they are generated, float [N]; -inf for those
            that cannot be.
        attention: float [N], the sum of the weights at their source positions. A token that can
            only be copied is taken to have the least normal number at least.
    """
    least = torch.finfo(attention.dtype).tiny
    absent = (attention == 0) & (generated > -torch.inf)
    found = attention.clamp_min(least).log().masked_fill(absent, -torch.inf)
    return torch.logaddexp(shares[0] + generated, shares[1] + found)


def coverage_loss(weights: Tensor, real: Tensor) -> Tensor:
    """How much of what is attended to has been attended to before: a sum over all real steps.

    Each step counts the sum over the source of min(weight, sum of the weights of the steps before).
    Source: See, Liu and Manning 2017, arXiv:1704.04368, equation 12.

    Args:
        weights: float [B, T, S].
        real: bool [B, T], True on real steps, which come first in every row.
    """
    before = F.pad(weights.cumsum(1)[:, :-1], (0, 0, 1, 0))
    return torch.minimum(weights, before).sum(2).masked_fill(~real, 0.0).sum()


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What the hypotheses of B sources can copy, made ready for steps.

    copies: of B rows. first: int64 [B, S], the first position of the token of each position.
    """

    copies: Copies
    first: Tensor

    @classmethod
    def of(cls, copies: Copies) -> Sources:
        """Finds the first positions, in S log S."""
        values, order = copies.ids.sort(dim=1, stable=True)
        begins = torch.ones_like(values, dtype=torch.bool)
        begins[:, 1:] = values[:, 1:] != values[:, :-1]
        places = torch.arange(values.shape[1], device=values.device).expand_as(values)
        starts = places.masked_fill(~begins, 0).cummax(1).values
        first = torch.empty_like(order).scatter_(1, order, order.gather(1, starts))
        return cls(copies=copies, first=first)

    @property
    def slots(self) -> int:
        """X, most slots of a row."""
        return self.copies.slots.shape[1]

    def select(self, rows: Tensor) -> Sources:
        """The rows int64 [M], in that order."""
        ids, slots = (each.index_select(0, rows) for each in (self.copies.ids, self.copies.slots))
        return Sources(copies=Copies(ids=ids, slots=slots), first=self.first.index_select(0, rows))

    def read(self, ids: Tensor, classes: int) -> Tensor:
        """The ids by which a decoder reads extended ones, int64 [B * K], K hypotheses a source."""
        if not self.slots:
            return ids
        grouped = ids.view(len(self.first), -1)
        read = self.copies.slots.gather(1, (grouped - classes).clamp_min(0))
        return torch.where(grouped < classes, grouped, read).flatten()

    @torch.no_grad()
    def log_probabilities(
        self, shares: tuple[Tensor, Tensor], logits: Tensor, weights: Tensor
    ) -> Tensor:
        """Those of all extended ids, float [N, V + X], N = B * K; for a search, without gradients.

        Args:
            shares: log g and log(1 - g), float [N].
            logits: float [N, V], of what is generated.
            weights: float [N, S].
        """
        (rows, classes), sources = logits.shape, len(self.first)
        found = logits.new_full((rows, classes + self.slots), -torch.inf)
        torch.add(torch.log_softmax(logits, 1), shares[0].unsqueeze(1), out=found[:, :classes])
        grouped = sources, rows // max(1, sources), weights.shape[1]
        first = self.first.unsqueeze(1).expand(grouped).reshape(weights.shape)
        ids = self.copies.ids.unsqueeze(1).expand(grouped).reshape(weights.shape)
        sums = torch.zeros_like(weights).scatter_add_(1, first, weights).gather(1, first)
        attended = sums.log_().add_(shares[1].unsqueeze(1))
        # A token of several positions has its sum at each, and is written so often by one number.
        return found.scatter_(1, ids, torch.logaddexp(found.gather(1, ids), attended))
