"""What a decoder is: it writes after a memory, over whole targets or step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.decoder_state import Decoded, DecoderState
from seqnlp.nn.unrolling import check_input
from seqnlp.types import Encoded, Memory

S = TypeVar("S", bound=DecoderState)

__all__ = ["Decoded", "Decoder", "DecoderState"]


class Decoder(nn.Module, ABC, Generic[S]):
    """Features of the next token, from the tokens so far and an encoder's states.

    Registered by name, so that any network can stand here: `forward` reads whole targets, which is
    how it learns, and `step` one token of each, which is how a search asks it. Both give the same.
    Nothing of a batch stays on the module: what is made of the source once is the memory, what is
    remembered of the target is the state.

    A registered decoder is called with these four sizes, and with those settings of `head` and
    `model` that its signature names (`hidden_size`, `layers`, `cell`, `attention`, ...); keywords
    of any other name are the keys of `head.decoder_options`.

    Args:
        input_size: E, features of an input.
        memory_size: D, features of the encoder's states.
        summary_size: features of the encoder's summary.
        output_size: O, features of an output.

    Raises:
        InputError: a size below 1.
    """

    gives_weights: bool = True
    """Whether it weighs the positions of the source, which copying, coverage, alignments and maps
    of the attention stand on. A constructor may set it."""
    sequential: bool = False
    """Whether `forward` has to go step by step, because each step reads the output of the one
    before. A constructor may set it."""

    def __init__(
        self, input_size: int, memory_size: int, summary_size: int, *, output_size: int
    ) -> None:
        super().__init__()
        sizes = {
            "input_size": input_size, "memory_size": memory_size,
            "summary_size": summary_size, "output_size": output_size,
        }  # fmt: skip
        for name, size in sizes.items():
            if size < 1:
                raise InputError(f"{name} must be at least 1, not {size}")
        self.input_size = input_size
        self.memory_size = memory_size
        self.summary_size = summary_size
        self.output_size = output_size

    @abstractmethod
    def prepare(self, encoded: Encoded) -> Memory:
        """What is made of an encoder's states, once for a batch; of a class of its own, if need be.

        Args:
            encoded: of B rows, of which some may have no real position.
        """

    @abstractmethod
    def initial_state(self, encoded: Encoded) -> S:
        """The state of B targets before the first step."""

    @abstractmethod
    def forward(
        self,
        x: Tensor,
        lengths: Tensor | None,
        memory: Memory,
        state: S,
        *,
        want_weights: bool = False,
    ) -> Decoded:
        """Decode targets whose inputs are known, as `step` after `step` would.

        Args:
            x: float [B, T, E], finite on padding; B and T may be 0.
            lengths: int64 [B], each in 0..T; None where every row is full.
            memory: of B rows, made by `prepare`.
            state: before the first step.
            want_weights: whether the weights are asked for.

        Returns:
            Outputs and, where they are asked for and given, weights that are 0 exactly where the
            memory's mask is False. What stands on padding means nothing.

        Raises:
            InputError: shapes or lengths do not suit each other.
        """

    @abstractmethod
    def step(self, x: Tensor, memory: Memory, state: S) -> tuple[Tensor, Tensor | None, S]:
        """Decode one step of N = B*K hypotheses: k of row b of the memory is row b*K + k.

        Args:
            x: float [N, E].
            memory: of B rows, which are not copied for their hypotheses.
            state: of N rows; it is not changed.

        Returns:
            Outputs, float [N, O]; weights, float [N, S], None of a decoder that gives none; the
            state after the step.

        Raises:
            InputError: the shapes do not suit each other.
        """

    def check_targets(self, x: Tensor, memory: Memory, state: S) -> None:
        """Refuse what `forward` cannot read.

        Raises:
            InputError: shapes do not suit each other.
        """
        check_input(x, self.input_size)
        state.check(len(x))
        if len(memory.mask) != len(x):
            raise InputError(f"x has {len(x)} rows, but the memory has {len(memory.mask)}")

    def check_step(self, x: Tensor, memory: Memory, state: S) -> None:
        """Refuse what `step` cannot read.

        Raises:
            InputError: shapes do not suit each other.
        """
        if x.dim() != 2 or x.shape[1] != self.input_size:
            raise InputError(f"x must be float [N, {self.input_size}], not {list(x.shape)}")
        rows, sources = x.shape[0], memory.mask.shape[0]
        state.check(rows)
        if rows % max(1, sources) or rows < sources:
            raise InputError(
                f"x has {rows} rows, which are no multiple of the memory's {sources}: "
                "every row of the memory has the same number of hypotheses"
            )
