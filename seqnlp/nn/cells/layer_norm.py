"""Gated cells with layer normalization in every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.nn.cells.base import GatedCell, Gates, Role, State, drop

EPSILON = 1e-5


def normalize(x: Tensor) -> Tensor:
    """The rows of float [B, H] less their mean, over their standard deviation.

    Source: Ba et al. 2016, arXiv:1607.06450, equation 3, with torch's 1e-5 added to the variance.
    """
    centered = x - x.mean(-1, keepdim=True)
    variance = (centered * centered).mean(-1, keepdim=True)
    return centered * torch.rsqrt(variance + EPSILON)


class _LayerNormCell(GatedCell):
    """Normalizes each gate's recurrent product, and its input product if asked to."""

    masks = ("candidate_mask",)

    names: ClassVar[str]
    """One letter for each gate."""

    def __init__(self, input_size: int, hidden_size: int, *, norm_input: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        self.norm_input = norm_input
        for name in self.names:
            self._add(f"gain_{name}", 1.0)
            if norm_input:
                self._add(f"input_gain_{name}", 1.0)
                self._add(f"input_shift_{name}", 0.0)

    def _add(self, name: str, value: float) -> None:
        self.register_parameter(name, nn.Parameter(torch.full((self.hidden_size,), value)))

    def _normalize_gates(
        self, x_gates: Gates, h_gates: Gates, parameters: Mapping[str, Tensor]
    ) -> tuple[Gates, Gates]:
        gains = [parameters[f"gain_{name}"] for name in self.names]
        h_gates = tuple(gain * normalize(h) for gain, h in zip(gains, h_gates, strict=True))
        if self.norm_input:
            gains = [parameters[f"input_gain_{name}"] for name in self.names]
            shifts = [parameters[f"input_shift_{name}"] for name in self.names]
            x_gates = tuple(
                gain * normalize(x) + shift
                for gain, x, shift in zip(gains, x_gates, shifts, strict=True)
            )
        return x_gates, h_gates

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """Those of the base; a bias that is the same for all units would not survive a norm."""
        yield from super().weight_blocks()
        if self.norm_input and self.forget_gate is not None:
            yield Role.FORGET_BIAS, getattr(self, f"input_shift_{self.names[self.forget_gate]}")

    def extra_repr(self) -> str:
        """Sizes and what is normalized, for printing."""
        return f"{super().extra_repr()}, norm_input={self.norm_input}"


class LayerNormLSTMCell(_LayerNormCell):
    r"""One step of an LSTM that normalizes its recurrent products and its memory's output.

        i = sigmoid(x_i + N_i(h_i))      f = sigmoid(x_f + N_f(h_f))      g = tanh(x_g + N_g(h_g))
        o = sigmoid(x_o + N_o(h_o))      c' = f * c + i * g               h' = o * tanh(N_c(c'))

    N_k(a) is `normalize(a)`, over the H features of a row, times a gain [H]; N_c adds a shift [H].
    With `norm_input`, x_k above is normalized too, times a gain, plus a shift.

    x: float [B, I].  state: (h, c), each float [B, H].  Weights stacked i, f, g, o.  Masked: g.
    Source: Ba et al. 2016, arXiv:1607.06450, equations 20 to 22 of the supplement. There W_x x is
    normalized too (here with `norm_input`, since no recurrence blows it up), all four gates as one
    vector (here each by itself), and every norm has a shift (here where it is not one with a bias).

    Args:
        norm_input: normalizes the input's product too.
    """

    gates = 4
    gate_names = ("input", "forget", "candidate", "output")
    states = 2
    forget_gate = 1
    names = "ifgo"

    def __init__(self, input_size: int, hidden_size: int, *, norm_input: bool = False) -> None:
        super().__init__(input_size, hidden_size, norm_input=norm_input)
        self._add("gain_c", 1.0)
        self._add("shift_c", 0.0)

    def update(
        self,
        x_gates: Gates,
        h_gates: Gates,
        state: State,
        *,
        candidate_mask: Tensor | None = None,
        **parameters: Tensor,
    ) -> State:
        """See the class."""
        x_gates, h_gates = self._normalize_gates(x_gates, h_gates, parameters)
        i, f, g, o = (x + h for x, h in zip(x_gates, h_gates, strict=True))
        c = sigmoid(f) * state[1] + sigmoid(i) * drop(tanh(g), candidate_mask)
        return sigmoid(o) * tanh(parameters["gain_c"] * normalize(c) + parameters["shift_c"]), c


class LayerNormGRUCell(_LayerNormCell):
    r"""One step of a gated recurrent unit that normalizes its recurrent products.

        r = sigmoid(x_r + N_r(h_r))     z = sigmoid(x_z + N_z(h_z))
        n = tanh(x_n + r * N_n(h_n))    h' = (1 - z) * n + z * h

    N_k(a) is `normalize(a)`, over the H features of a row, times a gain [H]; N_n adds a shift [H].
    With `norm_input`, x_k above is normalized too, times a gain, plus a shift.

    x: float [B, I].  state: (h,), h float [B, H].  Weights stacked r, z, n.  Masked: n.
    Source: Ba et al. 2016, arXiv:1607.06450, the supplement's GRU, whose z is 1 - z here, as in
    torch.nn.GRU; what else differs does so as in `LayerNormLSTMCell`.

    Args:
        norm_input: normalizes the input's product too.
    """

    gates = 3
    gate_names = ("reset", "update", "candidate")
    names = "rzn"

    def __init__(self, input_size: int, hidden_size: int, *, norm_input: bool = False) -> None:
        super().__init__(input_size, hidden_size, norm_input=norm_input)
        # Scaled by r with the norm, so that it is not one with the input's bias.
        self._add("shift_n", 0.0)

    def update(
        self,
        x_gates: Gates,
        h_gates: Gates,
        state: State,
        *,
        candidate_mask: Tensor | None = None,
        **parameters: Tensor,
    ) -> State:
        """See the class."""
        (x_r, x_z, x_n), (h_r, h_z, h_n) = self._normalize_gates(x_gates, h_gates, parameters)
        r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
        n = drop(tanh(x_n + r * (h_n + parameters["shift_n"])), candidate_mask)
        return ((1 - z) * n + z * state[0],)
