"""The Differentiable Neural Computer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seqnlp.nn import State
from seqnlp_memory.base import Controller, MemoryCell, check_size
from seqnlp_memory.ntm import cosine

MODES = 3
SAME = 1e-4
"""Usages that differ by less count as equal."""


class DNCCell(MemoryCell):
    r"""Differentiable Neural Computer: a memory that knows what is free, and what followed what.

    One head writes, by content or where the usage u says that a place is free; the link matrix L
    keeps the order of writing, so that read heads can go on from where they are, or back:

        u' = (u + w - u * w) * prod_i (1 - f_i * v_i)     a = allocation(u')
        w' = g_w * (g_a * a + (1 - g_a) * content(M, k_w, beta_w))
        M' = M * (1 - w' e) + w' z
        L'(i, j) = (1 - w'(i) - w'(j)) * L(i, j) + w'(i) * p(j)     p' = (1 - sum w') * p + w'
        v'_i = m_1 * L'^T v_i + m_2 * content(M', k_i, beta_i) + m_3 * L' v_i     r_i = M'^T v'_i

    e, f and the gates g go through a sigmoid, the modes m of a head through softmax, beta is 1 +
    softplus; content is a softmax over cosines. No weight depends on the number of slots.

    x: float [B, I].  state: (h, c, r, u, w, p, v, L, M), u, w, p float [B, N], v [B, A, N] of A
    read heads, L [B, N, N], M [B, N, W], all zero at the start; see `MemoryCell` for the rest. A
    step takes time and memory quadratic in N.
    Source: Graves et al. 2016, "Hybrid computing using a neural network with dynamic external
    memory", Nature 538, Methods.

    Args:
        slots: N, places of the memory.
        width: W, features of a place.
        read_heads: A.
        controller: "lstm", or "feedforward", which remembers by the memory alone.

    Raises:
        InputError: a size that cannot be.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        slots: int = 32,
        width: int = 20,
        read_heads: int = 1,
        controller: Controller = "lstm",
    ) -> None:
        check_size("slots", slots)
        check_size("width", width)
        check_size("read_heads", read_heads)
        # Keys of the read heads and the write key; strengths; erase, free gates and the two gates.
        self._sizes = [(read_heads + 1) * width, read_heads + 1, width, width + read_heads + 2,
                       read_heads * MODES]  # fmt: skip
        super().__init__(
            input_size,
            hidden_size,
            controller=controller,
            interface_size=sum(self._sizes),
            read_size=read_heads * width,
        )
        self.slots, self.width, self.read_heads = slots, width, read_heads

    def initial_memory(self, batch_size: int) -> State:
        """Zeros: all is free, nothing was written."""
        zeros, size = self.first_reads.new_zeros, self.slots
        return (
            *(zeros(batch_size, size) for _ in range(3)),
            zeros(batch_size, self.read_heads, size),
            zeros(batch_size, size, size),
            zeros(batch_size, size, self.width),
        )

    def access(self, interface: Tensor, memory: State) -> tuple[Tensor, State]:
        """See `MemoryCell.access` and the class."""
        usage, writing, order, reading, links, slots = memory
        heads, width = self.read_heads, self.width
        keys, strengths, values, units, modes = torch.split(interface, self._sizes, 1)
        keys = keys.view(-1, heads + 1, width)
        strengths = 1 + F.softplus(strengths).unsqueeze(2)
        erase, free, gates = torch.split(torch.sigmoid(units), [width, heads, 2], 1)
        modes = torch.softmax(modes.reshape(-1, heads, MODES, 1), 2)

        retained = torch.prod(1 - free.unsqueeze(2) * reading, 1)
        usage = (usage + writing - usage * writing) * retained
        content = torch.softmax(strengths[:, -1:] * cosine(keys[:, -1:], slots), 2).squeeze(1)
        write, allocate = gates.chunk(2, 1)
        writing = write * torch.lerp(content, free_place(usage), allocate)
        at = writing.unsqueeze(2)
        slots = slots * torch.baddbmm(slots.new_ones(1, 1, 1), at, erase.unsqueeze(1), alpha=-1)
        slots = torch.baddbmm(slots, at, values.unsqueeze(1))

        links = (1 - at - writing.unsqueeze(1)) * links + at * order.unsqueeze(1)
        links = links * (1 - torch.eye(self.slots, dtype=links.dtype, device=links.device))
        order = (1 - writing.sum(1, keepdim=True)) * order + writing
        content = torch.softmax(strengths[:, :-1] * cosine(keys[:, :-1], slots), 2)
        ahead = torch.bmm(reading, links.transpose(1, 2))
        reading = (
            modes[:, :, 0] * torch.bmm(reading, links)
            + modes[:, :, 1] * content
            + modes[:, :, 2] * ahead
        )
        reads = torch.bmm(reading, slots).flatten(1)
        return reads, (usage, writing, order, reading, links, slots)

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return (
            f"{self.input_size}, {self.hidden_size}, slots={self.slots}, width={self.width}, "
            f"read_heads={self.read_heads}"
        )


def free_place(usage: Tensor) -> Tensor:
    """Weights on the places that are used the least, from usage float [B, N] to [B, N].

    The j-th freest place gets 1 - its usage times that of all freer ones; of places that are used
    equally the first is the freest.
    """
    # The order of two places matters even where they are used equally: rounding must not decide it.
    places = torch.sort(torch.round(usage.detach() / SAME), dim=1, stable=True).indices
    ordered = usage.gather(1, places)
    before = torch.cumprod(torch.cat((torch.ones_like(ordered[:, :1]), ordered[:, :-1]), 1), 1)
    return torch.zeros_like(usage).scatter(1, places, (1 - ordered) * before)
