"""Packing: the real steps of a batch, longest row first, step by step without a gap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where the N real steps of a batch lie.

    Packed rows are numbered step by step: step t has `running[t]` of them, beginning at
    `offset[t]`. A leaf of the state has B + N rows, the initial ones before those of the steps.

    steps: of the longest row. batch: B. total: N.
    order: int64 [B], the rows of the batch by falling length; None where they stand so.
    running: int32 [steps]. offset: int64 [steps].
    batch_index: int32 [N], the row of the batch. time: int32 [N]. reversed_time: the same for rows
    that are read from their end.
    previous: int32 [N], the row of a leaf that holds the state before.
    last: int64 [B], the row of a leaf that holds the final state of a row of the batch.
    ends: int64 [B], the sum of the lengths of all rows up to one, in sorted order.
    """

    steps: int
    batch: int
    total: int
    full: bool
    order: Tensor | None
    running: Tensor
    offset: Tensor
    batch_index: Tensor
    time: Tensor
    reversed_time: Tensor
    previous: Tensor
    last: Tensor
    ends: Tensor

    @classmethod
    def of(cls, lengths: Tensor) -> Packing:
        """The packing of rows of these lengths, int64 [B] on the CPU, B at least 1."""
        ordered, order = lengths.sort(descending=True, stable=True)
        steps, batch = int(ordered[0]), len(lengths)
        full = bool(ordered[-1] == ordered[0])
        times = torch.arange(steps)
        running = (ordered > times.unsqueeze(1)).sum(1)
        offset = running.cumsum(0) - running
        time, row = (torch.arange(batch) < running.unsqueeze(1)).nonzero().unbind(1)
        before = batch + offset[(time - 1).clamp_(min=0)] + row
        rank = torch.empty_like(order)
        rank[order] = torch.arange(batch)
        last = rank.clone()
        if steps:
            final = batch + offset[(lengths - 1).clamp(min=0)] + rank
            last = torch.where(lengths > 0, final, rank)
        return cls(
            steps=steps,
            batch=batch,
            total=len(time),
            full=full,
            order=None if torch.equal(order, torch.arange(batch)) else order,
            running=running.int(),
            offset=offset,
            batch_index=order[row].int(),
            time=time.int(),
            reversed_time=(ordered[row] - 1 - time).int(),
            previous=torch.where(time > 0, before, row).int(),
            last=last,
            ends=ordered.cumsum(0),
        )

    @staticmethod
    @lru_cache(maxsize=64)
    def of_full(batch: int, steps: int, device: torch.device | None = None) -> Packing:
        """The packing of rows of one length; on a device, see `to`."""
        packing = Packing.of(torch.full((batch,), steps))
        return packing if device is None else packing.to(device)

    def to(self, device: torch.device) -> Packing:
        """The same with all that indexes arrays on their device, int64 there."""
        return replace(
            self,
            order=None if self.order is None else self.order.to(device),
            batch_index=self.batch_index.to(device, torch.int64),
            time=self.time.to(device, torch.int64),
            reversed_time=self.reversed_time.to(device, torch.int64),
            previous=self.previous.to(device, torch.int64),
            last=self.last.to(device),
        )

    def cut(self, threads: int) -> Tensor:
        """Where to cut the rows for so many threads, int64 [threads + 1], work for work."""
        shares = self.total * torch.arange(threads + 1) // threads
        cuts = torch.searchsorted(self.ends, shares, right=True)
        cuts[0], cuts[-1] = 0, self.batch
        return cuts
