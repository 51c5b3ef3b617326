"""The pictures of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqnlp.plotting import COLORS, new_figure, tidy
from seqnlp.tuning.record import Tuning
from seqnlp.tuning.space import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPLETE, BEST, PRUNED = COLORS[0], COLORS[1], "#bbbbbb"
COLUMNS = 3


def history(found: Tuning) -> Figure:
    """The figure of each trial, and the best so far."""
    figure = new_figure()
    axes = figure.add_subplot()
    for status, color in (("pruned", PRUNED), ("complete", COMPLETE)):
        points = [(t.number, t.figure) for t in found.trials if t.status == status]
        axes.plot(*zip(*points, strict=True), "o", color=color, label=status) if points else None
    pick = max if found.maximize else min
    course: list[tuple[int, float]] = []
    for trial in found.trials:
        if trial.status == "complete" and trial.figure is not None:
            best = pick(trial.figure, course[-1][1]) if course else trial.figure
            course.append((trial.number, best))
    if course:
        axes.step(*zip(*course, strict=True), where="post", color=BEST, label="best so far")
    default = found.default
    if default is not None and default.figure is not None:
        axes.axhline(default.figure, color="#555555", linestyle=":", label="without the search")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes, x="trial", y=f"{found.monitor} on validation", counts=True)
    return figure


def importances(found: Tuning) -> Figure:
    """Each key's share as a bar, the greatest on top."""
    shares = sorted(found.importances.items(), key=lambda each: each[1])
    figure = new_figure(height=0.8 + 0.35 * len(shares))
    axes = figure.add_subplot()
    axes.barh([key for key, _ in shares], [100 * share for _, share in shares], color=COMPLETE)
    tidy(axes, x="share of the variance, %")
    return figure


def keys(found: Tuning) -> Figure:
    """The figure of each trial by the value of each key."""
    rows = -(-len(found.space) // COLUMNS)
    figure = new_figure(height=2.6 * rows, width=9.0)
    for place, (key, dimension) in enumerate(found.space.items(), start=1):
        axes: Any = figure.add_subplot(rows, COLUMNS, place)
        for status, color in (("pruned", PRUNED), ("complete", COMPLETE)):
            _scatter(axes, found, key, status, color)
        if found.best is not None and key in found.best.values:
            value = _place(found.best.values[key], dimension)
            axes.plot([value], [found.best.figure], "o", color=BEST)
        if isinstance(dimension, Interval) and dimension.log:
            axes.set_xscale("log")
            if dimension.whole:
                # Sizes are read as numbers, not as powers.
                ticks = sorted(
                    {round(tick) for tick in np.geomspace(dimension.low, dimension.high, 4)}
                )
                axes.set_xticks(ticks, [str(tick) for tick in ticks])
                axes.set_xticks([], minor=True)
        tidy(axes, title=key, y=found.monitor if place % COLUMNS == 1 else "")
    return figure


def courses(found: Tuning) -> Figure:
    """The figure of each trial after each of its epochs."""
    figure = new_figure()
    axes = figure.add_subplot()
    for trial in found.trials:
        color = PRUNED if trial.status == "pruned" else COMPLETE
        color, width = (BEST, 2.0) if trial == found.best else (color, 0.9)
        axes.plot(list(trial.course), list(trial.course.values()), color=color, linewidth=width)
    tidy(axes, x="epoch", y=f"{found.monitor} on validation", counts=True)
    return figure


def _scatter(axes: Any, found: Tuning, key: str, status: str, color: str) -> None:
    points = [
        (_place(trial.values[key], found.space[key]), trial.figure)
        for trial in found.trials
        if key in trial.values and trial.status == status
    ]
    if points:
        axes.plot(*zip(*points, strict=True), "o", markersize=4, color=color)


def _place(value: object, dimension: object) -> object:
    """Numbers stand where they are, and all else by name."""
    return value if isinstance(dimension, Interval) else str(value)
