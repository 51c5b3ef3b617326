"""Learning curves: the figure that validation is chosen by, over epochs and over time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from seqnlp.comparison.runs import System
from seqnlp.plotting import COLORS, new_figure, save_figure, tidy

STYLES = ("-", "--", ":", "-.")
"""Of lines, each for as many systems as there are colors."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One training. figures: of validation after each epoch. seconds: of training until then."""

    figures: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Band:
    """Several curves, as far as all go: mean, least and greatest value of each epoch."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def monitored(systems: Sequence[System]) -> str:
    """The figure of validation that the epochs of the first run were chosen by."""
    return systems[0].runs[0].settings.train.monitor


def curves_of(system: System, figure: str) -> list[Curve]:
    """A curve for each member of each run that was validated by that figure."""
    found = []
    for records in itertools.chain.from_iterable(run.epochs for run in system.runs):
        known = [record for record in records if record.get(figure) is not None]
        if known:
            seconds = itertools.accumulate(float(r.get("train_seconds", 0.0)) for r in known)
            values = tuple(float(record[figure]) for record in known)
            found.append(Curve(figures=values, seconds=tuple(seconds)))
    return found


def band_of(curves: Sequence[Curve]) -> Band:
    """Mean and range of the curves of at least one training."""
    epochs = list(zip(*(curve.figures for curve in curves), strict=False))
    return Band(
        mean=tuple(map(fmean, epochs)), low=tuple(map(min, epochs)), high=tuple(map(max, epochs))
    )


def draw(systems: Sequence[System], figure: str, path: Path) -> None:
    """Draw the curves of all systems: over epochs with their range, and over seconds.

    Each training is a thin line. The thick one is the mean, as far as all trainings of a system
    go; it ends where the first of them stopped.

    Raises:
        InputError: the file cannot be written.
    """
    drawn = new_figure(10.0, 4.0)
    by_epoch, by_time = drawn.subplots(1, 2, sharey=True)
    for number, system in enumerate(systems):
        curves = curves_of(system, figure)
        if not curves:
            continue
        color = COLORS[number % len(COLORS)]
        style = STYLES[number // len(COLORS) % len(STYLES)]
        band = band_of(curves)
        epochs = range(1, len(band.mean) + 1)
        by_epoch.plot(epochs, band.mean, style, color=color, linewidth=1.8, label=system.name,
                      marker="o", markersize=3)  # fmt: skip
        if len(curves) > 1:
            by_epoch.fill_between(epochs, band.low, band.high, color=color, alpha=0.15, linewidth=0)
        for curve in curves:
            whole = range(1, len(curve.figures) + 1)
            if len(curves) > 1:
                by_epoch.plot(whole, curve.figures, style, color=color, linewidth=0.6, alpha=0.5)
            by_time.plot(curve.seconds, curve.figures, style, color=color, linewidth=1.0,
                         marker="o", markersize=2)  # fmt: skip
    several = any(len(curves_of(system, figure)) > 1 for system in systems)
    title = "mean and range over seeds" if several else ""
    tidy(by_epoch, title=title, x="epoch", y=f"{figure} on validation", counts=True)
    tidy(by_time, title="each training" if several else "", x="seconds of training")
    if by_epoch.get_legend_handles_labels()[0]:
        drawn.legend(loc="outside lower center", ncols=min(4, len(systems)), fontsize=8)
    save_figure(drawn, path)
