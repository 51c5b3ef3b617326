"""Pictures of forecasts and of anomalies, by matplotlib, which is imported when one is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from seqnlp.errors import InputError, MissingPackageError
from seqnlp.files import write_bytes
from seqnlp_timeseries.anomaly_report import Alarms
from seqnlp_timeseries.backtest import Backtest
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.figures import runs
from seqnlp_timeseries.forecast_report import Forecast

MOST = 6
"""Series in one picture."""
_BLUE, _DARK, _RED = "#1f77b4", "#222222", "#c0392b"


def draw_forecasts(backtest: Backtest, path: Path, *, title: str) -> None:
    """What happened, medians and intervals from every origin, a panel a series; at most 6.

    Raises:
        MissingPackageError: matplotlib is not installed. InputError: the file cannot be written.
    """
    rows = backtest.rows
    answers = next(iter(backtest.systems.values()))
    numbers = list(dict.fromkeys(rows.series.tolist()))[:MOST]
    figure, panels = _panels(len(numbers), title)
    for panel, number in zip(panels, numbers, strict=True):
        own = [i for i, each in enumerate(rows.series.tolist()) if each == number]
        part, horizon = rows.parts[number], rows.plan.horizon
        first = max(0, int(rows.origins[own[0]]) - 2 * horizon)
        _values(panel, part, first)
        for i in own:
            _forecast(panel, part, answers[i], int(rows.origins[i]))
        panel.set_ylabel(part.name)
    _legend(panels[0])
    _save(figure, path)


def _forecast(panel: Any, part: Part, answer: Forecast, origin: int) -> None:
    places = np.arange(origin, origin + len(answer.quantiles))
    times = _times(part, places)
    for level in sorted(answer.intervals, reverse=True):
        low, high = answer.interval(level)
        panel.fill_between(times, low, high, color=_BLUE, alpha=0.4 - 0.3 * level, linewidth=0,
                           label=f"{100 * level:g} % interval")  # fmt: skip
    panel.plot(times, answer.median, color=_BLUE, linewidth=1.2, label="median")
    panel.axvline(times[0], color="#999999", linewidth=0.5, linestyle=":")


def draw_alarms(
    parts: Sequence[Part], answers: Sequence[Alarms], path: Path, *, title: str
) -> None:
    """Values with what was found (dots) and what is labeled (red ground), a panel a series.

    Raises:
        MissingPackageError: matplotlib is not installed. InputError: the file cannot be written.
    """
    chosen = list(zip(parts, answers, strict=True))[:MOST]
    figure, panels = _panels(len(chosen), title)
    for panel, (part, answer) in zip(panels, chosen, strict=True):
        _values(panel, part, part.first)
        if part.series.labels is not None:
            for low, high in runs(part.series.labels[part.first :]):
                edges = _times(part, part.first + np.array([low, high - 1]))
                panel.axvspan(
                    edges[0], edges[1], color=_RED, alpha=0.25, linewidth=3, label="labeled"
                )
        found = part.first + np.flatnonzero(answer.flags)
        panel.plot(_times(part, found), part.series.values[found], "o", color=_RED, markersize=3.5,
                   label="found")  # fmt: skip
        panel.set_ylabel(part.name)
    _legend(panels[0])
    _save(figure, path)


def _values(panel: Any, part: Part, first: int) -> None:
    places = np.arange(first, len(part.series.values))
    panel.plot(_times(part, places), part.series.values[first:], color=_DARK, linewidth=0.9,
               label="values")  # fmt: skip
    panel.margins(x=0.01)
    if part.series.timeline.start is not None:
        from matplotlib.dates import AutoDateLocator

        panel.xaxis.set_major_locator(AutoDateLocator(maxticks=8))  # type: ignore[no-untyped-call]


def _times(part: Part, places: np.ndarray[Any, Any]) -> Any:
    timeline = part.series.timeline
    return places + 1 if timeline.start is None else timeline.times(places)


def _panels(count: int, title: str) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "pictures need the package matplotlib; pip install 'seqnlp-timeseries[plot]'"
        ) from error
    figure = Figure(figsize=(10, 1.2 + 1.9 * count), layout="constrained")
    panels = figure.subplots(count, 1, squeeze=False, sharex=False)[:, 0]
    figure.suptitle(title, fontsize=11)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    return figure, list(panels)


def _legend(panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    panel.legend(once.values(), once.keys(), fontsize=7, ncols=len(once), loc="lower left",
                 bbox_to_anchor=(0, 1), borderaxespad=0, frameon=False)  # fmt: skip


def _save(figure: Any, path: Path) -> None:
    # By name: what matplotlib is given is bytes in memory, so that the file is written whole.
    kinds = figure.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".").lower() or "png"
    if kind not in kinds:
        raise InputError(
            f"{path}: no picture can be written as {kind!r}; known: {', '.join(sorted(kinds))}"
        )
    data = BytesIO()
    figure.savefig(data, format=kind, dpi=90)
    write_bytes(path, data.getvalue())
