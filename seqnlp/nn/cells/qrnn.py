"""The quasi-recurrent network."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, sigmoid, tanh

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Gates, Role
from seqnlp.nn.cells.linear import GatedLinearCell, make_gates, windows


class QRNNCell(GatedLinearCell):
    r"""One step of a quasi-recurrent network: gates from a convolution, then fo-pooling.

        z = tanh(x_z)      f = sigmoid(x_f)      o = sigmoid(x_o)
        c' = f * c + (1 - f) * z      y = o * c'

    Each product is with the last k inputs side by side, zeros before the first: a convolution over
    time that sees nothing of what comes later.

    x: float [B, I].  state: (c, inputs), c float [B, H], inputs float [B, k - 1, I]; (c,) where k
    is 1.  Weights stacked z, f; those of o are apart, since the state does not depend on it.
    Source: Bradbury et al. 2016, arXiv:1611.01576, section 2.

    Args:
        window: k, how many inputs a step sees, its own included.

    Raises:
        InputError: the window is not positive.
    """

    gates = 2
    gate_names = ("candidate", "forget")
    forget_gate = 1

    def __init__(self, input_size: int, hidden_size: int, *, window: int = 2) -> None:
        if window < 1:
            raise InputError(f"window must be at least 1, not {window}")
        super().__init__(input_size, hidden_size, window=window)
        self.weight_o, self.bias_o = make_gates(1, window * input_size, hidden_size)

    def mix(self, x_gates: Gates) -> tuple[Tensor, Tensor]:
        """See the class."""
        z, f = tanh(x_gates[0]), sigmoid(x_gates[1])
        return f, (1 - f) * z

    def output(self, h: Tensor, x: Tensor) -> Tensor:
        """See the class."""
        return sigmoid(F.linear(windows(x, self.window), self.weight_o, self.bias_o)) * h

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """Those of the gates and of the output gate."""
        yield from super().weight_blocks()
        yield Role.INPUT, self.weight_o
        yield Role.BIAS, self.bias_o

    def extra_repr(self) -> str:
        """Sizes and window, for printing."""
        return f"{super().extra_repr()}, window={self.window}"
