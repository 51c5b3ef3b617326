"""A gated cell with int8 weights, for inference."""

from __future__ import annotations

from copy import deepcopy
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Cell, GatedCell, State

PANEL, GROUP = 16, 4
_LARGEST = 127
# Below, its inverse may be infinite.
_SMALLEST = 1e-30
# Sums of so many products of two codes are exact in float32; of any number in float64.
_EXACT = (1 << 24) // _LARGEST**2


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest codes of each row, from -127 to 127: x is about codes * scales.

    Args:
        x: float32 [N, K].

    Returns:
        Codes, int8 [N, K]; scales, float32 [N], NaN for rows that are not finite.
    """
    largest = x.abs().amax(1)
    finite = largest.isfinite()
    scales = torch.where(finite, largest / _LARGEST, torch.nan)
    inverse = torch.where(finite & (largest > _SMALLEST), _LARGEST / largest, 0.0)
    return (x * inverse.unsqueeze(1)).round().nan_to_num(0.0).to(torch.int8), scales


class QuantizedWeight(nn.Module):
    """A stack of G blocks of H rows, each row as int8 codes with one scale, as a kernel reads it.

    Sixteen rows lie together as a panel, of each four columns beside each other: what one
    instruction multiplies. Rows and columns are filled up with zeros.

    Args:
        weight: float32 [G*H, K].
        gates: G.
    """

    codes: Tensor
    """int8 [G, panels, groups of columns, 16, 4]."""
    scales: Tensor
    """float32 [G, panels * 16]."""
    sums: Tensor
    """int32 [G, panels * 16], of each row's codes: for instructions that take unsigned inputs."""

    def __init__(self, weight: Tensor, gates: int) -> None:
        super().__init__()
        self.rows, self.columns = len(weight) // gates, weight.shape[1]
        codes, scales = quantize_rows(weight.detach())
        more = -self.rows % PANEL
        padded = F.pad(
            codes.view(gates, self.rows, self.columns), (0, -self.columns % GROUP, 0, more)
        )
        panels = padded.view(gates, -1, PANEL, padded.shape[2] // GROUP, GROUP)
        self.register_buffer("codes", panels.transpose(2, 3).contiguous())
        self.register_buffer("scales", F.pad(scales.view(gates, -1), (0, more)))
        self.register_buffer("sums", padded.sum(2, dtype=torch.int32))

    def unpack(self) -> tuple[Tensor, Tensor]:
        """The codes [G*H, K], in a float type in which sums of products are exact, and scales."""
        gates = len(self.codes)
        codes = self.codes.transpose(2, 3).reshape(gates, self.scales.shape[1], -1)
        real = torch.float32 if self.columns <= _EXACT else torch.float64
        whole = codes[:, : self.rows, : self.columns].reshape(-1, self.columns).to(real)
        return whole, self.scales[:, : self.rows].reshape(-1)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{len(self.codes)} x {self.rows}, {self.columns}"


def multiply(x: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """The product of x [N, K], quantized row by row, with an unpacked weight: float32 [N, G*H]."""
    own, own_scales = quantize_rows(x)
    return (own.to(codes.dtype) @ codes.t()).float() * (scales * own_scales.unsqueeze(1))


class QuantizedCell(Cell):
    """What a gated cell computes, with weights, inputs and outputs of its products as int8.

    Each row of a weight, each step's input and each last output has a scale of its own; products
    are exact in int32, and everything else is float32: biases, parameters, states.

    Args:
        cell: float32 and traceable, see `seqnlp.nn.quantize`; it stays as it is.
    """

    def __init__(self, cell: GatedCell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self.weight_x = QuantizedWeight(cell.weight_x, cell.gates)
        self.weight_h = QuantizedWeight(cell.weight_h, cell.gates)
        self.inner = deepcopy(cell).eval().requires_grad_(False)
        nothing = cell.weight_h.new_empty(0)
        self.inner.weight_x = nn.Parameter(nothing, requires_grad=False)
        self.inner.weight_h = nn.Parameter(nothing, requires_grad=False)
        self.training = False

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation.

        Raises:
            InputError: training is asked for.
        """
        if mode:
            raise InputError(
                "int8 weights cannot be trained: train the float model, then quantize that"
            )
        return super().train(mode)

    def check(self, x: Tensor) -> None:
        """Refuse to cut a graph of gradients in silence.

        Raises:
            InputError: `x` takes part in one.
        """
        if x.requires_grad and torch.is_grad_enabled():
            raise InputError(
                "int8 weights give no gradients: run the quantized model under torch.no_grad(), "
                "or the float one"
            )

    def initial_state(self, batch_size: int) -> State:
        """That of the cell."""
        return self.inner.initial_state(batch_size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step."""
        return self.unpacked()(x, state)  # type: ignore[no-any-return]

    def unpacked(self) -> Cell:
        """The same cell for many steps in torch, its codes laid out for that."""
        return _Unpacked(self)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.input_size}, {self.hidden_size}, int8"


class _Unpacked(Cell):
    """A quantized cell for as long as a loop lasts."""

    def __init__(self, cell: QuantizedCell) -> None:
        super().__init__(cell.input_size, cell.hidden_size)
        self._whole = (cell,)  # in a tuple: not a part of this module
        self._x, self._h = cell.weight_x.unpack(), cell.weight_h.unpack()

    def initial_state(self, batch_size: int) -> State:
        return self._whole[0].initial_state(batch_size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self._whole[0].check(x)
        inner = self._whole[0].inner
        x_gates, h_gates = multiply(x, *self._x) + inner.bias, multiply(state[0], *self._h)
        if inner.bias_h is not None:
            h_gates = h_gates + inner.bias_h
        gates = inner.gates
        new = inner.update(
            x_gates.chunk(gates, 1), h_gates.chunk(gates, 1), state, **inner.author_parameters()
        )
        return new[0], new
