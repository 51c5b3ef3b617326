"""Rolling origins: forecasts from several moments, each scored against what came after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqnlp.errors import InputError, suggest
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.figures import naive_error
from seqnlp_timeseries.forecast import ForecastTask
from seqnlp_timeseries.forecast_report import Forecast, Truth, scores_of
from seqnlp_timeseries.windows import Windows


@dataclass(frozen=True, kw_only=True)
class Backtest:
    """Answers and truths of all windows, by system; those of one origin have one number.

    systems: name to answers; the model is first. numbers: of the origin of each window, 0 the
    earliest.
    """

    rows: Windows
    systems: dict[str, list[Forecast]]
    truths: list[Truth]
    numbers: list[int]

    def figures(self) -> dict[str, dict[str, float]]:
        """Figures of each system over all windows."""
        return {name: scores_of(answers, self.truths) for name, answers in self.systems.items()}

    def by_origin(self, system: str) -> list[tuple[int, dict[str, float]]]:
        """The place of each origin in its series, counted from the end, and figures there."""
        found = []
        for number in sorted(set(self.numbers)):
            own = [i for i, each in enumerate(self.numbers) if each == number]
            answers = [self.systems[system][i] for i in own]
            truths = [self.truths[i] for i in own]
            found.append((own[0], scores_of(answers, truths)))
        return found


def backtest(
    task: ForecastTask, parts: Sequence[Part], *, origins: int, stride: int | None = None,
    batch_size: int = 64, name: str = "this model",
) -> Backtest:  # fmt: skip
    """Forecast from the last `origins` moments of each series, `stride` steps apart.

    The model is not trained again: origins lie behind what it has learned from, which is what
    stands before `first` in each series.

    Args:
        stride: between two origins; the horizon, where it is not given.

    Raises:
        InputError: no series has room for so many origins behind `first`.
    """
    horizon, plan = task.plan.horizon, task.plan
    step = stride or horizon
    series, places, numbers = [], [], []
    for number, part in enumerate(parts):
        begin = len(part.series.values) - horizon - (origins - 1) * step
        if begin < max(part.first, plan.minimum):
            continue
        own = begin + step * np.arange(origins)
        known = ~np.isnan(part.series.values)
        fit = np.array([known[at : at + horizon].any() and known[:at].any() for at in own])
        series += [number] * int(fit.sum())
        places += own[fit].tolist()
        numbers += np.flatnonzero(fit).tolist()
    if not places:
        room = max(len(part.series.values) - max(part.first, plan.minimum) for part in parts)
        most = max(0, (room - horizon) // step + 1)
        raise InputError(
            f"{origins} origins, {step} steps apart, with {horizon} values behind the last need "
            f"{horizon + (origins - 1) * step} values that the model has not learned from; there "
            f"are {room}, enough for {most}"
        )
    rows = Windows(parts, np.array(series), np.array(places), plan, through=task.through)
    answers = [answer for answer in task.answer(rows, batch_size=batch_size)
               if isinstance(answer, Forecast)]  # fmt: skip
    truths = [
        _truth(parts[number], place, task) for number, place in zip(series, places, strict=True)
    ]
    systems = {name: answers, **task.baseline_answers(rows)}
    return Backtest(rows=rows, systems=systems, truths=truths, numbers=numbers)


def _truth(part: Part, origin: int, task: ForecastTask) -> Truth:
    values = part.series.values[origin : origin + task.plan.horizon]
    before = part.series.values[: part.first or origin]
    return Truth(
        values=values,
        scale=naive_error(before, task.plan.season),
        series=part.name,
        origin=origin,
    )


def choose_parts(parts: Sequence[Part], names: Sequence[str]) -> list[Part]:
    """The series of these names, or all where none is given.

    Raises:
        InputError: there is no such series; the message has the nearest.
    """
    known = {part.name: part for part in parts}
    for name in names:
        if name not in known:
            raise InputError(f"no series {name!r}; {suggest(name, known)}")
    return [known[name] for name in names] if names else list(parts)
