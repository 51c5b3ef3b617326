"""The values that cross borders between the parts of the toolkit.

Axis letters, the same everywhere: B batch, T time (S on the source side of an attention),
D features, H hidden, V vocabulary, K classes. Batch comes first; masks are True on real tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch import device as Device

Example: TypeAlias = Mapping[str, Any]
"""One row of a corpus: field name (`text`, `label`) to value."""


class _Movable:
    """Gives a frozen dataclass of tensors its `.to(device)`."""

    def to(self, device: Device | str) -> Self:
        moved = {
            f.name: value.to(device)
            for f in fields(self)  # type: ignore[arg-type]
            if hasattr(value := getattr(self, f.name), "to")
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A column that a task reads.

    name: what the toolkit calls it. aliases: column names it is recognized by, most telling first.
    several: its value is a list of texts, of one column or of several: references, references2.
    """

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    several: bool = False


@dataclass(frozen=True, kw_only=True)
class Pieces(_Movable):
    """Hashed character n-grams of the U distinct tokens of a batch, stored once a token type.

    ids: int64 [N], the n-grams of all types one after another. offsets: int64 [U], where each
    type begins in `ids`. inverse: int64 [B, T], which type stands at each position; on padding
    one without n-grams.
    """

    ids: Tensor
    offsets: Tensor
    inverse: Tensor


@dataclass(frozen=True, kw_only=True)
class TokenBatch(_Movable):
    """Token ids of B texts, padded to the longest.

    ids: int64 [B, T]. lengths: int64 [B], each at least 1. pieces: n-grams, where the pipeline
    has them. ends: bool [B, T], True on the last token of each sentence, where it was asked for.
    """

    ids: Tensor
    lengths: Tensor
    pieces: Pieces | None = None
    ends: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """Bool [B, T], True on real tokens."""
        return lengths_to_mask(self.lengths, self.ids.shape[1])


@dataclass(frozen=True, kw_only=True)
class Copies(_Movable):
    """What a writer can copy from B sources.

    Extended ids: 0..V-1 are the classes of the output layer, tokens that can be generated; V + k
    is slot k of a row, the k-th distinct token of its source that is no class, in the order of
    first occurrence.

    ids: int64 [B, S], the extended id of every source position; 0, which is padding and never a
    target, where nothing can be copied. slots: int64 [B, X], the id by which a decoder reads each
    slot; padding where a row has fewer than X, which may be 0.
    """

    ids: Tensor
    slots: Tensor


@dataclass(frozen=True, kw_only=True)
class Encoded(_Movable):
    """What an encoder makes of a batch.

    states: float [B, T, D], zero on padding. mask: bool [B, T], True on real tokens.
    summary: float [B, D], the output after the last real token (of both directions).
    """

    states: Tensor
    mask: Tensor
    summary: Tensor


@dataclass(frozen=True, kw_only=True)
class Memory(_Movable):
    """A memory whose keys are projected once and then queried any number of times.

    keys: float [B, S, A]. values: float [B, S, D]. mask: bool [B, S], True on real positions.
    An attention of several heads may have an axis of them behind B.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor

    def select(self, rows: Tensor) -> Self:
        """The rows int64 [M], in that order."""
        return self._map(lambda tensor: tensor.index_select(0, rows))

    def first(self, count: int) -> Self:
        """The first rows, without a copy."""
        return self._map(lambda tensor: tensor[:count])

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        # A plugin may have tensors of its own in a subclass.
        return replace(self, **{f.name: change(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Attended(_Movable):
    """context: float [B, C]. weights: float [B, S], summing to 1 over the real positions.

    Of N queries a row, [B, N, C] and [B, N, S].
    """

    context: Tensor
    weights: Tensor


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss as a sum, so that whoever steps divides exactly once.

    total: scalar, in nats. units: what it is summed over (examples, tokens); a float, since
    examples may carry weights.
    """

    total: Tensor
    units: float

    @property
    def mean(self) -> Tensor:
        """Nats per unit."""
        return self.total / self.units


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One text that a decoder found for an example.

    score: what ranked it. log_probability: of its tokens and the end after them, in nats, and of a
    broken last word that was left out of them; None of a text that was not written but taken from
    the training examples, which has no tokens either.
    tokens: T of them, without the end. attention: float32 [T + 1, S], a row of weights over the
    source tokens for each target token and then for the end; None of a text that the model has not
    written, or has read in very many parts. copied: float32 [T + 1, S], the probability that each
    was copied from a source token, given that it was written; None there, too, and unless it was
    asked for.
    """

    text: str
    score: float
    log_probability: float | None
    tokens: tuple[str, ...]
    attention: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    copied: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What is certain of an answer that is still being written.

    text: what the answer would be if nothing followed; marks without a partner, letter case and
    a last word may yet change. tokens: those that have become certain since the one before.
    """

    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a task says of one example.

    output: the label, or the text. probabilities: label to probability, where the task has
    labels. hypotheses: the texts that a decoder found, the best first. source_tokens: what its
    attention looks at. details: what else the task says, as JSON values.
    """

    output: str
    probabilities: Mapping[str, float] | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    source_tokens: tuple[str, ...] = ()
    details: Mapping[str, object] | None = None


def lengths_to_mask(lengths: Tensor, time: int) -> Tensor:
    """Bool [B, time], True where position < length, from int64 [B]."""
    import torch

    return torch.arange(time, device=lengths.device) < lengths.unsqueeze(1)
