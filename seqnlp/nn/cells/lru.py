"""The linear recurrent unit."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import State
from seqnlp.nn.cells.linear import LinearCell


class LRUCell(LinearCell):
    r"""One step of a linear recurrent unit: a state of complex numbers that turn and shrink.

        lambda = exp(-exp(nu) + i exp(theta))
        h' = lambda * h + exp(gamma) * (B x)      y = Re(C h') + D x

    No gate and no nonlinearity: stack it with layer norm, residuals and what is nonlinear.

    x: float [B, I].  state: (h,), h complex [B, N].  Weights: `weight_b` [2N, I], a row for the
    real part of each state and one for the imaginary part in turn; `weight_c` [H, 2N], of columns
    Re C and -Im C in turn; `weight_d` [H, I]; `nu`, `theta` and `gamma`, [N].
    Source: Orvieto et al. 2023, arXiv:2303.06349, section 3: nu and theta keep |lambda| below 1;
    by lemma 3.2 lambda starts uniform on the ring between two radii; gamma starts at what keeps
    the state's variance that of B x; B and C start as in appendix A.

    Args:
        state_size: N; None for H.
        min_radius: the least |lambda| at the start, 0 to 1.
        max_radius: the greatest; near 1 for what is to be remembered long.
        max_phase: the greatest angle of lambda at the start, in radians; small for long texts.

    Raises:
        InputError: a size, radius or angle that cannot be.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int | None = None,
        min_radius: float = 0.0,
        max_radius: float = 1.0,
        max_phase: float = 2 * math.pi,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if not 0 <= min_radius < max_radius <= 1:
            raise InputError(
                f"radii must be 0 <= min_radius < max_radius <= 1, not {min_radius}, {max_radius}"
            )
        if not max_phase > 0:
            raise InputError(f"max_phase must be above 0, not {max_phase}")
        self.state_size = hidden_size if state_size is None else state_size
        if self.state_size < 1:
            raise InputError(f"state_size must be at least 1, not {state_size}")
        size = self.state_size
        # Inside the ring by a hair: at its very ends a logarithm below would be infinite.
        u, v = torch.rand(2, size).clamp(1e-4, 1 - 1e-4)
        radius = torch.sqrt(u * (max_radius**2 - min_radius**2) + min_radius**2)
        self.nu = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta = nn.Parameter(torch.log(max_phase * v))
        self.gamma = nn.Parameter(torch.log(torch.sqrt(1 - radius**2)))
        self.weight_b = nn.Parameter(torch.randn(2 * size, input_size) / math.sqrt(2 * input_size))
        self.weight_c = nn.Parameter(torch.randn(hidden_size, 2 * size) / math.sqrt(size))
        self.weight_d = nn.Parameter(torch.randn(hidden_size, input_size) / math.sqrt(input_size))

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the class; a is the same at every step."""
        a = torch.polar(torch.exp(-torch.exp(self.nu)), torch.exp(self.theta))
        scaled = self.weight_b * torch.exp(self.gamma).repeat_interleave(2).unsqueeze(1)
        # Real and imaginary parts lie in turn, as torch stores complex numbers.
        parts = F.linear(x, scaled)
        return a, torch.view_as_complex(parts.view(*parts.shape[:2], self.state_size, 2))

    def output(self, h: Tensor, x: Tensor) -> Tensor:
        """See the class."""
        parts = torch.view_as_real(h).flatten(2)
        return F.linear(parts, self.weight_c) + F.linear(x, self.weight_d)

    def initial_state(self, batch_size: int) -> State:
        """Zeros, complex [B, N]."""
        parts = self.nu.new_zeros(batch_size, self.state_size, 2)
        return (torch.view_as_complex(parts),)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{super().extra_repr()}, state_size={self.state_size}"
