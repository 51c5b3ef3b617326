"""The identity-initialized recurrent network."""

from __future__ import annotations

from torch import nn, relu

from seqnlp.nn.cells.base import GatedCell, Gates, NativeForm, State


class IRNNCell(GatedCell):
    r"""One step of a rectified recurrent network that begins by copying its state.

        h' = relu(x_h + h_h)

    x: float [B, I].  state: (h,), h float [B, H].  The recurrent weight begins as the identity, the
    input's with deviation 0.001, so that a state is kept until training finds otherwise.
    Source: Le et al. 2015, arXiv:1504.00941, section 3.
    """

    gates = 1
    gate_names = ("hidden",)
    input_init = "small"
    recurrent_init = "identity"

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        nn.init.normal_(self.weight_x, std=0.001)
        nn.init.eye_(self.weight_h)
        nn.init.zeros_(self.bias)

    def update(self, x_gates: Gates, h_gates: Gates, state: State) -> State:
        """See the class."""
        return (relu(x_gates[0] + h_gates[0]),)

    def native(self) -> NativeForm | None:
        """torch.nn.RNN with relu."""
        return NativeForm.RNN_RELU if self._computes_as(IRNNCell) else None
