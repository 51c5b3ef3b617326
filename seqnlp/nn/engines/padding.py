"""Padding: where rows end, and what follows from it, computed once a batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn.engines.exporting import exporting_to
from seqnlp.nn.engines.packing import Packing
from seqnlp.nn.engines.transforms import is_mapped, transforming
from seqnlp.types import lengths_to_mask


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Where the rows of a padded batch end.

    lengths: int64 [B], not all equal to `time`. time: T.
    """

    lengths: Tensor
    time: int

    @classmethod
    def of(cls, lengths: Tensor | None, x: Tensor) -> Self | None:
        """The padding of x [B, T, ...]; None where every row is full.

        On a GPU the lengths stay there unread, since a look at them would wait for the device;
        and under vmap or while a program is recorded, where they have no values.

        Raises:
            InputError: `lengths` is not int64 [B], or (on a CPU) one is not in 0..T.
        """
        if lengths is None:
            return None
        batch_size, time = x.shape[:2]
        if lengths.shape != (batch_size,) or lengths.dtype != torch.int64:
            dtype = str(lengths.dtype).removeprefix("torch.")
            raise InputError(
                f"lengths must be int64 [{batch_size}], one a row of x, "
                f"not {dtype} {list(lengths.shape)}"
            )
        if exporting_to() is not None:
            return cls(lengths=lengths, time=time)
        if lengths.device.type == "cpu" and batch_size and not is_mapped(lengths):
            values: list[int] = lengths.tolist()
            shortest, longest = min(values), max(values)
            if shortest < 0 or longest > time:
                wrong = shortest if shortest < 0 else longest
                raise InputError(
                    f"row {values.index(wrong)} has length {wrong}, but x has {time} steps"
                )
            if shortest == time:
                return None
        return cls(lengths=lengths, time=time)

    @cached_property
    def mask(self) -> Tensor:
        """Bool [B, T], True on real steps."""
        if exporting_to() is not None:  # every operation is a node of the graph
            return lengths_to_mask(self.lengths, self.time)
        return self._mask.t()

    @cached_property
    def absent(self) -> Tensor:
        """Bool [T, B, 1], time-major, True on padding."""
        return ~self._mask.unsqueeze(2)

    def zero(self, x: Tensor) -> Tensor:
        """A copy of x [B, T, D] with zeros on padding, whatever stood there; so is its gradient."""
        if exporting_to() is not None:
            return torch.where(self.mask.unsqueeze(2), x, 0)
        if x.device.type != "cpu" or is_mapped(self.lengths):
            return x.masked_fill(self.absent.transpose(0, 1), 0)
        # There torch fills number by number, several times slower than a copy; not so whole rows.
        # A product would keep NaN.
        turned = x.stride(0) < x.stride(1)
        steps = x.transpose(0, 1) if turned else x
        rows = self._absent_turned if turned else self._absent_rows
        zeroed = steps.flatten(0, 1).index_fill(0, rows, 0).view(steps.shape)
        return zeroed.transpose(0, 1) if turned else zeroed

    def last(self, x: Tensor) -> Tensor:
        """The last real step of each row of x [B, T, D], [B, D]; the first, of an empty row."""
        index = (self.lengths - 1).clamp(min=0).view(-1, 1, 1)
        return x.gather(1, index.expand(-1, 1, x.shape[2])).squeeze(1)

    def reverse(self, x: Tensor) -> Tensor:
        """Reverse the real steps of each row of x [B, T, D]; padding stays where it is.

        The result is a view of time-major storage.
        """
        batch_size, time, size = x.shape
        rows = x.transpose(0, 1).reshape(time * batch_size, size)
        return _reorder(rows, self._reversal).view(time, batch_size, size).transpose(0, 1)

    @cached_property
    def packing(self) -> Packing:
        """The real steps without the padding. Lengths on a GPU are waited for, once a batch."""
        packing = Packing.of(self.lengths.cpu())
        return packing if self.lengths.device.type == "cpu" else packing.to(self.lengths.device)

    @cached_property
    def _steps(self) -> Tensor:
        """int64 [T, 1]."""
        return torch.arange(self.time, device=self.lengths.device).unsqueeze(1)

    @cached_property
    def _mask(self) -> Tensor:
        """Bool [T, B]."""
        return self._steps < self.lengths

    @cached_property
    def _absent_rows(self) -> Tensor:
        """int64 [N]: the numbers of rows of padding among [B*T]."""
        return (~self.mask).flatten().nonzero().squeeze(1)

    @cached_property
    def _absent_turned(self) -> Tensor:
        """The same among [T*B]."""
        return self.absent.flatten().nonzero().squeeze(1)

    @cached_property
    def _reversal(self) -> Tensor:
        """int64 [T*B]: the number of the row that reversal puts in each place."""
        source = torch.where(self._mask, self.lengths - 1 - self._steps, self._steps)
        batch_size = self.lengths.shape[0]
        rows = torch.arange(batch_size, device=self.lengths.device)
        return (source * batch_size + rows).flatten()


def _reorder(rows: Tensor, index: Tensor) -> Tensor:
    if transforming():
        return rows.index_select(0, index)
    moved: Tensor = _Reversal.apply(rows, index)  # type: ignore[no-untyped-call]
    return moved


class _Reversal(torch.autograd.Function):
    """Reorder rows [N, D] by an index that is its own inverse.

    Its gradient is the same reordering, which copies rows; autograd, which must expect an index
    to repeat, would add them up one by one, several times slower.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return rows.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return _reorder(gradients[0], index), None
