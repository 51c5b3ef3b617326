"""Anomalies while values arrive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seqnlp.errors import InputError
from seqnlp.nn import EncoderState
from seqnlp.tasks import Stream
from seqnlp.types import Prediction
from seqnlp_timeseries.anomaly_report import alarms_of
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.detection import Detector
from seqnlp_timeseries.networks import StepNetwork
from seqnlp_timeseries.options import Plan
from seqnlp_timeseries.reader import Series
from seqnlp_timeseries.texts import read_numbers
from seqnlp_timeseries.timeline import Step, Timeline
from seqnlp_timeseries.windows import LARGEST, Floats, Scaled, Windows, inputs_at


@dataclass(kw_only=True)
class _Block:
    """A block of values that are scored with one scaling, and where each network stands in it.

    values: scaled ones of its context and of itself, float64 [1, C + B], NaN where none is yet.
    expected: location and scale of coming values by each network, the first at place `first`.
    """

    origin: int
    begin: int
    loc: float
    scale: float
    values: Floats
    calendar: Floats
    states: list[EncoderState]
    expected: list[tuple[Floats, Floats]]
    first: int


class AlarmStream(Stream):
    """See `Stream`. A text is values between spaces; a piece may have several.

    Values are scored in the same blocks as those of a whole series: at the beginning of each the
    context before it is read anew, with its own scaling. From there on each value is read once, or
    none, where the whole block is said at its beginning.
    """

    def __init__(self, plan: Plan, detectors: Sequence[Detector]) -> None:
        self._plan, self._detectors = plan, detectors
        self.reset()

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._values: list[float] = []
        self._scores: list[float] = []
        self._start: np.datetime64 | None = None
        self._block: _Block | None = None

    def push(self, piece: str) -> Prediction:
        """See `Stream.push`.

        Raises:
            InputError: a word that is no number; what came before it in the piece is not read.
        """
        start, values = read_numbers(piece)
        if start is not None and self._values:
            raise InputError("a time stands before the first value of a series only")
        if start is None and not self._values and self._plan.calendar:
            raise InputError(
                "this model reads the calendar: begin with the time of the first value"
            )
        self._start = self._start if start is None else start
        with torch.inference_mode():
            for value in values:
                self._scores.append(self._score(value))
        return alarms_of(np.array(self._scores))

    def _score(self, value: float) -> float:
        place = len(self._values)
        ahead = place - self._plan.minimum
        if ahead >= 0 and ahead % self._plan.horizon == 0:
            self._block = self._begin(place)
        self._values.append(value)
        if self._block is None:
            return float("nan")
        return self._read(self._block, place, value)

    def _begin(self, origin: int) -> _Block:
        """A block after all values so far."""
        plan = self._plan
        part = Part(series=self._series(), first=origin)
        rows = Windows([part], np.zeros(1, dtype=np.int64), np.array([origin]), plan, through=True)
        only = np.zeros(1, dtype=np.int64)
        raw, past = rows.raw(only)
        loc, scale = rows.scales(raw, past, only)
        block = _Block(
            origin=origin,
            begin=int(rows.begins[0]),
            loc=float(loc[0]),
            scale=float(scale[0]),
            values=np.clip((raw - loc) / scale, -LARGEST, LARGEST),
            calendar=rows.calendar_of(only, raw.shape[1]),
            states=[],
            expected=[],
            first=origin,
        )
        for detector in self._detectors:
            network = detector.network
            if isinstance(network, StepNetwork):
                block.states.append(network.encoder.initial_state(1))
            else:
                # All of the block is said at once, from what is before it.
                ahead = Windows(rows.parts, rows.series, rows.origins, plan, through=False)
                batch = ahead.batch(only).to(detector.threshold.device)
                found = detector.output.location_scale(*network(batch))
                block.expected.append(_pair(*found))
        if block.states:
            self._advance(block, np.arange(int(past[0]))[None])
        return block

    def _read(self, block: _Block, place: int, value: float) -> float:
        """The score of the next value of a block; it is read where another will follow."""
        at = place - block.begin
        scaled = float(np.clip((value - block.loc) / block.scale, -LARGEST, LARGEST))
        # As a whole batch has it, in single precision.
        known = np.float32(0.0 if np.isnan(scaled) else scaled)
        scores = [
            abs(float(known) - loc[place - block.first])
            / scale[place - block.first]
            / float(detector.threshold)
            for (loc, scale), detector in zip(block.expected, self._detectors, strict=True)
        ]
        block.values[0, at] = scaled
        if block.states and place + 1 < block.origin + self._plan.horizon:
            block.first = place + 1
            self._advance(block, np.array([[at]]))
        return float("nan") if np.isnan(value) else float(np.mean(scores))

    def _advance(
        self, block: _Block, places: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    ) -> None:
        """Read values of a block, and say what comes next."""
        read = inputs_at(Scaled.of(block.values), places, block.calendar, self._plan, through=True)
        block.expected.clear()
        for number, detector in enumerate(self._detectors):
            network = detector.network
            assert isinstance(network, StepNetwork)
            x = torch.from_numpy(read.astype(np.float32)).to(detector.threshold.device)
            encoded, block.states[number] = network.encoder.advance(x, None, block.states[number])
            raw, base = network.read(x[:, -1], encoded.states[:, -1])
            block.expected.append(
                _pair(*detector.output.location_scale(raw[:, None], base[:, None]))
            )

    def _series(self) -> Series:
        timeline = Timeline(start=self._start, step=Step.parse(self._plan.step))
        return Series(name="", values=np.array(self._values), timeline=timeline)


def _pair(loc: Tensor, scale: Tensor) -> tuple[Floats, Floats]:
    return loc[0].double().cpu().numpy(), scale[0].double().cpu().numpy()
