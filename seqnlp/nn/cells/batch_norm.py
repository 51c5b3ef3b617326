"""Long short-term memory with batch normalization in every step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn, sigmoid, tanh

from seqnlp.errors import InputError
from seqnlp.nn.cells.base import Cell, Role, State, gate_blocks

EPSILON = 1e-5


class BatchNormLSTMCell(Cell):
    r"""One step of an LSTM whose products and memory are normalized over the batch.

        i, f, g, o = N_x(W x) + N_h(U h) + b
        c' = sigmoid(f) * c + sigmoid(i) * tanh(g)      h' = sigmoid(o) * tanh(N_c(c'))

    N_k(a) is a less its mean, over its standard deviation, times a gain that begins at 0.1; N_c
    adds a shift. Gains and shift serve all steps, but each step has its own statistics, those from
    `max_steps` on the last one's. In training they are those of the rows that take the step
    together; in evaluation, and where one row is alone, they are running averages, and a step
    that no training has reached takes those of the last that one has.

    x: float [B, I].  state: (h, c, t), h and c float [B, H], t int64 [B], steps taken.  W [4H, I],
    U [4H, H] and b [4H] are stacked i, f, g, o.
    Source: Cooijmans et al. 2017, arXiv:1603.09025, equations 6 to 8 and section 4.

    Args:
        max_steps: how many steps have statistics of their own.
        momentum: the least share that a batch has in the running statistics, which are plain
            averages until there have been 1 / momentum batches.

    Raises:
        InputError: `max_steps` is less than 1 or `momentum` not in (0, 1].
    """

    rows_interact = True

    def __init__(
        self, input_size: int, hidden_size: int, *, max_steps: int = 100, momentum: float = 0.1
    ) -> None:
        super().__init__(input_size, hidden_size)
        if max_steps < 1:
            raise InputError(f"max_steps must be at least 1, not {max_steps}")
        if not 0 < momentum <= 1:
            raise InputError(f"momentum must be in (0, 1], not {momentum}")
        self.max_steps = max_steps
        self.momentum = momentum
        gates = 4 * hidden_size
        self.weight_x = nn.Parameter(torch.empty(gates, input_size))
        self.weight_h = nn.Parameter(torch.empty(gates, hidden_size))
        self.bias = nn.Parameter(torch.empty(gates))
        bound = hidden_size**-0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        self.norm_x = StepNorm(gates, max_steps)
        self.norm_h = StepNorm(gates, max_steps)
        self.norm_c = StepNorm(hidden_size, max_steps, shift=True)
        self.batches: Tensor
        self.register_buffer("batches", torch.zeros(max_steps, dtype=torch.int64))

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        zeros = self.weight_h.new_zeros(batch_size, self.hidden_size)
        return zeros, zeros, self.batches.new_zeros(batch_size)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Take one step; the output is h."""
        h, c, taken = state
        steps = taken.clamp(max=self.max_steps - 1)
        share: Tensor | None = None
        if self.training and len(x) > 1:
            steps = torch.unique(steps)
            self.batches[steps] += 1
            count = self.batches[steps].to(x.dtype).unsqueeze(1)
            share = count.reciprocal().clamp(min=self.momentum)
        else:
            # A batch that takes a step has taken those before it: the seen steps are the first.
            steps = torch.minimum(steps, (self.batches.count_nonzero() - 1).clamp(min=0))
        x_gates = self.norm_x(F.linear(x, self.weight_x), steps, share)
        h_gates = self.norm_h(F.linear(h, self.weight_h), steps, share)
        i, f, g, o = (x_gates + h_gates + self.bias).chunk(4, dim=1)
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(self.norm_c(c, steps, share))
        return h, (h, c, taken + 1)

    def weight_blocks(self) -> Iterator[tuple[Role, Tensor]]:
        """The blocks of the two weights, gate by gate, and the bias."""
        yield from gate_blocks(4, self.weight_x, self.weight_h, self.bias, forget_gate=1)

    def extra_repr(self) -> str:
        """Sizes and options, for printing."""
        sizes = f"{self.input_size}, {self.hidden_size}"
        return f"{sizes}, max_steps={self.max_steps}, momentum={self.momentum}"


class StepNorm(nn.Module):
    """Batch normalization with statistics for each step and one gain for all.

    Args:
        size: N, features.
        steps: how many have statistics.
        shift: whether one is learned too.
    """

    def __init__(self, size: int, steps: int, *, shift: bool = False) -> None:
        super().__init__()
        # 0.1 keeps tanh out of saturation, where gradients vanish (section 4 of the paper).
        self.gain = nn.Parameter(torch.full((size,), 0.1))
        self.shift = nn.Parameter(torch.zeros(size)) if shift else None
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(steps, size))
        self.register_buffer("variance", torch.ones(steps, size))

    def forward(self, x: Tensor, steps: Tensor, share: Tensor | None) -> Tensor:
        """Normalize float [B, N].

        Args:
            x: one step of each row.
            steps: int64; with `share` the different steps that the rows take, else each row's, [B].
            share: float, [len(steps), 1], of this batch in the running statistics; None to
                normalize by those.
        """
        if share is None:
            mean, variance = self.mean[steps], self.variance[steps]
        else:
            variance, mean = torch.var_mean(x, dim=0, correction=0)
            with torch.no_grad():
                unbiased = variance * (len(x) / (len(x) - 1))
                self.mean[steps] = torch.lerp(self.mean[steps], mean, share)
                self.variance[steps] = torch.lerp(self.variance[steps], unbiased, share)
        normal = (x - mean) * torch.rsqrt(variance + EPSILON) * self.gain
        return normal if self.shift is None else normal + self.shift
