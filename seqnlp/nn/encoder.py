"""What an encoder is: whole texts at once or, where it can, piece by piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State
from seqnlp.types import Encoded


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """Where an encoder stands in the texts of a batch. Only the encoder reads it.

    layers: what each layer remembers. summary: float [B, D], the last real output so far; zeros
    before the first.
    """

    layers: tuple[State, ...]
    summary: Tensor

    def detach(self) -> Self:
        """The same values, out of the graph: where truncated backpropagation through time ends."""
        layers = tuple(tuple(leaf.detach() for leaf in state) for state in self.layers)
        return type(self)(layers=layers, summary=self.summary.detach())


class Encoder(nn.Module, ABC):
    """Vectors in, contextual states out. Registered by name, so that any network can stand here.

    One that can read on from where it stopped overrides `initial_state` and `advance`.

    Args:
        input_size: features of an input.
        output_size: features of a state and of the summary.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.output_size = output_size

    @abstractmethod
    def forward(self, x: Tensor, lengths: Tensor) -> Encoded:
        """Encode float [B, T, input_size], of int64 [B] real steps, finite on padding."""

    def initial_state(self, batch_size: int) -> EncoderState:
        """The state before the first step.

        Raises:
            InputError: the encoder cannot read piece by piece.
        """
        raise InputError(
            f"the encoder {type(self).__name__} cannot stream: it reads whole texts only"
        )

    def advance(
        self, x: Tensor, lengths: Tensor | None, state: EncoderState
    ) -> tuple[Encoded, EncoderState]:
        """Read on: chunk after chunk gives what `forward` gives of all of them at once.

        Args:
            x: float [B, T, input_size], what comes next in each row, finite on padding.
            lengths: int64 [B], each in 0..T; None where every row is full.
            state: of `initial_state`, or of the chunk before.

        Returns:
            The states of this chunk, with the summary of all that has been read; the new state.

        Raises:
            InputError: the encoder cannot read piece by piece, or the shapes do not suit it.
        """
        raise InputError(
            f"the encoder {type(self).__name__} cannot stream: it reads whole texts only"
        )

    def step(self, x: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Read one step of every row: from float [B, input_size] to [B, output_size].

        Raises:
            InputError: see `advance`.
        """
        encoded, state = self.advance(x.unsqueeze(1), None, state)
        return encoded.states[:, 0], state
