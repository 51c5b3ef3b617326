"""What a recurrent cell is: one step of a recurrence. Loops over time live in the engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, ClassVar, TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.cells.checks import check_state
from seqnlp.nn.noise import Noise

State: TypeAlias = tuple[Tensor, ...]
"""What a cell remembers: leaves [B, ...] of any rank and dtype. Only the cell reads them."""

Gates: TypeAlias = tuple[Tensor, ...]
"""One float [B, H] for each gate."""


class NativeForm(Enum):
    """The recurrences that torch computes in one call."""

    LSTM = auto()
    GRU = auto()
    RNN_TANH = auto()
    RNN_RELU = auto()


class Role(Enum):
    """What a block of a cell's parameters does, by which `initialize` knows how to draw it."""

    INPUT = auto()
    """A matrix that reads the input, for one gate."""
    RECURRENT = auto()
    """A matrix that reads what the cell remembers, for one gate."""
    BIAS = auto()
    FORGET_BIAS = auto()
    """A bias that, when large, makes the cell remember."""


class Cell(nn.Module, ABC):
    """One step of any recurrence; the reference engine runs it over time.

    Args:
        input_size: I, features of an input.
        hidden_size: H, features of an output.
    """

    input_init: ClassVar[str] = "xavier"
    """The initializer of the blocks that read the input, unless the user names another."""
    recurrent_init: ClassVar[str] = "orthogonal"
    """The initializer of the recurrent blocks, unless the user names another."""
    rows_interact: ClassVar[bool] = False
    """Whether a step mixes rows, as batch normalization does: it then gets those that still run."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step, on the device of the parameters."""

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step.

        Args:
            x: float [B, I].
            state: leaves [B, ...]; the new state has the same shapes and dtypes.

        Returns:
            The output, float [B, H], which is what the next layer sees; the new state.
        """

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of parameters that `initialize` fills, in that order: one may hold another.

        None unless a subclass says which: only its author knows what its weights mean.
        """
        yield from ()


class GatedCell(Cell):
    r"""A cell that is pointwise but for one product with the input and one with its last output.

        x_gates = W_x x + b     h_gates = W_h h (+ b_h)     state' = update(x_gates, h_gates, state)

    A subclass declares its gates and writes `update`; this base owns the weights `weight_x`
    [G*H, I], `weight_h` [G*H, H], `bias` [G*H] and, with `recurrent_bias`, `bias_h` [G*H], each a
    stack of G blocks of H rows. The first leaf of the state is h, float [B, H], the output.

    Parameters that a subclass registers on itself reach `update` as keywords of their names.
    `update` reads tensors from its arguments only, never from self, so that an engine may trace it.
    """

    gates: ClassVar[int]
    """G, the number of gates."""
    states: ClassVar[int] = 1
    """Leaves of the state, each float [B, H] and zero at the start."""
    recurrent_bias: ClassVar[bool] = False
    """Whether the recurrent product has its own bias, as it must where it is not merely added."""
    forget_gate: ClassVar[int | None] = None
    """Index of the gate whose bias, when large, makes the cell remember."""

    gate_names: ClassVar[tuple[str, ...]] = ()
    """What a diagnosis calls the gates, in their order; by default gate 1, gate 2, ..."""

    masks: ClassVar[tuple[str, ...]] = ()
    """Keywords of `update`, None by default, that take a dropout mask [B, H] where one is drawn.

    Each belongs on what a step would add to the memory, see `drop`.
    """

    _base_names: ClassVar[frozenset[str]] = frozenset({"weight_x", "weight_h", "bias", "bias_h"})

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        kind = type(self).__name__
        gates = getattr(self, "gates", None)
        if not isinstance(gates, int) or gates < 1:
            raise InputError(f"{kind} must say how many gates it has: gates = 2")
        if self.forget_gate is not None and not 0 <= self.forget_gate < gates:
            raise InputError(
                f"{kind}.forget_gate must be the index of one of {gates} gates, "
                f"not {self.forget_gate}"
            )
        if self.gate_names and len(self.gate_names) != gates:
            raise InputError(
                f"{kind}.gate_names must name {gates} gates, not {len(self.gate_names)}"
            )
        rows = gates * hidden_size
        self.weight_x = nn.Parameter(torch.empty(rows, input_size))
        self.weight_h = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias = nn.Parameter(torch.empty(rows))
        self.bias_h = nn.Parameter(torch.empty(rows)) if self.recurrent_bias else None
        # What torch's own recurrent modules start from: U(-1/sqrt(H), 1/sqrt(H)) everywhere.
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    @abstractmethod
    def update(
        self, x_gates: Gates, h_gates: Gates, state: State, *args: Any, **parameters: Any
    ) -> State:
        """The pointwise part: G tensors [B, H] from the input, G from the last output, the state.

        Declare it as `update(self, x_gates, h_gates, state)`, followed by the names of the
        parameters that the cell registers on itself, if any.
        """

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the two weights, gate by gate, and the biases."""
        biases = [self.bias] if self.bias_h is None else [self.bias, self.bias_h]
        yield from gate_blocks(
            self.gates, self.weight_x, self.weight_h, *biases, forget_gate=self.forget_gate
        )

    def native(self) -> NativeForm | None:
        """The torch recurrence that this cell equals on these weights, gates in torch's order."""
        return None

    def author_parameters(self) -> dict[str, Tensor]:
        """The parameters that the subclass registered, by name: what `update` gets as keywords."""
        # Read on every step of the reference loop, where named_parameters() is slow.
        own = self._parameters.items()
        return {name: p for name, p in own if p is not None and name not in self._base_names}

    def initial_state(self, batch_size: int) -> State:
        """Zeros, `states` times float [B, H]."""
        zeros = self.weight_h.new_zeros(batch_size, self.hidden_size)
        return (zeros,) * self.states

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; the output is the first leaf of the new state."""
        return self.finish_step(F.linear(x, self.weight_x, self.bias), state)

    def noisy_step(
        self, x: Tensor, state: State, noise: Noise, weight_h: Tensor
    ) -> tuple[Tensor, State]:
        """Take one step with dropout inside.

        Args:
            x: float [B, I].
            state: as in `forward`.
            noise: of this step alone: every mask but the weight's is [B, H].
            weight_h: the recurrent weight with its mask applied.
        """
        product = F.linear(x, self.weight_x, self.bias)
        return self.finish_step(product, state, noise, weight_h)

    @final
    def finish_step(
        self,
        product: Tensor,
        state: State,
        noise: Noise | None = None,
        weight_h: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Take one step from the product with the input: it may be made for many steps at once.

        Args:
            product: float [B, G*H], W_x x + b.
            state: as in `forward`.
            noise: as in `noisy_step`; None for none.
            weight_h: the recurrent weight with its mask applied; None for the weight itself.
        """
        h = state[0] if noise is None else drop(state[0], noise.hidden)
        weight_h = self.weight_h if weight_h is None else weight_h
        x_gates = product.chunk(self.gates, dim=1)
        h_gates = F.linear(h, weight_h, self.bias_h).chunk(self.gates, dim=1)
        masks = {} if noise is None else noise.masks
        new = self.update(x_gates, h_gates, state, **self.author_parameters(), **masks)
        check_state(self, new, state)
        if noise is not None and noise.keep:
            new = tuple(
                leaf if share is None else share * old + (1 - share) * leaf
                for leaf, old, share in zip(new, state, noise.keep, strict=True)
            )
        return new[0], new

    @property
    def splits(self) -> bool:
        """Whether `forward` and `noisy_step` are `finish_step` after a product with the input."""
        own = type(self)
        return own.forward is GatedCell.forward and own.noisy_step is GatedCell.noisy_step

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.input_size}, {self.hidden_size}"

    def _computes_as(self, ancestor: type[GatedCell]) -> bool:
        """Whether no subclass of `ancestor` changed what a step computes."""
        return type(self).update is ancestor.update and self.splits


def drop(x: Tensor, mask: Tensor | None) -> Tensor:
    """The product; without a mask `x` itself, which adds nothing to what an engine traces."""
    return x if mask is None else x * mask


def gate_blocks(
    gates: int, weight_x: Tensor, weight_h: Tensor, *biases: Tensor, forget_gate: int | None = None
) -> Iterator[tuple[Role, Tensor]]:
    """The blocks of weights that are stacks of `gates` blocks of rows, for `Cell.weight_blocks`.

    Args:
        gates: G.
        weight_x: [G*N, I].
        weight_h: [G*N, H].
        biases: each [G*N]; the forget gate's is in the first.
        forget_gate: its index, if there is one.
    """
    for block in weight_x.chunk(gates):
        yield Role.INPUT, block
    for block in weight_h.chunk(gates):
        yield Role.RECURRENT, block
    for bias in biases:
        yield Role.BIAS, bias
    if forget_gate is not None:
        yield Role.FORGET_BIAS, biases[0].chunk(gates)[forget_gate]
