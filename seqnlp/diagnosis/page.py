"""A diagnosis as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from seqnlp import plotting
from seqnlp.diagnosis import pictures
from seqnlp.diagnosis.course import Record
from seqnlp.diagnosis.report import Diagnosis, LayerReport, Verdict, short

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #e4e4e4; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.verdict { border-left: 4px solid; padding: .3rem .8rem; margin: .5rem 0; background: #fafafa; }
.good { border-color: #2a9d5c; } .note { border-color: #999; } .warning { border-color: #d95f02; }
.remedy { font-family: ui-monospace, monospace; font-size: .85rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; } svg { max-width: 100%; height: auto; }
.muted { color: #666; }
"""


def page(diagnosis: Diagnosis, *, name: str, course: Sequence[Record] = ()) -> str:
    """The page, with its pictures in it.

    Args:
        diagnosis: what is shown.
        name: of the model.
        course: of its training, as `read_course` gives it.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    plotting.require_matplotlib("a page of a diagnosis")
    drawn: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
        (pictures.draw_carry, ()),
        (pictures.draw_loss, ()),
    ]
    if any(layer.gates for layer in diagnosis.layers):
        drawn.append((pictures.draw_gates, ()))
    if len(course) > 1:
        drawn.append((pictures.draw_course, (course,)))
    parts = [
        f"<h1>Diagnosis of {escape(name)}</h1>",
        f'<p class="muted">{diagnosis.rows:,} rows of {escape(diagnosis.split)}, '
        f"loss {diagnosis.loss:.4g} nats</p>",
        "<h2>Verdicts</h2>",
        *(_verdict(each) for each in diagnosis.verdicts),
        "<h2>Gradients through time</h2>",
        '<div class="pictures">',
        *(_picture(diagnosis, draw, arguments) for draw, arguments in drawn),
        "</div>",
        _table("Layers", _LAYERS, [_layer(each) for each in diagnosis.layers]),
        _table("Activations", _GATES, [row for each in diagnosis.layers for row in _gates(each)]),
        _table(
            "Recurrent weights",
            _BLOCKS,
            [row for each in diagnosis.layers for row in _blocks(each)],
        ),
        _table("Weights", _WEIGHTS, _weights(diagnosis, course)),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Diagnosis of {escape(name)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


_LAYERS = ("layer", "cell", "steps", "carried", "a step", "half-life", "dead units")
_GATES = ("layer", "activation", "kind", "mean", "low or zero", "high")
_BLOCKS = ("layer", "weight", "spectral radius", "norm")
_WEIGHTS = ("weight", "norm", "gradient / weight", "update / weight")


def _verdict(verdict: Verdict) -> str:
    remedy = f'<div class="remedy">{escape(verdict.remedy)}</div>' if verdict.remedy else ""
    return (
        f'<div class="verdict {verdict.level}"><b>{escape(verdict.where)}</b>: '
        f"{escape(verdict.text)}{remedy}</div>"
    )


def _picture(diagnosis: Diagnosis, draw: Callable[..., None], arguments: tuple[Any, ...]) -> str:
    height = pictures.gates_height(diagnosis) if draw is pictures.draw_gates else 3.6
    figure = plotting.new_figure(5.2, height)
    draw(figure.add_subplot(), diagnosis, *arguments)
    return f"<div>{plotting.svg_of(figure)}</div>"


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    right = {n for n in range(len(heads)) if all(_is_number(row[n]) for row in rows)}

    def line(cells: Sequence[str], tag: str) -> str:
        marks = (' class="n"' if n in right else "" for n in range(len(heads)))
        inner = (
            f"<{tag}{mark}>{escape(cell)}</{tag}>" for mark, cell in zip(marks, cells, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<h2>{title}</h2>\n<table>\n{line(heads, 'th')}\n{body}\n</table>"


def _is_number(cell: str) -> bool:
    return not cell or cell[0] in "-0123456789"


def _layer(layer: LayerReport) -> list[str]:
    flow = layer.flow
    half_life = "" if flow.half_life is None else f"{flow.half_life:.1f}"
    factor = "" if math.isnan(flow.factor) else short(flow.factor, 3)
    return [layer.name, layer.cell, str(flow.steps), f"{flow.carry[-1]:.2g}", factor, half_life,
            f"{layer.dead_units} of {layer.units}"]  # fmt: skip


def _gates(layer: LayerReport) -> list[list[str]]:
    return [[layer.name, use.name, use.kind, f"{use.mean:.2f}", f"{use.low:.1%}", f"{use.high:.1%}"]
            for use in layer.gates]  # fmt: skip


def _blocks(layer: LayerReport) -> list[list[str]]:
    return [[layer.name, block.name, "" if block.radius is None else short(block.radius, 3),
             short(block.norm, 3)] for block in layer.blocks]  # fmt: skip


def _weights(diagnosis: Diagnosis, course: Sequence[Record]) -> list[list[str]]:
    """Updates are of the training's last look, where the diagnosis has none of its own."""
    last = course[-1].get("weights", []) if course else []
    updates = {each["name"]: each["update"] for each in last}
    rows = []
    for each in diagnosis.weights:
        update = each.update if each.update is not None else updates.get(each.name)
        shown = "" if update is None else f"{update:.2g}"
        rows.append([each.name, f"{each.norm:.3g}", f"{each.gradient:.2g}", shown])
    return rows
