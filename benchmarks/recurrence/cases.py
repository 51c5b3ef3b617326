"""What is compared with what: the cells over all sizes, stacks of two layers, ragged batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from recurrence import contenders
from recurrence.contenders import PEEPHOLE, PRODUCTS, TORCH, Batches, MyPeepholeLSTM, Size
from recurrence.timing import Call, Comparison, Effort, compare, faster
from seqnlp import registry
from seqnlp.data.batching import LengthBuckets
from seqnlp.errors import InputError
from seqnlp.nn import Cell, GatedCell, NativeForm, Padding, RecurrentEncoder, engines, quantize

MODES = ("training", "inference")
PEERS: Mapping[NativeForm, str] = {
    NativeForm.LSTM: "nn.LSTM", NativeForm.GRU: "nn.GRU",
    NativeForm.RNN_TANH: "nn.RNN", NativeForm.RNN_RELU: "nn.RNN",
}  # fmt: skip

TORCHS, LOOP, FLOOR, INT8 = "torch", "loop", "products", "int8"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One comparison.

    case: "cells", "stacked", "ragged" or "packed". cell: registered, or a module of torch.
    engine: a registered name, "torch", "loop", "products" or "int8". auto: whether it is what
    `auto` picks, and was timed by way of `auto`. peer: the module of torch.
    """

    case: str
    cell: str
    engine: str
    auto: bool
    peer: str
    mode: str
    size: str
    threads: int
    figures: Comparison

    def __str__(self) -> str:
        what = f"{self.case}: {self.mode}, {self.size}, {self.threads} threads: "
        return f"{what}{self.cell} {self.engine} / {self.peer} {self.figures.ratio}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all rows of one part of a case share. size: a `Size`, or what stands for one."""

    threads: int
    size: Size | str
    mode: str

    def input(self, device: str) -> Tensor:
        """Float [B, T, H], the same each time."""
        size = self.size
        assert isinstance(size, Size)
        torch.manual_seed(0)
        return torch.randn(size.batch, size.time, size.hidden, device=device)

    def row(
        self, case: str, cell: str, engine: str, peer: str, figures: Comparison, *, auto: bool
    ) -> Row:
        """A row of this setting."""
        return Row(
            case=case, cell=cell, engine=engine, auto=auto, peer=peer, mode=self.mode,
            size=str(self.size), threads=self.threads, figures=figures,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be timed. engines: None for all."""

    cells: Sequence[str]
    engines: Sequence[str] | None
    sizes: Sequence[Size]
    modes: Sequence[str] = MODES
    threads: Sequence[int] = (1,)
    effort: Effort = field(default_factory=Effort)
    device: str = "cpu"

    def wants(self, engine: str, *, auto: bool = False) -> bool:
        """Whether an engine is to be timed; auto: it is the one that `auto` picks."""
        return self.engines is None or engine in self.engines or (auto and "auto" in self.engines)

    def settings(self) -> Iterator[Setting]:
        """Every combination; a single row is no training."""
        for threads in self.threads:
            torch.set_num_threads(threads)
            for size in self.sizes:
                for mode in self.modes:
                    if mode == "inference" or size.batch > 1:
                        yield Setting(threads=threads, size=size, mode=mode)


def make_cell(name: str, size: int) -> Cell:
    """A registered cell, or the user's, with as many features in as out."""
    cell: Cell = registry.cells.get(name)(input_size=size, hidden_size=size)
    return cell


def register_peephole() -> None:
    """The user's own cell, a name like any other in this process."""
    registry.cells.register(PEEPHOLE)(MyPeepholeLSTM)


class Peers:
    """Torch's modules, each in the order of axes that is faster for it here."""

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._made: dict[str, Call] = {}

    def get(self, name: str, make: Callable[..., Call]) -> Call:
        """`make(batch_first=...)` in the faster order, made once for each name."""
        if name not in self._made:
            calls = {str(first): make(batch_first=first) for first in (True, False)}
            self._made[name] = calls[faster(calls, _brief(self._effort))]
        return self._made[name]


def time_cells(plan: Plan) -> Iterator[Row]:
    """Every cell and engine, torch's modules, loops and products, over all sizes."""
    for setting in plan.settings():
        yield from _time_cells_at(plan, setting)


def _time_cells_at(plan: Plan, setting: Setting) -> Iterator[Row]:
    x, mode = setting.input(plan.device), setting.mode
    peers = Peers(plan.effort)

    def peer(name: str) -> Call:
        return peers.get(name, partial(contenders.torchs, name, x, mode))

    def row(cell: str, engine: str, name: str, call: Call, *, auto: bool = False) -> Row:
        return setting.row(
            "cells", cell, engine, name, compare(call, peer(name), plan.effort), auto=auto
        )

    for name in TORCH:
        if plan.wants(TORCHS) and name != "nn.LSTM":
            yield row(name, TORCHS, "nn.LSTM", peer(name))
        if plan.wants(LOOP):
            yield row(name, LOOP, name, contenders.loop(name, x, mode))
        if plan.wants(FLOOR):
            yield row(name, FLOOR, name, _floor(name, x, mode, plan.effort))
    for name in plan.cells:
        cell = make_cell(name, x.shape[2]).to(x.device)
        for engine, auto in engines_of(plan, cell, x, mode):
            call = contenders.own(cell, x, mode, "auto" if auto else engine)
            yield row(name, engine, peer_of(cell), call, auto=auto)
        if mode == "inference" and plan.wants(INT8) and x.device.type == "cpu":
            with suppress(InputError):  # not every cell can be
                call = contenders.own(quantize(cell), x, mode, "auto")
                yield row(name, INT8, peer_of(cell), call)


def peer_of(cell: Cell) -> str:
    """The module of torch that computes the same, or nn.LSTM."""
    form = cell.native() if isinstance(cell, GatedCell) else None
    return "nn.LSTM" if form is None else PEERS[form]


def engines_of(
    plan: Plan, cell: Cell, x: Tensor, mode: str, padding: Padding | None = None
) -> list[tuple[str, bool]]:
    """The engines that run a cell on x, each with whether `auto` picks it."""
    cell.train(mode == "training")
    with torch.set_grad_enabled(mode == "training"):
        chosen = engines.select("auto", cell, x, padding=padding).name
        names = [name for name in registry.engines.names() if engines.find(name).supports(cell, x)]
    each = [(name, name == chosen) for name in names]
    return [(name, auto) for name, auto in each if plan.wants(name, auto=auto)]


def time_stacked(plan: Plan) -> Iterator[Row]:
    """Two layers in both directions, training, against torch's module of two layers."""
    for setting in plan.settings():
        if setting.mode == "training":
            yield from _time_stacked_at(plan, setting)


def _time_stacked_at(plan: Plan, setting: Setting) -> Iterator[Row]:
    x = setting.input(plan.device)
    batch, time, size = x.shape
    lengths = torch.full((batch,), time, device=x.device)
    peers = Peers(plan.effort)

    def make_peer(*, batch_first: bool) -> Call:
        module = nn.LSTM(size, size, 2, bidirectional=True, batch_first=batch_first)
        ordered = contenders.in_order(x, batch_first)
        return contenders.call_of(module, lambda x: module(x)[0], ordered, setting.mode)

    def make_own(name: str, engine: str) -> Call:
        module = RecurrentEncoder(size, cell=name, hidden_size=size, layers=2, engine=engine)
        return contenders.call_of(module, lambda x: module(x, lengths).states, x, setting.mode)

    for name in plan.cells:
        cell = make_cell(name, size).to(x.device)
        for engine, auto in engines_of(plan, cell, x, setting.mode):
            call = make_own(name, "auto" if auto else engine)
            figures = compare(call, peers.get("nn.LSTM", make_peer), plan.effort)
            yield setting.row("stacked", name, engine, "nn.LSTM", figures, auto=auto)


def time_ragged(plan: Plan, *, count: int = 12, batch: int = 64) -> Iterator[Row]:
    """Training on batches of rows of 3 to 60 steps, against nn.LSTM, padded and packed.

    Of the sizes of the plan it takes H of the first.
    """
    hidden = plan.sizes[0].hidden
    batches = make_ragged(count=count, batch=batch, hidden=hidden, device=plan.device)
    real = sum(int(lengths.sum()) for _, lengths in batches)
    padding = 1 - real / sum(x.shape[0] * x.shape[1] for x, _ in batches)
    size = f"{count} batches of {batch}, H{hidden}, {100 * padding:.0f} % padding"
    x, lengths = batches[0]
    for threads in plan.threads:
        torch.set_num_threads(threads)
        setting = Setting(threads=threads, size=size, mode="training")
        peers = Peers(plan.effort)
        for name in plan.cells:
            cell = make_cell(name, hidden).to(plan.device)
            for engine, auto in engines_of(plan, cell, x, "training", Padding.of(lengths, x)):
                call = contenders.ragged(cell, batches, "auto" if auto else engine)
                for case, make in (("ragged", contenders.padded), ("packed", contenders.packed)):
                    peer = peers.get(case, partial(make, "nn.LSTM", batches))
                    figures = compare(call, peer, plan.effort)
                    yield setting.row(case, name, engine, "nn.LSTM", figures, auto=auto)


def make_ragged(*, count: int, batch: int, hidden: int, device: str) -> Batches:
    """Batches of 3 to 60 steps, out of pools of four that are sorted; zero on padding.

    The rows of a batch are sorted too, the longest first, as packing likes them best.
    """
    random = np.random.default_rng(0)
    drawn = random.lognormal(2.8, 0.52, size=4 * count * batch).astype(np.int64)
    drawn = drawn[(drawn >= 3) & (drawn <= 60)][: count * batch]
    buckets = LengthBuckets(drawn, batch_size=batch, shuffle=True, seed=0, pool=4)
    made = []
    for rows in buckets.batches():
        lengths = torch.from_numpy(drawn[rows]).sort(descending=True).values
        x = torch.randn(len(rows), int(lengths[0]), hidden)
        x *= (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        # Packing wants the lengths on the CPU.
        made.append((x.to(device), lengths))
    return made


def _brief(effort: Effort) -> Effort:
    """For a choice among peers."""
    return replace(effort, rounds=min(5, effort.rounds), most=effort.most / 4)


def _floor(name: str, x: Tensor, mode: str, effort: Effort) -> Call:
    onednn = x.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    kinds = [by for by in PRODUCTS if onednn or by != "oneDNN"]
    calls = {by: contenders.products(name, x, mode, by=by) for by in kinds}
    return calls[faster(calls, _brief(effort))]
