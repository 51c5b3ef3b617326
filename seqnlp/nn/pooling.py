"""Pooling: one vector from the states of a text, for classification."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from seqnlp import registry
from seqnlp.config import build
from seqnlp.nn.attention import Attention
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.types import Attended, Encoded

NO_OPTIONS: Mapping[str, object] = MappingProxyType({})


class Pooling(nn.Module, ABC):
    """From Encoded to one vector a row, whatever stands on padding; zeros for an empty row.

    Args:
        size: D, features of a state.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    @abstractmethod
    def forward(self, encoded: Encoded) -> Tensor:
        """Float [B, output_size]."""


class LastPooling(Pooling):
    """The encoder's summary: the output after the last real token of each direction."""

    def forward(self, encoded: Encoded) -> Tensor:
        """See the class."""
        return encoded.summary


class MeanPooling(Pooling):
    """The mean of the real states."""

    def forward(self, encoded: Encoded) -> Tensor:
        """See the class."""
        weights = encoded.mask.to(encoded.states.dtype)
        weights = weights / weights.sum(1, keepdim=True).clamp_(min=1.0)
        return torch.bmm(weights.unsqueeze(1), encoded.states).squeeze(1)


class MaxPooling(Pooling):
    """The maximum of the real states, feature by feature."""

    def forward(self, encoded: Encoded) -> Tensor:
        """See the class."""
        if encoded.states.shape[1] == 0:
            return encoded.states.new_zeros(encoded.states.shape[0], self.output_size)
        least = torch.finfo(encoded.states.dtype).min
        if exporting_to() is not None:
            greatest = torch.where(encoded.mask.unsqueeze(2), encoded.states, least).amax(1)
            return torch.where(greatest == least, 0, greatest)
        if encoded.mask.device.type == "cpu" and encoded.mask.all():  # a GPU would have to wait
            return encoded.states.amax(1)
        # Sums and products: the fills of torch visit each element on its own, several times slower.
        absent = (~encoded.mask).to(encoded.states.dtype).mul_(least).unsqueeze(2)
        return (encoded.states + absent).amax(1) * encoded.mask.any(1, keepdim=True)


class AttentionPooling(Pooling):
    """The context that one learned query attends to.

    Source: the word attention of Yang et al. 2016, "Hierarchical Attention Networks", section 2.2.

    Args:
        attention: a registered name.
        attention_options: what its constructor takes beside its sizes.

    Raises:
        UnknownNameError: no attention has that name.
        SettingsError: an option that it does not have.
    """

    def __init__(
        self,
        size: int,
        *,
        attention: str = "additive",
        attention_options: Mapping[str, object] = NO_OPTIONS,
    ) -> None:
        super().__init__(size)
        self.attention: Attention = build(
            registry.attentions.get(attention),
            attention_options,
            where="head.attention_options",
            query_size=size,
            memory_size=size,
        )
        self.output_size = self.attention.context_size
        self.query = nn.Parameter(torch.empty(size).uniform_(-(size**-0.5), size**-0.5))

    def forward(self, encoded: Encoded) -> Tensor:
        """See the class."""
        return self.attend(encoded).context

    def attend(self, encoded: Encoded) -> Attended:
        """The context with the weights that made it."""
        query = self.query.expand(encoded.states.shape[0], -1)
        attended: Attended = self.attention(query, self.attention.prepare(encoded))
        return attended
