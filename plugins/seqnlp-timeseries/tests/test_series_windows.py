"""Windows against what they are, value by value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.options import Plan, location_and_scale
from seqnlp_timeseries.reader import Series
from seqnlp_timeseries.timeline import ROWS, Step, Timeline
from seqnlp_timeseries.windows import measured_windows, training_windows

SERIES = [3.0, 5.0, math.nan, 4.0, 8.0, 6.0, 1.0, 7.0, 9.0, 2.0, 4.0, 5.0, 3.0, 6.0, 8.0, 1.0]


def plan(**changes) -> Plan:  # type: ignore[no-untyped-def]
    given = {
        "horizon": 3, "context": 6, "minimum": 2, "seasons": (4,), "step": "1row",
        "scaling": "window", "scale_by": "std", "calendar": False, "epoch_windows": 1000, "scales": {},
    }  # fmt: skip
    return Plan(**{**given, **changes})


def part(values, first: int = 0, timeline: Timeline | None = None) -> Part:  # type: ignore[no-untyped-def]
    timeline = timeline or Timeline(start=None, step=ROWS)
    return Part(series=Series(name="a", values=np.array(values), timeline=timeline), first=first)


def expected_lags(window: list[float], ahead: int, season: int) -> list[float]:
    """The last known value, then those one and two seasons before the target, or the last."""
    known = [value for value in window if not math.isnan(value)]
    found = [known[-1]]
    target = len(window) - 1 + ahead
    place = target
    while place >= len(window):
        place -= season
    for each in (place, place - season):
        fine = each >= 0 and not math.isnan(window[each])
        found.append(window[each] if fine else known[-1])
    return found


def test_a_window_is_its_past_scaled_and_the_lags_of_each_target() -> None:
    rows = training_windows([part(SERIES)], plan(), through=False, notes=())
    for row in range(len(rows.origins)):
        batch = rows.batch(np.array([row]))
        origin = int(rows.origins[row])
        window = SERIES[max(0, origin - 6) : origin]
        known = np.array([value for value in window if not math.isnan(value)])
        loc, scale = known.mean(), known.std() or abs(known.mean())
        assert float(batch.loc) == pytest.approx(loc)
        assert float(batch.scale) == pytest.approx(scale)
        inputs = batch.inputs[0, : len(window)].numpy() * [scale, 1] + [loc, 0]
        marks = [0.0 if math.isnan(value) else 1.0 for value in window]
        np.testing.assert_array_equal(inputs[:, 1], marks)
        np.testing.assert_allclose(inputs[np.array(marks) > 0, 0], known, rtol=1e-5)
        for ahead in range(3):
            lags = batch.lags[0, ahead].numpy() * scale + loc
            np.testing.assert_allclose(lags, expected_lags(window, ahead + 1, 4), rtol=1e-5)
            place = origin + ahead
            there = place < len(SERIES) and not math.isnan(SERIES[place])
            assert bool(batch.known[0, ahead]) == there
            if there:
                value = float(batch.targets[0, ahead]) * scale + loc
                assert value == pytest.approx(SERIES[place], rel=1e-5)


def test_batches_have_the_rows_that_they_have_alone() -> None:
    for through in (False, True):
        rows = training_windows([part(SERIES), part(SERIES[:7])], plan(), through=through, notes=())
        whole = rows.batch(np.arange(len(rows.origins)))
        for row in range(len(rows.origins)):
            one = rows.batch(np.array([row]))
            size = int(one.lengths)
            torch.testing.assert_close(whole.inputs[row, :size], one.inputs[0, :size])
            torch.testing.assert_close(whole.lags[row], one.lags[0])
            torch.testing.assert_close(whole.targets[row], one.targets[0])
            assert whole.loc[row] == one.loc[0]


@given(st.integers(0, 15), st.floats(-50, 50, allow_subnormal=False))
@settings(max_examples=60, deadline=None)
def test_no_input_knows_a_target_or_what_is_behind_it(place: int, value: float) -> None:
    changed = list(SERIES)
    changed[place] = value
    rows = [
        training_windows([part(own)], plan(), through=False, notes=()) for own in (SERIES, changed)
    ]
    for row in range(len(rows[0].origins)):
        origin = int(rows[0].origins[row])
        if place < origin or origin not in rows[1].origins:
            continue
        own = int(np.flatnonzero(rows[1].origins == origin)[0])
        one, other = rows[0].batch(np.array([row])), rows[1].batch(np.array([own]))
        for name in ("inputs", "lags", "marks", "loc", "scale"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)


def test_inputs_that_go_on_through_the_targets_know_the_lags_of_the_next_value() -> None:
    rows = training_windows([part(SERIES)], plan(), through=True, notes=())
    batch = rows.batch(np.array([len(rows.origins) - 4]))
    origin = int(rows.origins[-4])
    window = SERIES[origin - 6 : origin + 3]
    loc, scale = float(batch.loc), float(batch.scale)
    assert int(batch.lengths) == 8
    for place in range(8):
        lags = batch.inputs[0, place, 2:5].numpy() * scale + loc
        np.testing.assert_allclose(lags, expected_lags(window[: place + 1], 1, 4), rtol=1e-4)


def test_measured_windows_say_each_value_of_a_split_once() -> None:
    long, short = np.arange(100.0), SERIES
    rows = measured_windows([part(long, first=5), part(short, first=15)], plan(), through=False)
    said = [
        (series, origin + ahead)
        for series, origin in zip(rows.series.tolist(), rows.origins.tolist(), strict=True)
        for ahead in range(3)
        if origin + ahead < (100, 16)[series]
    ]
    assert sorted(said) == [*((0, place) for place in range(5, 100)), (1, 15)]


def test_few_measured_windows_overlap() -> None:
    rows = measured_windows([part(SERIES, first=10)], plan(), through=False)
    assert rows.origins.tolist() == [10, 11, 12, 13, 14, 15]


def test_an_epoch_draws_windows_and_cuts_some_of_them_short() -> None:
    values = np.arange(400.0)
    rows = training_windows(
        [part(values)], plan(epoch_windows=100, context=20), through=False, notes=()
    )
    first, again, second = rows.for_epoch(1), rows.for_epoch(1), rows.for_epoch(2)
    np.testing.assert_array_equal(first.origins, again.origins)
    assert (first.origins != second.origins).any()
    assert len(first.origins) == 100
    read = first.origins - first.begins
    assert (read < 20).mean() == pytest.approx(0.2, abs=0.12)
    assert (read >= 2).all()


def test_scales_by_hand() -> None:
    values = np.array([[1.0, math.nan, 3.0, 8.0], [math.nan] * 4])
    loc, scale = location_and_scale(values, "std")
    np.testing.assert_allclose([loc, scale], [[4, 0], [np.std([1, 3, 8]), 0]])
    loc, scale = location_and_scale(values, "mean")
    np.testing.assert_allclose([loc, scale], [[0, 0], [4, 0]])
    loc, scale = location_and_scale(values, "median")
    np.testing.assert_allclose([loc, scale], [[3, 0], [(5.5 - 2) / 1.349, 0]])


def test_the_scale_of_a_series_is_that_of_train() -> None:
    rows = measured_windows(
        [part(SERIES, first=8)], plan(scaling="series", scales={"a": (100.0, 7.0)}), through=False
    )
    batch = rows.batch(np.array([0, 1]))
    assert batch.loc.tolist() == [100, 100]
    assert batch.scale.tolist() == [7, 7]


def test_a_constant_window_has_a_scale() -> None:
    rows = training_windows([part([5.0] * 9)], plan(seasons=()), through=False, notes=())
    assert rows.batch(np.array([3])).scale.tolist() == [5]
    zeros = training_windows([part([0.0] * 9)], plan(seasons=()), through=False, notes=())
    assert zeros.batch(np.array([3])).scale.tolist() == [1]


def test_the_calendar_is_that_of_each_place() -> None:
    timeline = Timeline(start=np.datetime64("2024-03-01T06:00", "s"), step=Step.parse("6h"))
    rows = training_windows(
        [part(SERIES, timeline=timeline)], plan(calendar=True), through=False, notes=()
    )
    batch = rows.batch(np.array([len(rows.origins) - 1]))
    # The last value, number 15, is at midnight of Tuesday, 2024-03-05.
    waves = batch.calendar[0, 0].numpy()
    of_day, of_week = np.arctan2(waves[:2], waves[4:6]) / (2 * np.pi)
    assert float(of_day) == pytest.approx(0, abs=1e-6)
    assert float(of_week) == pytest.approx(1 / 7, abs=1e-6)
    nothing = training_windows([part(SERIES)], plan(calendar=True), through=False, notes=())
    assert not nothing.batch(np.array([0])).calendar.any()
