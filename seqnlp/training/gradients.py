"""The gradients of processes that train together, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.training.distributed import FLAGS, Group

LARGE = 1 << 18
"""Numbers of a table from which on it pays to send the rows alone that were read."""


class Gradients:
    """Adds up what each process has of the gradients of one task's weights.

    Of a large embedding table only the rows that a batch has read are sent, since such tables hold
    most of the weights and a batch reads few of their rows. All else travels as one piece. Sums are
    made in the order of the processes: they are the same bits in all of them, and whenever they are
    made again.

    Args:
        task: on its device. On a CPU its large tables give their gradients by rows until `close`.
        group: who takes part.
    """

    def __init__(self, task: nn.Module, group: Group) -> None:
        self.group = group
        self.weights = [weight for weight in task.parameters() if weight.requires_grad]
        self._embeddings: list[TokenEmbedding] = []
        tables: list[nn.Parameter] = []
        # A GPU adds whole tables up faster than it finds their rows.
        if group.size > 1 and self.weights[0].device.type == "cpu":
            tables = self._ask_for_rows(task)
        self._plan = None if group.size == 1 else _Plan(self.weights, tables, group)

    def _ask_for_rows(self, task: nn.Module) -> list[nn.Parameter]:
        """Let the large tables give gradients by rows, but for those that other layers use too."""
        uses = Counter(id(weight) for _, weight in task.named_parameters(remove_duplicate=False))
        tables: list[nn.Parameter] = []
        for module in task.modules():
            if isinstance(module, TokenEmbedding):
                found = {
                    name: weight
                    for name, weight in module.named_parameters(recurse=False)
                    if weight.requires_grad and weight.numel() >= LARGE and uses[id(weight)] == 1
                }
                module.rows_alone = frozenset(found)
                self._embeddings.append(module)
                tables += found.values()
        return tables

    def close(self) -> None:
        """Let the tables give gradients as ever."""
        for embedding in self._embeddings:
            embedding.rows_alone = frozenset()

    def reduce(
        self, total: float, units: float, meanwhile: Callable[[], None] = lambda: None
    ) -> tuple[float, float]:
        """Make of each process's gradients of its sum the gradient of the mean over all.

        Where no process has a gradient for a weight, there is none afterwards, but for tables.

        Args:
            total: the loss of this process's rows, in nats, of which the gradients are.
            units: what it is a sum over; 0 where the process had no rows.
            meanwhile: is called while rows are on their way.

        Returns:
            total and units of all processes, to float32.
        """
        if self._plan is not None:
            return self._plan.exchange(total, units, meanwhile)
        torch._foreach_div_([w.grad for w in self.weights if w.grad is not None], units)
        return total, units


class _Plan:
    """How the gradients of the weights are laid out in two messages.

    The head is float32 and is added up: total, units, flags, how much each process will send of
    each table, how many have each of the dense gradients, and these. The tail is int32 and comes
    from each process: of each table the ids of the rows, for how many of them in turn each gradient
    stands, and then the bits of the gradients.

    Args:
        weights: all of them.
        tables: those of which rows are sent.
        group: who takes part.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter], tables: Sequence[nn.Parameter], group: Group
    ) -> None:
        of_tables = {id(table) for table in tables}
        self.dense = [weight for weight in weights if id(weight) not in of_tables]
        self.tables, self.group = tables, group
        own = 2 * len(tables)
        self.flags = slice(2, 2 + len(FLAGS))
        self.counts = slice(self.flags.stop, self.flags.stop + group.size * own)
        self.own_counts = slice(self.counts.start + group.rank * own,
                                self.counts.start + (group.rank + 1) * own)  # fmt: skip
        self.there = slice(self.counts.stop, self.counts.stop + len(self.dense))
        sizes = [weight.numel() for weight in self.dense]
        self.head = weights[0].new_zeros(self.there.stop + sum(sizes))
        pieces = torch.split(self.head[self.there.stop :], sizes)
        self.pieces = [p.view_as(w) for p, w in zip(pieces, self.dense, strict=True)]
        self.buffers = [torch.zeros_like(table) for table in tables]
        # Fresh memory costs as much as what is done with it.
        self.tails = self.head.new_empty(group.size + 1, 0, dtype=torch.int32)

    def exchange(
        self, total: float, units: float, meanwhile: Callable[[], None]
    ) -> tuple[float, float]:
        """Give every weight its gradient of the mean over all processes; total and units of all."""
        parts = [_rows_of(table) for table in self.tables]
        self._fill_head(total, units, [len(each) for ids, runs, _ in parts for each in (ids, runs)])
        self.group.add_up(self.head)
        numbers = self.head[: self.there.stop].tolist()
        total, units = numbers[:2]
        self.group.hear(numbers[self.flags])
        self.head[self.there.stop :].div_(units)
        there = numbers[self.there]
        for weight, piece, count in zip(self.dense, self.pieces, there, strict=True):
            weight.grad = piece if count else None
        if self.tables:
            shape = self.group.size, len(self.tables), 2
            counts = self.head[self.counts].view(shape).to(torch.int64).tolist()
            self._exchange_rows(parts, counts, units, meanwhile)
        return total, units

    def _fill_head(self, total: float, units: float, counts: Sequence[int]) -> None:
        head, gradients = self.head, [weight.grad for weight in self.dense]
        there = [gradient is not None for gradient in gradients]
        numbers = [0.0] * self.there.stop
        numbers[:2] = total, units
        numbers[self.flags] = self.group.said()
        numbers[self.own_counts] = map(float, counts)
        numbers[self.there] = map(float, there)
        if not all(there):
            head.zero_()
        head[: self.there.stop] = torch.tensor(numbers)
        for piece, gradient in zip(self.pieces, gradients, strict=True):
            if gradient is not None:
                piece.copy_(gradient)

    def _exchange_rows(
        self,
        parts: Sequence[tuple[Tensor, Tensor, Tensor]],
        counts: list[list[tuple[int, int]]],
        units: float,
        meanwhile: Callable[[], None],
    ) -> None:
        widths = [table.shape[1] for table in self.tables]
        most = max(
            sum(n + m * (1 + w) for (n, m), w in zip(each, widths, strict=True)) for each in counts
        )
        pieces = [piece.view(torch.int32).reshape(-1) for part in parts for piece in part]
        if self.tails.shape[1] < most:
            self.tails = self.tails.new_empty(len(self.tails), most * 5 // 4)
        own_tail, *tails = [tail[:most] for tail in self.tails.unbind()]
        torch.cat(pieces, out=own_tail[: sum(piece.numel() for piece in pieces)])
        finish = self.group.begin_to_collect(own_tail, tails) if most else lambda: None
        for buffer, table in zip(self.buffers, self.tables, strict=True):
            buffer.zero_()
            table.grad = buffer
        meanwhile()
        finish()
        for tail, own in zip(tails, counts, strict=True):
            begin = 0
            for buffer, (n, m), width in zip(self.buffers, own, widths, strict=True):
                ids, runs = tail[begin : begin + n], tail[begin + n : begin + n + m]
                begin += n + m
                bits = tail[begin : begin + m * width]
                begin += m * width
                rows = bits.view(buffer.dtype).view(m, width)
                rows = rows.repeat_interleave(runs, 0, output_size=n)
                buffer.index_add_(0, ids, rows, alpha=1 / units)


def _rows_of(table: nn.Parameter) -> tuple[Tensor, Tensor, Tensor]:
    """The ids int32 [N] of rows with a gradient; runs int32 [M]; gradients [M, D].

    Each gradient is that of so many rows in turn as its run says: the n-grams of a word have the
    same. A row may come several times, unless that would be much to send.
    """
    gradient = table.grad
    if gradient is None:
        nothing = torch.empty(0, dtype=torch.int32)
        return nothing, nothing, table.new_empty(0, table.shape[1])
    if not gradient.is_sparse:
        ids = torch.arange(len(table), dtype=torch.int32)
        return ids, torch.ones_like(ids), gradient
    if gradient._nnz() > 2 * len(table):
        gradient = gradient.coalesce()
    ids, rows = gradient._indices()[0].to(torch.int32), gradient._values()
    first = torch.ones(len(rows), dtype=torch.bool)
    torch.any(rows[1:] != rows[:-1], 1, out=first[1:])
    places = first.nonzero().squeeze(1)
    ends = torch.cat([places[1:], places.new_tensor([len(rows)])])
    return ids, (ends - places).to(torch.int32), rows[places]
