"""The Neural Turing Machine."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import State
from seqnlp_memory.base import Controller, MemoryCell, check_size

TINY = 1e-12
"""Below the square of a number that matters: keeps roots and logarithms of zero finite."""
EMPTY = 1e-6
"""What every number of the memory is before the first step."""


class NTMCell(MemoryCell):
    r"""Neural Turing Machine: a controller with heads that move over a memory and read and write.

    Every head has a weight w(i) on each slot i of the memory M. At a step it is moved, by content
    and then by location:

        w_c = softmax_i(beta * cosine(k, M(i)))           w_g = g * w_c + (1 - g) * w
        w_s(i) = sum_j s(j) * w_g(i - j)                  w'(i) = w_s(i)^gamma / sum_j w_s(j)^gamma

    with j from -shift to shift, around the ends of the memory. Then all write heads erase, all add,
    and the read heads read what stands there now:

        M'(i) = M(i) * prod (1 - w'(i) * e) + sum w'(i) * a        r' = sum_i w'(i) * M'(i)

    k and a go through tanh, e and g through a sigmoid, beta and gamma - 1 through softplus, s
    through softmax; all are one product with the controller's output. No weight depends on the
    number of slots, so that a trained cell can be given a longer memory.

    x: float [B, I].  state: (h, c, r, w, M), w float [B, A, N] of A heads, those that read first, M
    float [B, N, W]; see `MemoryCell` for the rest. Heads start on slot 0, M at 1e-6.
    Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, equations 2 to 9; the small constant
    to start from is of Collier and Beel 2018, arXiv:1807.08518.

    Args:
        slots: N, places of the memory.
        width: W, features of a place.
        read_heads: how many heads read.
        write_heads: how many erase and add.
        shift: how many places a head can move at a step.
        controller: "lstm", or "feedforward", which remembers by the memory alone.

    Raises:
        InputError: a size that cannot be.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        slots: int = 128,
        width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        shift: int = 1,
        controller: Controller = "lstm",
    ) -> None:
        check_size("slots", slots)
        check_size("width", width)
        check_size("read_heads", read_heads)
        check_size("write_heads", write_heads)
        if not 0 <= 2 * shift < slots:
            raise InputError(
                f"shift must be at least 0 and below half of {slots} slots, not {shift}"
            )
        heads, moves = read_heads + write_heads, 2 * shift + 1
        self._sizes = [(heads + write_heads) * width, write_heads * width + heads, 2 * heads,
                       heads * moves]  # fmt: skip
        super().__init__(
            input_size,
            hidden_size,
            controller=controller,
            interface_size=sum(self._sizes),
            read_size=read_heads * width,
        )
        self.slots, self.width, self.shift = slots, width, shift
        self.read_heads, self.write_heads = read_heads, write_heads

    def initial_memory(self, batch_size: int) -> State:
        """Heads on slot 0, and a memory that is all but zero."""
        like = self.first_reads
        heads = like.new_zeros(batch_size, self.read_heads + self.write_heads, self.slots)
        heads[..., 0] = 1
        return heads, like.new_full((batch_size, self.slots, self.width), EMPTY)

    def access(self, interface: Tensor, memory: State) -> tuple[Tensor, State]:
        """See `MemoryCell.access` and the class."""
        weights, slots = memory
        heads, writers = self.read_heads + self.write_heads, self.write_heads
        vectors, units, scales, moves = torch.split(interface, self._sizes, 1)
        rows = torch.tanh(vectors).view(-1, heads + writers, self.width)
        keys, adds = torch.split(rows, [heads, writers], 1)
        erases, gates = torch.split(torch.sigmoid(units), [writers * self.width, heads], 1)
        beta, gamma = F.softplus(scales).unsqueeze(2).chunk(2, 1)
        moves = torch.softmax(moves.reshape(-1, heads, 2 * self.shift + 1), 2)

        content = torch.softmax(beta * cosine(keys, slots), 2)
        weights = torch.lerp(weights, content, gates.unsqueeze(2))
        weights = sharpen(rotate(weights, moves), 1 + gamma)

        reading, writing = torch.split(weights, [self.read_heads, writers], 1)
        erasing = erases.reshape(-1, writers, self.width)
        written = writing.transpose(1, 2)
        whole = slots.new_ones(1, 1, 1)
        for at, erase in zip(torch.split(written, 1, 2), torch.split(erasing, 1, 1), strict=True):
            slots = slots * torch.baddbmm(whole, at, erase, alpha=-1)
        slots = torch.baddbmm(slots, written, adds)
        return torch.bmm(reading, slots).flatten(1), (weights, slots)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return (
            f"{self.input_size}, {self.hidden_size}, slots={self.slots}, width={self.width}, "
            f"read_heads={self.read_heads}, write_heads={self.write_heads}, shift={self.shift}"
        )


def cosine(keys: Tensor, slots: Tensor) -> Tensor:
    """Cosine similarity of each key and each slot, from [B, A, W] and [B, N, W] to [B, A, N]."""
    squares = (keys * keys).sum(2, keepdim=True) * (slots * slots).sum(2).unsqueeze(1)
    return torch.bmm(keys, slots.transpose(1, 2)) * torch.rsqrt(squares + TINY)


def rotate(weights: Tensor, moves: Tensor) -> Tensor:
    """Circular convolution: weights [B, A, N] moved by -s to s places, by moves [B, A, 2s+1]."""
    shift = moves.shape[2] // 2
    if not shift:
        return weights
    around = torch.cat((weights[..., -shift:], weights, weights[..., :shift]), 2)
    # Window i begins at slot i - s, where the weight that moves by s comes from.
    windows = around.unfold(2, moves.shape[2], 1)
    return torch.matmul(windows, moves.flip(2).unsqueeze(3)).squeeze(3)


def sharpen(weights: Tensor, gamma: Tensor) -> Tensor:
    """weights^gamma, made to sum to 1 over the slots; gamma float [B, A, 1], at least 1."""
    return torch.softmax(gamma * torch.log(weights + TINY), 2)
