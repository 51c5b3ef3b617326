"""The page of a search: what was found, what mattered, and every trial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path

from seqnlp.files import write_text
from seqnlp.tuning.record import Tuning

PAGE = "report.html"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: 13px }
td, th { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
tr.best { font-weight: bold } tr.pruned, tr.lost, tr.interrupted { color: #777 }
tr.failed { color: #a33 } .wide { overflow-x: auto } svg { max-width: 100%; height: auto }
"""


def write_report(found: Tuning, folder: Path) -> Path:
    """Write one HTML file, which needs nothing beside it.

    The pictures are left out where matplotlib is not installed.

    Raises:
        InputError: it cannot be written.
    """
    page = folder / PAGE
    write_text(page, _page(found))
    return page


def _page(found: Tuning) -> str:
    title = f"{found.settings.task} on {Path(found.settings.corpus.name).name}: search for settings"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_summary(found))}</p>",
        *_best(found),
        *_pictures(found),
        "<h2>All trials</h2>",
        _trials(found),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _summary(found: Tuning) -> str:
    best, default = found.best, found.default
    kinds = ", ".join(
        f"{found.count(status)} {status}"
        for status in ("complete", "pruned", "failed", "interrupted", "lost", "running")
        if found.count(status)
    )
    told = f"{len(found.trials)} trials of the study {found.name}: {kinds}."
    if best is None:
        return f"{told} None is complete."
    told += f" The best {found.monitor} on validation is {best.figure:.4f}, of trial {best.number}"
    if default is not None and default.figure is not None:
        told += f"; without the search it is {default.figure:.4f}"
    return f"{told}. The test split was not looked at."


def _best(found: Tuning) -> list[str]:
    best, default = found.best, found.default
    if best is None:
        return []
    before = {} if default is None else default.values
    rows = [
        [key, str(dimension), _told(before.get(key)), _told(best.values.get(key))]
        + ([f"{100 * found.importances[key]:.0f} %"] if key in found.importances else [""])
        for key, dimension in found.space.items()
    ]
    heads = ["key", "searched through", "as it was", "best", "share in what the figure varied by"]
    return ["<h2>Settings</h2>", _table(heads, rows)]


def _trials(found: Tuning) -> str:
    heads = ["trial", found.monitor, "epoch", "epochs", "seconds", *found.space, "end"]
    rows = [
        [
            str(trial.number),
            "" if trial.figure is None else f"{trial.figure:.4f}",
            _told(trial.epoch),
            str(trial.epochs),
            f"{trial.seconds:.1f}",
            *(_told(trial.values.get(key)) for key in found.space),
            " ".join(filter(None, [trial.status, "(as it was)" * trial.as_it_is, trial.reason])),
        ]
        for trial in found.trials
    ]
    best = found.best
    classes = ["best" if trial is best else trial.status for trial in found.trials]
    return f'<div class="wide">{_table(heads, rows, classes, numbers=5)}</div>'


def _table(
    heads: Sequence[str],
    rows: Iterable[Sequence[str]],
    classes: Sequence[str] = (),
    *,
    numbers: int = 0,
) -> str:
    """Rows of cells, of which the first so many are numbers."""

    def row(cells: Sequence[str], tag: str, kind: str) -> str:
        marked = "".join(
            f"<{tag}{' class=number' * (n < numbers)}>{escape(cell)}</{tag}>"
            for n, cell in enumerate(cells)
        )
        return f"<tr{f' class={kind}' if kind else ''}>{marked}</tr>"

    body = [row(cells, "td", classes[n] if classes else "") for n, cells in enumerate(rows)]
    return "\n".join(["<table>", row(heads, "th", ""), *body, "</table>"])


def _told(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pictures(found: Tuning) -> list[str]:
    if find_spec("matplotlib") is None:
        return ["<p>The pictures need matplotlib: pip install 'seqnlp[tune]'.</p>"]
    if len([trial for trial in found.trials if trial.figure is not None]) < 2:
        return []
    from seqnlp.plotting import svg_of
    from seqnlp.tuning import pictures

    figures = [("Figures by trial", pictures.history(found))]
    if found.importances:
        figures.append(("What the figure varied by", pictures.importances(found)))
    figures.append(("Each key", pictures.keys(found)))
    figures.append(("Courses", pictures.courses(found)))
    return [part for title, figure in figures for part in (f"<h2>{title}</h2>", svg_of(figure))]
