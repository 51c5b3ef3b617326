"""Pictures of a diagnosis: curves through time, gates, the course of a training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from seqnlp import plotting
from seqnlp.diagnosis.course import Record, layer_course
from seqnlp.diagnosis.report import Diagnosis, LayerReport
from seqnlp.diagnosis.through_time import EXPLODED, VANISHED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST, MOST = 1e-12, 1e60
"""Gradients beyond are drawn as this."""
DISTANCE = "steps before the last"
FLOW_HEIGHT = 3.8
"""Inches of a picture of curves."""


def draw(diagnosis: Diagnosis, course: Sequence[Record] = ()) -> Figure:
    """All of it in one figure: flow above, gates and, where there is one, the course below."""
    gated = any(layer.gates for layer in diagnosis.layers)
    below = [each for each, wanted in (("gates", gated), ("course", len(course) > 1)) if wanted]
    heights = [FLOW_HEIGHT, *([gates_height(diagnosis)] if below else [])]
    figure = plotting.new_figure(11.0, sum(heights))
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    draw_carry(figure.add_subplot(grid[0, 0]), diagnosis)
    draw_loss(figure.add_subplot(grid[0, 1]), diagnosis)
    for number, each in enumerate(below):
        place = figure.add_subplot(grid[1, number] if len(below) > 1 else grid[1, :])
        if each == "gates":
            draw_gates(place, diagnosis)
        else:
            draw_course(place, diagnosis, course)
    return figure


def gates_height(diagnosis: Diagnosis) -> float:
    """Inches that the names of all activations take, below one another."""
    return max(FLOW_HEIGHT, 0.8 + 0.15 * sum(len(layer.gates) for layer in diagnosis.layers))


def draw_carry(axes: Any, diagnosis: Diagnosis) -> None:
    """What the recurrences carry, by distance."""
    for layer, color in _colored(diagnosis.layers):
        values = [_drawn(each) for each in layer.flow.carry]
        axes.plot(range(len(values)), values, color=color, label=layer.name, linewidth=1.6)
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    for bound, word in ((VANISHED, "vanished"), (EXPLODED, "exploded")):
        low, high = axes.get_ylim()
        if low < bound < high or any(_crosses(layer, bound) for layer in diagnosis.layers):
            axes.axhline(bound, color="#c0392b", linewidth=0.8, linestyle=":")
            # Beside the axes, where neither curves nor the legend are.
            axes.annotate(
                word, (1, bound), xycoords=axes.get_yaxis_transform(), fontsize=8,
                color="#c0392b", va="center",
            )  # fmt: skip
    axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False)
    plotting.tidy(
        axes, title="Carried by the recurrence alone", x=DISTANCE, y="share of a gradient"
    )


def draw_loss(axes: Any, diagnosis: Diagnosis) -> None:
    """The loss's gradient, by distance: through time, and from above."""
    for layer, color in _colored(diagnosis.layers):
        for values, style in ((layer.flow.state, "-"), (layer.flow.output, ".:")):
            # A gradient of zero has no logarithm: the curve has a gap there.
            shown = [min(each, MOST) if each > 0 else float("nan") for each in values]
            axes.plot(range(len(shown)), shown, style, color=color, linewidth=1.6, markersize=4)
    axes.plot([], [], "-", color="#555555", label="state: through time and from above")
    axes.plot([], [], ".:", color="#555555", label="output: from above alone")
    axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False)
    plotting.tidy(axes, title="Gradient of the loss", x=DISTANCE, y="norm, median over rows")


def draw_gates(axes: Any, diagnosis: Diagnosis) -> None:
    """Which shares of the activations are saturated, below and above."""
    uses = [(layer, use) for layer in diagnosis.layers for use in layer.gates]
    several = len(diagnosis.layers) > 1
    names = [f"{layer.name}: {use.name}" if several else use.name for layer, use in uses]
    places = range(len(uses))
    low = [100 * use.low for _, use in uses]
    axes.barh(places, [-each for each in low], color=plotting.COLORS[0], label="low or zero")
    high = [100 * use.high for _, use in uses]
    axes.barh(places, high, color=plotting.COLORS[1], label="high")
    axes.set_yticks(places, names)
    axes.set_ylim(max(len(uses), 4) - 0.5, -0.5)
    axes.set_xlim(-100, 100)
    axes.xaxis.set_major_formatter(lambda value, _: f"{abs(value):.0f}")
    # Beside the bars, however long they are.
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    plotting.tidy(axes, title="Saturated activations", x="% of all steps and units")


def draw_course(axes: Any, diagnosis: Diagnosis, course: Sequence[Record]) -> None:
    """How much each layer carried over all its steps, while it was trained."""
    for layer, color in _colored(diagnosis.layers):
        found = layer_course(course, layer.path, layer.name)
        steps = [step for step, _ in found]
        values = [_drawn(each["flow"]["carry"][-1] or 0.0) for _, each in found]
        axes.plot(steps, values, "o-", color=color, label=layer.name, linewidth=1.6, markersize=3)
    axes.axhline(1.0, color="#999999", linewidth=0.8)
    axes.set_yscale("log")
    axes.legend(fontsize=8, frameon=False)
    plotting.tidy(axes, title="Carried to the farthest step", x="steps of training", y="share")


def _colored(layers: Sequence[LayerReport]) -> Iterator[tuple[LayerReport, str]]:
    for number, layer in enumerate(layers):
        yield layer, plotting.COLORS[number % len(plotting.COLORS)]


def _crosses(layer: LayerReport, bound: float) -> bool:
    carry = layer.flow.carry
    return min(carry) <= bound <= max(carry)


def _drawn(carried: float) -> float:
    return min(max(carried, LEAST), MOST)
