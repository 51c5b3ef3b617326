"""Windows of series as rows: what is read, and the values after it that are to be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import device as Device

from seqnlp.tasks import Batch, Rows
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.options import Plan, location_and_scale
from seqnlp_timeseries.timeline import CALENDAR

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_SCALE = 0.1
"""Of the scale of the series: a window that hardly moves must not make all that follows huge."""
LARGEST = 20.0
"""Scaled values beyond it are cut before a network reads them."""
LEAST_WINDOWS, LEAST_MEASURED = 1024, 20
"""Of an epoch, and of a split that is measured."""
SHORTER = 0.2
"""The share of training windows of an epoch that read less than they could, so that a model can
answer a few values, too."""


@dataclass(frozen=True, kw_only=True)
class WindowBatch(Batch):
    """B windows of at most T values and H targets, scaled.

    inputs: float [B, T, F], of each value itself, whether it was observed, and the calendar; where
    a network reads on through the targets, T counts them too and F the lags of the next value.
    lengths: int64 [B], of inputs. past: int64 [B], values before the first target.
    lags: float [B, H, L], what the past says of each target: the last value and those one and two
    seasons before; marks: float [B, H, L], 1 where that was there. calendar: float [B, H, C], C may
    be 0. targets: float [B, H], 0 where `known`, bool [B, H], is False. loc, scale: float [B].
    """

    inputs: Tensor
    lengths: Tensor
    past: Tensor
    lags: Tensor
    marks: Tensor
    calendar: Tensor
    targets: Tensor
    known: Tensor
    loc: Tensor
    scale: Tensor

    def to(self, device: Device | str) -> WindowBatch:
        moved = {each.name: getattr(self, each.name).to(device) for each in fields(self)}
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """Rows of scaled values, float [B, N], of which some are missing.

    last: int64 [B, N], the place of the latest known value at or before each; -1 before the first.
    """

    values: Floats
    last: Ints

    @classmethod
    def of(cls, values: Floats) -> Scaled:
        """Of values with NaN where they are missing or not there yet."""
        places = np.where(np.isnan(values), -1, np.arange(values.shape[1]))
        return cls(values=np.nan_to_num(values), last=np.maximum.accumulate(places, axis=1))

    def at(self, places: Ints) -> tuple[Floats, Bools]:
        """Values [B, N] at places [B, N], or the latest before; whether that place has its own."""
        inside = np.clip(places, 0, self.values.shape[1] - 1)
        last = np.take_along_axis(self.last, inside, axis=1)
        found = np.take_along_axis(self.values, np.maximum(last, 0), axis=1)
        known = (places >= 0) & (last >= 0)
        return np.where(known, found, 0.0), known & (last == inside)

    def lags(self, places: Ints, newest: Ints, seasons: Sequence[int]) -> tuple[Floats, Floats]:
        """What is known of places [B, N] from values up to `newest` [B, N]; both [B, N, L].

        The newest value, and for each season those one and two of it before, counted from the
        first that is known. Where one is missing the newest stands for it, with mark 0.
        """
        value, own = self.at(newest)
        values, marks = [value], [own]
        for season in seasons:
            ahead = -(-(places - newest) // season)
            for more in (0, 1):
                found, known = self.at(places - season * (ahead + more))
                values.append(np.where(known, found, value))
                marks.append(known)
        return np.stack(values, axis=2), np.stack(marks, axis=2).astype(np.float64)


class Windows(Rows):
    """Windows of series, one a row.

    Args:
        parts: the series.
        series: int64 [R], of which of them each window is. origins: int64 [R], the place of its
            first target.
        plan: how they are cut and scaled.
        through: whether inputs go on through the targets, with the lags of the next value.
        begins: int64 [R], the place of the first value that is read; as far back as the plan says
            where it is not given.
    """

    def __init__(
        self, parts: Sequence[Part], series: Ints, origins: Ints, plan: Plan, *,
        through: bool, begins: Ints | None = None, notes: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.parts, self.series, self.origins, self.plan = parts, series, origins, plan
        self.through, self.notes = through, notes
        self.begins = np.maximum(origins - plan.context, 0) if begins is None else begins
        self.lengths = origins - self.begins + (plan.horizon - 1 if through else 0)
        blank = np.full(plan.horizon, np.nan)
        # Behind each series there is room for the targets of its last window.
        self._values = np.concatenate([v for part in parts for v in (part.series.values, blank)])
        sizes = [len(part.series.values) + plan.horizon for part in parts]
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64)
        self._calendar = np.zeros((len(self._values), 0))
        if plan.calendar:
            self._calendar = np.concatenate(
                [
                    part.series.timeline.calendar(np.arange(size))
                    for part, size in zip(parts, sizes, strict=True)
                ]
            )
        known = [plan.scales.get(part.name, (0.0, 0.0)) for part in parts]
        self._scales = np.array(known).reshape(-1, 2)

    def for_epoch(self, epoch: int) -> Windows:
        """At most `epoch_windows` of them, drawn anew for each epoch; some of them cut short."""
        # An epoch's choice is the same in every run: seeds of models decide their own order.
        draw = np.random.default_rng(epoch)
        chosen = np.sort(draw.permutation(len(self.origins))[: self.plan.epoch_windows])
        # Of a short series each is read several times, or an epoch would be a step or two.
        chosen = np.repeat(chosen, -(-min(LEAST_WINDOWS, self.plan.epoch_windows) // len(chosen)))
        origins, begins = self.origins[chosen], self.begins[chosen]
        shorter = origins - draw.integers(self.plan.minimum, self.plan.context + 1, len(chosen))
        cut = (draw.random(len(chosen)) < SHORTER) & (shorter > begins)
        return Windows(self.parts, self.series[chosen], origins, self.plan, through=self.through,
                       begins=np.where(cut, shorter, begins), notes=self.notes)  # fmt: skip

    def raw(self, indices: Ints) -> tuple[Floats, Ints]:
        """Values float [B, N + H] of windows and their targets, NaN behind; int64 [B] read ones."""
        past = self.origins[indices] - self.begins[indices]
        places = np.arange(int(past.max(initial=0)) + self.plan.horizon)
        base = self._offsets[self.series[indices]] + self.begins[indices]
        at = np.minimum(base[:, None] + places, len(self._values) - 1)
        inside = places < (past + self.plan.horizon)[:, None]
        return np.where(inside, self._values[at], np.nan), past

    def scales(self, values: Floats, past: Ints, indices: Ints) -> tuple[Floats, Floats]:
        """Location and scale, float [B], of windows, from what is read alone."""
        own_loc, own_scale = self._scales[self.series[indices]].T
        read = np.where(np.arange(values.shape[1]) < past[:, None], values, np.nan)
        loc, scale = location_and_scale(read, self.plan.scale_by)
        if self.plan.scaling == "series":
            trained = own_scale > 0
            loc, scale = np.where(trained, own_loc, loc), np.where(trained, own_scale, scale)
        scale = np.maximum(scale, LEAST_SCALE * own_scale)
        # A constant has no scale; its size is one.
        scale = np.where(scale > 1e-9 * np.abs(loc), scale, np.abs(loc))
        return loc, np.where(scale > 0, scale, 1.0)

    def batch(self, indices: Ints) -> WindowBatch:
        values, past = self.raw(indices)
        loc, scale = self.scales(values, past, indices)
        values = np.clip((values - loc[:, None]) / scale[:, None], -LARGEST, LARGEST)
        horizon = self.plan.horizon
        ahead = past[:, None] + np.arange(horizon)
        read = np.where(np.arange(values.shape[1]) < past[:, None], values, np.nan)
        targets = np.take_along_axis(values, ahead, axis=1)
        lags, marks = Scaled.of(read).lags(ahead, np.broadcast_to(past[:, None] - 1, ahead.shape),
                                           self.plan.seasons)  # fmt: skip
        calendar = self.calendar_of(indices, values.shape[1])
        size = int(self.lengths[indices].max(initial=0))
        inputs = step_inputs(
            Scaled.of(values if self.through else read),
            size,
            calendar,
            self.plan,
            through=self.through,
        )
        return WindowBatch(
            inputs=_tensor(inputs),
            lengths=torch.from_numpy(self.lengths[indices]),
            past=torch.from_numpy(past),
            lags=_tensor(lags),
            marks=_tensor(marks),
            calendar=_tensor(np.take_along_axis(calendar, ahead[:, :, None], axis=1)),
            targets=_tensor(np.nan_to_num(targets)),
            known=torch.from_numpy(~np.isnan(targets)),
            loc=torch.from_numpy(loc),
            scale=torch.from_numpy(scale),
        )

    def calendar_of(self, indices: Ints, size: int) -> Floats:
        """Float [B, size, C], from the first value of each window."""
        base = self._offsets[self.series[indices]] + self.begins[indices]
        at = np.minimum(base[:, None] + np.arange(size), len(self._values) - 1)
        found: Floats = self._calendar[at]
        return found


def step_inputs(
    scaled: Scaled, size: int, calendar: Floats, plan: Plan, *, through: bool
) -> Floats:
    """Float [B, size, F], what a network reads at each value; see `WindowBatch`."""
    rows = scaled.values.shape[0]
    places = np.broadcast_to(np.arange(size), (rows, size))
    return inputs_at(scaled, places, calendar, plan, through=through)


def inputs_at(
    scaled: Scaled, places: Ints, calendar: Floats, plan: Plan, *, through: bool
) -> Floats:
    """Float [B, N, F] of values at places int64 [B, N]; with `through`, of what follows each."""
    values, known = scaled.at(places)
    found = [values[:, :, None], known[:, :, None].astype(np.float64)]
    if through:
        found += scaled.lags(places + 1, places, plan.seasons)
    at = np.minimum(places + through, calendar.shape[1] - 1)
    found.append(np.take_along_axis(calendar, at[:, :, None], axis=1))
    return np.concatenate(found, axis=2)


def input_size(plan: Plan, *, through: bool) -> int:
    """F of `WindowBatch`."""
    return 2 + (2 * plan.lags if through else 0) + (CALENDAR if plan.calendar else 0)


def training_windows(
    parts: Sequence[Part], plan: Plan, *, through: bool, notes: tuple[str, ...]
) -> Windows:
    """A window for every place from which a target of the split is known."""
    return _windows(parts, plan, 1, through=through, notes=notes)


def measured_windows(parts: Sequence[Part], plan: Plan, *, through: bool) -> Windows:
    """Windows one behind the other, so that every value of the split is a target once.

    Of a split that has fewer than `LEAST_MEASURED`, windows overlap: one or two say little.
    """
    found = _windows(parts, plan, plan.horizon, through=through, notes=())
    if len(found.origins) >= LEAST_MEASURED:
        return found
    stride = max(1, plan.horizon * len(found.origins) // LEAST_MEASURED)
    return _windows(parts, plan, stride, through=through, notes=())


def _windows(
    parts: Sequence[Part], plan: Plan, stride: int, *, through: bool, notes: tuple[str, ...]
) -> Windows:
    series, origins = [], []
    for number, part in enumerate(parts):
        known = ~np.isnan(part.series.values)
        sums = np.concatenate([[0], np.cumsum(known)])
        size = len(known)
        own = np.arange(min(max(part.first, plan.minimum), size), size, stride)
        targets = sums[np.minimum(own + plan.horizon, size)] - sums[own]
        own = own[(targets > 0) & (sums[own] - sums[np.maximum(own - plan.context, 0)] > 0)]
        series.append(np.full(len(own), number))
        origins.append(own)
    return Windows(
        parts, np.concatenate(series), np.concatenate(origins), plan, through=through, notes=notes
    )


def _tensor(values: Floats) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
