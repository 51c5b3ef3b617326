"""A diagnosis for the eye: curves as text, tables, verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from seqnlp.cli.tables import plain_table
from seqnlp.diagnosis.course import Record, layer_course
from seqnlp.diagnosis.report import Diagnosis, LayerReport, short
from seqnlp.diagnosis.through_time import EXPLODED, VANISHED
from seqnlp.plotting import sparkline

WIDTH = 24
_MARKS = {"good": ("+", "green"), "note": ("-", "default"), "warning": ("!", "yellow")}


def show(
    screen: Console, diagnosis: Diagnosis, *, name: str, corpus: str, course: Sequence[Record] = ()
) -> None:
    """Everything, the verdicts last, where they are read first."""
    screen.print(
        f"{name}: {diagnosis.rows:,} rows of {corpus} {diagnosis.split}, "
        f"loss {diagnosis.loss:.4g} nats\n",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    screen.print(_flow(diagnosis), _loss(diagnosis), sep="\n")
    for table in (_gates(diagnosis), _course(diagnosis, course)):
        if table is not None:
            screen.print(table)
    _say_ratios(screen, diagnosis)
    for verdict in diagnosis.verdicts:
        mark, color = _MARKS[verdict.level]
        text = Text(f"{mark} {verdict.where}: {verdict.text}", style=color)
        screen.print(text, soft_wrap=True)
        if verdict.remedy:
            screen.print(Padding(Text(verdict.remedy), (0, 0, 0, 2)), soft_wrap=True)


def _flow(diagnosis: Diagnosis) -> Table:
    table = plain_table(
        "carried back through the recurrence alone, from the last step (left) to the farthest"
    )
    for head in ("layer", "cell"):
        table.add_column(head)
    table.add_column("1 to 1e-6, or to 1e6", no_wrap=True)
    for head in ("steps", "carried", "a step", "half-life", "dead"):
        table.add_column(head, justify="right", no_wrap=True)
    for layer in diagnosis.layers:
        flow = layer.flow
        table.add_row(
            layer.name,
            layer.cell,
            _curve(layer),
            f"{flow.steps:,}",
            f"{flow.carry[-1]:.1e}" if flow.carry[-1] < 0.01 else short(flow.carry[-1]),
            "" if math.isnan(flow.factor) else short(flow.factor, 3),
            "" if flow.half_life is None else f"{flow.half_life:,.1f}",
            f"{layer.dead_units}/{layer.units}",
        )
    return table


def _curve(layer: LayerReport) -> str:
    carry = layer.flow.carry
    grows = max(carry) > 10
    between = (1.0, EXPLODED) if grows else (VANISHED, 1.0)
    shown = [max(each, VANISHED) for each in carry]
    return sparkline(shown, width=WIDTH, log=True, between=between)


def _loss(diagnosis: Diagnosis) -> Table:
    table = plain_table("the loss's gradient, the same way: each curve over six powers of ten")
    table.add_column("layer")
    for head in ("state", "output, from above"):
        table.add_column(head, no_wrap=True)
        table.add_column("greatest", justify="right", no_wrap=True)
    for layer in diagnosis.layers:
        cells = []
        for values in (layer.flow.state, layer.flow.output):
            most = max(values)
            low = max((each for each in values if each < math.inf), default=1.0)
            low = max(low, 1e-300) * VANISHED
            shown = [max(each, low) if each > 0 else 0.0 for each in values]
            cells += [
                sparkline(shown, width=WIDTH, log=True, between=(low, low / VANISHED)),
                f"{most:.1e}",
            ]
        table.add_row(layer.name, *cells)
    return table


def _gates(diagnosis: Diagnosis) -> Table | None:
    if not any(layer.gates or layer.blocks for layer in diagnosis.layers):
        return None
    table = plain_table(
        "activations, in % of steps and units: sigmoid below 0.05 and above 0.95, tanh beyond "
        "±0.95, relu at zero; and the spectral radius of recurrent weights"
    )
    for head in ("layer", "activation", "kind"):
        table.add_column(head)
    for head in ("mean", "low", "high", "radius"):
        table.add_column(head, justify="right", no_wrap=True)
    for layer in diagnosis.layers:
        radii = {block.name: block.radius for block in layer.blocks if block.radius is not None}
        first = layer.name
        for use in layer.gates:
            radius = radii.pop(use.name, None)
            table.add_row(
                first, use.name, use.kind, f"{use.mean:.2f}",
                f"{100 * use.low:.1f}", f"{100 * use.high:.1f}",
                "" if radius is None else short(radius),
            )  # fmt: skip
            first = ""
        for name, radius in radii.items():
            table.add_row(first, name, "", "", "", "", short(radius))
            first = ""
    return table


def _course(diagnosis: Diagnosis, course: Sequence[Record]) -> Table | None:
    if len(course) < 2:
        return None
    table = plain_table("in training: what was carried to the farthest step, from the first look")
    for head in ("layer", "course"):
        table.add_column(head, no_wrap=True)
    for head in ("first", "last", "at step"):
        table.add_column(head, justify="right", no_wrap=True)
    for layer in diagnosis.layers:
        found = layer_course(course, layer.path, layer.name)
        values = [each["flow"]["carry"][-1] or 0.0 for _, each in found]
        if not values:
            continue
        shown = [max(each, 1e-12) for each in values]
        table.add_row(
            layer.name, sparkline(shown, width=WIDTH, log=True), f"{values[0]:.1e}",
            f"{values[-1]:.1e}", f"{found[-1][0]:,}",
        )  # fmt: skip
    return table


def _say_ratios(screen: Console, diagnosis: Diagnosis) -> None:
    known = sorted(
        (each.gradient, each.name)
        for each in diagnosis.weights
        if each.norm and math.isfinite(each.gradient)
    )
    if known:
        (low, least), (high, most) = known[0], known[-1]
        screen.print(
            f"gradient over weight: {low:.1e} ({least}) to {high:.1e} ({most})\n",
            markup=False, soft_wrap=True,
        )  # fmt: skip
