"""Pictures by matplotlib, which is imported when one is drawn, and curves as a line of text."""

from __future__ import annotations

import io
import itertools
import math
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqnlp.errors import InputError, MissingPackageError
from seqnlp.files import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
"""The endings of a picture."""
COLORS = ("#1f77b4", "#d95f02", "#2a9d5c", "#c0392b", "#7570b3", "#8c6d31", "#555555", "#e377c2")
"""One for each curve, in their order."""
BARS = "▁▂▃▄▅▆▇█"


def check_picture(path: Path, option: str) -> None:
    """See that a picture can be drawn, before the work that it shows.

    Args:
        path: of the picture. option: that named it, such as "--plot".

    Raises:
        InputError: an ending of no known format, or no such folder.
        MissingPackageError: matplotlib is not installed.
    """
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"{option} {path}: a picture ends in {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: no folder {path.parent}")
    require_matplotlib(f"{option} {path}: a picture")


def require_matplotlib(what: str) -> None:
    """Raise a MissingPackageError, unless matplotlib is installed; `what` needs it."""
    if find_spec("matplotlib") is None:
        raise MissingPackageError(
            f"{what} needs the package matplotlib; pip install 'seqnlp[plot]'"
        )


def new_figure(width: float = 7.0, height: float = 4.0) -> Figure:
    """An empty figure of so many inches, drawn without a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Any, *, title: str = "", x: str = "", y: str = "", counts: bool = False) -> None:
    """The look of all pictures: a light grid, no box, small letters.

    Args:
        counts: x are whole numbers, and between them stands no tick.
    """
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    if counts:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=8)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's ending, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    with new_file(path) as file:
        _draw(figure, file, path.suffix[1:].lower())


def svg_of(figure: Figure) -> str:
    """A figure as an element <svg>, to stand in an HTML page."""
    file = io.BytesIO()
    _draw(figure, file, "svg")
    text = file.getvalue().decode()
    return text[text.index("<svg") :]


def _draw(figure: Figure, file: Any, kind: str) -> None:
    from matplotlib import rc_context

    # Without the date, the same figure is the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "seqnlp"}):
        # A glyph that the font lacks is drawn as a box; that is told by the picture.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format=kind, dpi=150, metadata=metadata)


def sparkline(
    values: Sequence[float],
    *,
    width: int = 40,
    log: bool = False,
    between: tuple[float, float] | None = None,
) -> str:
    """A curve as one line of bars, the lowest value the lowest bar.

    Longer curves are drawn by the mean of each of `width` parts; of what is not finite stands "·".

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    >>> sparkline([1e-6, 1e-3, float("nan"), 1.0], log=True)
    '▁▅·█'
    >>> sparkline([5, 6, 20], between=(0, 10))
    '▅▅█'

    Args:
        values: the curve.
        width: the most bars.
        log: draw logarithms, of which there are none of numbers that are not positive.
        between: what the lowest and the highest bar stand for, and all beyond; the least and the
            greatest of the values by default.
    """
    parts = [[value] for value in values]
    if len(values) > width:
        edges = [i * len(values) // width for i in range(width + 1)]
        parts = [list(values[begin:end]) for begin, end in itertools.pairwise(edges)]
    points = [_mean([_scaled(value, log=log) for value in part]) for part in parts]
    finite = [point for point in points if math.isfinite(point)]
    if not finite:
        return "·" * len(points)
    low, high = min(finite), max(finite)
    if between is not None:
        low, high = (_scaled(end, log=log) for end in between)
        points = [min(max(point, low), high) if math.isfinite(point) else point for point in points]
    top = len(BARS) - 1
    return "".join(
        (BARS[round(top * (point - low) / (high - low))] if high > low else BARS[top // 2])
        if math.isfinite(point)
        else "·"
        for point in points
    )


def _scaled(value: float, *, log: bool) -> float:
    if not log:
        return value
    return math.log(value) if 0 < value < math.inf else math.nan


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
