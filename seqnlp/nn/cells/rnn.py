"""The simple recurrent network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqnlp.nn.activations import find_activation
from seqnlp.nn.cells.base import GatedCell, Gates, NativeForm, State


class RNNCell(GatedCell):
    r"""One step of a simple recurrent network: no gate, so it forgets quickly.

        h' = activation(x_h + h_h)

    x: float [B, I].  state: (h,), h float [B, H].
    Source: Elman 1990, doi:10.1207/s15516709cog1402_1.

    Args:
        activation: a name of `seqnlp.nn.activations`; `prelu` learns a slope for each unit.

    Raises:
        UnknownNameError: no activation has that name.
    """

    gates = 1
    gate_names = ("hidden",)

    def __init__(self, input_size: int, hidden_size: int, *, activation: str = "tanh") -> None:
        super().__init__(input_size, hidden_size)
        found = find_activation(activation)
        self.activation = activation
        self._activate = found.function
        for name, value in found.parameters.items():
            self.register_parameter(name, nn.Parameter(torch.full((hidden_size,), value)))

    def update(self, x_gates: Gates, h_gates: Gates, state: State, **parameters: Tensor) -> State:
        """See the class."""
        return (self._activate(x_gates[0] + h_gates[0], **parameters),)

    def native(self) -> NativeForm | None:
        """torch.nn.RNN for its two activations, tanh and relu."""
        if not self._computes_as(RNNCell):
            return None
        return {"tanh": NativeForm.RNN_TANH, "relu": NativeForm.RNN_RELU}.get(self.activation)

    def extra_repr(self) -> str:
        """Sizes and activation, for printing."""
        return f"{super().extra_repr()}, activation={self.activation!r}"
