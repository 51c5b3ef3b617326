"""Recurrences that are linear in their state: no step waits for a product of the one before."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.nn.cells.base import Cell, Gates, Role, State
from seqnlp.nn.cells.checks import check_mix


class LinearCell(Cell):
    r"""A cell whose state is scaled and added to, by what depends on the inputs alone.

        h' = a * h + b      y = output(h')

    A subclass writes `coefficients`, which gives a and b of all steps in one call, and `output`
    where the output is not the state itself. The single step and every engine follow from these.

    The first leaf of the state is h, [B, N], float or complex; by default N is H. With a `window`
    k above 1 the second is the k - 1 inputs that were read last, float [B, k - 1, I].
    """

    window: int = 1
    """k: how many inputs, its own the last, a step's coefficients and output depend on."""

    @abstractmethod
    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the states of T steps are scaled by, and what is added to them.

        Args:
            x: float [B, k - 1 + T, I], in the order of reading; the first k - 1 have been read
                before.

        Returns:
            a: [B, T, N], or [N] where it is the same at every step; b: [B, T, N].
        """

    def output(self, h: Tensor, x: Tensor) -> Tensor:
        """The outputs, float [B, T, H]: unless a subclass says otherwise, the states themselves.

        Args:
            h: the states after each step, [B, T, N].
            x: as `coefficients` gets it.
        """
        return h

    def initial_state(self, batch_size: int) -> State:
        """Zeros, in place of the inputs too."""
        weight = next(self.parameters())
        h = weight.new_zeros(batch_size, self.hidden_size)
        return self._with_window(h, weight.new_zeros(batch_size, self.window - 1, self.input_size))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step."""
        seen = x.unsqueeze(1)
        if self.window > 1:
            seen = torch.cat([state[1], seen], dim=1)
        a, b = self.coefficients(seen)
        h = a * state[0].unsqueeze(1) + b
        return self.output(h, seen).squeeze(1), self._with_window(h.squeeze(1), seen[:, 1:])

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.input_size}, {self.hidden_size}"

    def _with_window(self, h: Tensor, inputs: Tensor) -> State:
        return (h,) if self.window == 1 else (h, inputs)


class GatedLinearCell(LinearCell):
    r"""A linear cell of gates: a and b are pointwise in one product with the input.

        x_gates = W (x_{t-k+1}, ..., x_t) + bias      a, b = mix(x_gates)

    A subclass declares its gates and writes `mix` on torch operations; this base owns the weights
    `weight` [G*H, k*I], a stack of G blocks of H rows, and `bias` [G*H]. Weights start from
    Xavier's uniform distribution, biases from zero.

    `mix` reads tensors from its argument only, never from self, so that an engine may trace it.
    """

    gates: ClassVar[int]
    """G, the number of gates."""
    forget_gate: ClassVar[int | None] = None
    """Index of the gate whose bias, when large, makes the cell remember."""
    gate_names: ClassVar[tuple[str, ...]] = ()
    """See `GatedCell`."""

    def __init__(self, input_size: int, hidden_size: int, *, window: int = 1) -> None:
        super().__init__(input_size, hidden_size)
        self.window = window
        self.weight, self.bias = make_gates(self.gates, window * input_size, hidden_size)

    @abstractmethod
    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        """What the state is scaled by and what is added to it, from G tensors, all of one shape."""

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`mix` of the product."""
        product = F.linear(windows(x, self.window), self.weight, self.bias)
        return check_mix(self, self.mix(product.chunk(self.gates, dim=2)))

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the weight, gate by gate, and the biases."""
        for block in self.weight.chunk(self.gates):
            yield Role.INPUT, block
        yield Role.BIAS, self.bias
        if self.forget_gate is not None:
            yield Role.FORGET_BIAS, self.bias.chunk(self.gates)[self.forget_gate]


def windows(x: Tensor, size: int) -> Tensor:
    """The inputs that each step sees side by side: [B, k - 1 + T, I] to [B, T, k*I], last last."""
    if size == 1:
        return x
    time = x.shape[1] - size + 1
    return torch.cat([x[:, k : k + time] for k in range(size)], dim=2)


def make_gates(gates: int, inputs: int, hidden_size: int) -> tuple[nn.Parameter, nn.Parameter]:
    """A weight [G*H, inputs], each gate's block Xavier uniform, and a bias [G*H] of zeros."""
    weight = torch.empty(gates * hidden_size, inputs)
    for block in weight.chunk(gates):
        nn.init.xavier_uniform_(block)
    return nn.Parameter(weight), nn.Parameter(torch.zeros(gates * hidden_size))
