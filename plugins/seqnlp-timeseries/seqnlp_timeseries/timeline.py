"""When the values of a series are: equal steps of a clock, of business days, of months, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.datetime64]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "min": 60, "s": 1}
CALENDAR = 8
"""Features of a time: sine and cosine of the time of day, of week, of month and of year."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What lies between two values.

    unit: "s" seconds, "b" business days (Monday to Friday), "mo" months, "row" where there is no
    clock. count: how many of them.
    """

    count: int
    unit: str

    def __str__(self) -> str:
        if self.unit != "s":
            return f"{self.count}{self.unit}"
        unit = next(name for name, size in _UNITS.items() if self.count % size == 0)
        return f"{self.count // _UNITS[unit]}{unit}"

    @classmethod
    def parse(cls, text: str) -> Step:
        """The step that `str` wrote.

        >>> str(Step.parse("3h")), Step.parse("2d").count
        ('3h', 172800)
        """
        found = re.fullmatch(r"(\d+)(w|d|h|min|s|b|mo|row)", text)
        if found is None:
            raise ValueError(f"no step {text!r}; expected such as 3h, 1d, 1b, 1mo or 1row")
        count, unit = int(found[1]), found[2]
        return cls(count=count * _UNITS.get(unit, 1), unit="s" if unit in _UNITS else unit)

    @property
    def seasons(self) -> tuple[int, ...]:
        """The lengths of the seasons that such steps usually have, the shortest first."""
        if self.unit == "mo":
            return (12 // self.count,) if 12 % self.count == 0 and self.count <= 4 else ()
        if self.unit == "b":
            return (5,)
        if self.unit != "s":
            return ()
        if self.count == _UNITS["w"]:
            return (52,)
        sizes = (3_600, 86_400, 604_800)
        whole = [size // self.count for size in sizes if size % self.count == 0]
        # Seconds and minutes rarely care about the hour; hours do about day and week.
        return tuple([length for length in whole if length >= 4][-2:])


ROWS = Step(count=1, unit="row")


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Value number i is at `start` and i steps; without a start nothing is known of the clock."""

    start: np.datetime64 | None
    step: Step

    def __str__(self) -> str:
        return f"{'' if self.start is None else self.start}/{self.step}"

    @classmethod
    def parse(cls, text: str) -> Timeline:
        """The timeline that `str` wrote: "2024-01-01T00:00:00/3h"."""
        start, _, step = text.rpartition("/")
        return cls(start=np.datetime64(start, "s") if start else None, step=Step.parse(step))

    def shifted(self, steps: int) -> Timeline:
        """The timeline whose first value is number `steps` of this one."""
        if self.start is None:
            return self
        return Timeline(start=self.times(np.array([steps]))[0], step=self.step)

    def times(self, numbers: Ints) -> Times:
        """datetime64[s] [N] of values int64 [N]; only where there is a start."""
        assert self.start is not None
        count = self.step.count
        if self.step.unit == "s":
            return self.start + (numbers * count).astype("timedelta64[s]")
        day = self.start.astype("datetime64[D]")
        clock = self.start - day.astype("datetime64[s]")
        if self.step.unit == "b":
            days: Any = np.busday_offset(day, numbers * count, roll="forward")
        else:
            month = self.start.astype("datetime64[M]")
            # The 31st is the last day of a shorter month.
            place = (
                30 if _ends_month(day) else int((day - month.astype("datetime64[D]")).astype(int))
            )
            months = month + (numbers * count).astype("timedelta64[M]")
            last = (months + 1).astype("datetime64[D]") - 1
            days = np.minimum(months.astype("datetime64[D]") + place, last)
        found: Times = days.astype("datetime64[s]") + clock
        return found

    def text(self, number: int) -> str:
        """When a value is, as files have it: with the time of day where steps are parts of days."""
        if self.start is None:
            return str(number + 1)
        moment = str(self.times(np.array([number]))[0])
        whole = self.step.unit != "s" or self.step.count % 86_400 == 0
        return (
            moment.partition("T")[0]
            if whole and moment.endswith("T00:00:00")
            else moment.removesuffix(":00")
        )

    def numbers(self, times: Times) -> Ints:
        """int64 [N], which value each time datetime64[s] [N] is nearest below."""
        assert self.start is not None
        count, first = self.step.count, self.start
        if self.step.unit == "s":
            return np.asarray((times - first).astype(np.int64) // count)
        if self.step.unit == "b":
            begin = first.astype("datetime64[D]")
            return np.asarray(np.busday_count(begin, times.astype("datetime64[D]")) // count)
        months = times.astype("datetime64[M]") - first.astype("datetime64[M]")
        return np.asarray(months.astype(np.int64) // count)

    def calendar(self, numbers: Ints) -> Floats:
        """float64 [N, CALENDAR]; zeros where the clock is not known."""
        if self.start is None:
            return np.zeros((len(numbers), CALENDAR))
        times = self.times(numbers)
        days, months, years = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
        seconds = (times - days.astype("datetime64[s]")).astype(np.int64)
        week = (days.astype(np.int64) + 3) % 7 + seconds / 86_400
        of_month = (days - months.astype("datetime64[D]")).astype(np.int64)
        of_year = (days - years.astype("datetime64[D]")).astype(np.int64)
        turns = np.stack([seconds / 86_400, week / 7, of_month / 31, of_year / 365.25], axis=1)
        waves: Floats = np.concatenate([np.sin(2 * np.pi * turns), np.cos(2 * np.pi * turns)], 1)
        return waves


def parse_time(text: str) -> np.datetime64:
    """A time in ISO 8601, to the second; also a year, a month (2024-05) or a quarter (2024Q2).

    A time with an offset is that of UTC.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    if found := re.fullmatch(r"(\d{4})-?[Qq]([1-4])", text):
        text = f"{found[1]}-{3 * int(found[2]) - 2:02}-01"
    elif re.fullmatch(r"\d{4}", text):
        text += "-01-01"
    elif re.fullmatch(r"\d{4}-\d{2}", text):
        text += "-01"
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment.replace(microsecond=0), "s")


def is_time(text: str) -> bool:
    """Whether `parse_time` reads it.

    >>> is_time("2024-05-31 10:00"), is_time("2024Q2"), is_time("31.05.2024")
    (True, True, False)
    """
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def infer_step(series: Sequence[Times]) -> Step | None:
    """The step that all of these lie on, each sorted, without repetitions; None if there is none.

    The most frequent distance is the step; where it does not fit all, months and business days are
    tried.
    """
    gaps = np.concatenate([np.diff(times).astype(np.int64) for times in series])
    if not len(gaps):
        return ROWS
    days = [times.astype("datetime64[D]") for times in series]
    whole = all(
        (own.astype("datetime64[s]") == times).all()
        for own, times in zip(days, series, strict=True)
    )
    if whole and (months := _months(days)):
        return Step(count=months, unit="mo")
    values, counts = np.unique(gaps, return_counts=True)
    count = int(values[counts.argmax()])
    weekend = any((np.is_busday(own) == False).any() for own in days)  # noqa: E712 - an array
    if whole and count == 86_400 and not weekend and 3 * 86_400 in values:
        return Step(count=1, unit="b")
    if all(((times - times[0]).astype(np.int64) % count == 0).all() for times in series):
        return Step(count=count, unit="s")
    return None


def _months(days: Sequence[Times]) -> int:
    """The step in months of dates at one day of the month, or all at its end; 0 for no such."""
    if not all(_same_day(own) for own in days):
        return 0
    gaps = np.concatenate([np.diff(own.astype("datetime64[M]")).astype(np.int64) for own in days])
    values, counts = np.unique(gaps, return_counts=True)
    step = int(values[counts.argmax()])
    return step if step > 0 and not (gaps % step).any() else 0


def _same_day(days: Times) -> bool:
    within = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    return bool((within == within[0]).all() or all(_ends_month(day) for day in days))


def _ends_month(day: Any) -> bool:
    return bool((day + 1).astype("datetime64[M]") != day.astype("datetime64[M]"))


def text_of(time: np.datetime64) -> str:
    """The time as people write it: midnight is left out.

    >>> text_of(np.datetime64("2024-05-31T00:00:00")), text_of(np.datetime64("2024-05-31T10:00:00"))
    ('2024-05-31', '2024-05-31 10:00')
    """
    return str(time).replace("T", " ").removesuffix(":00").removesuffix(" 00:00")
