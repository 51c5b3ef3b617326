"""From figures to sentences: what goes wrong in a training, and what to type against it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from seqnlp.config import Settings
from seqnlp.diagnosis.remedies import Remedies
from seqnlp.diagnosis.report import (
    FADED,
    Clipping,
    LayerReport,
    Verdict,
    WeightReport,
    short,
)
from seqnlp.diagnosis.through_time import Flow

SATURATED = 0.5
"""The share of saturated values from which on an activation is named."""
DEAD = 0.1
"""The share of dead units from which on they are."""
FAST, SLOW = 0.1, 1e-6
"""Relative changes of a weight in one step that are more and less than makes sense."""
CUT = 0.5
"""The share of clipped steps from which on clipping is part of the learning rate."""
REACHED = 1e-2
"""The share of the greatest gradient from above from which on distant steps are reached by it."""


def judge(
    layers: Sequence[LayerReport],
    weights: Sequence[WeightReport],
    clipping: Clipping | None,
    settings: Settings,
    *,
    loss: float,
) -> Iterator[Verdict]:
    """The findings, those about gradients through time first.

    Args:
        layers: of the model.
        weights: of the model.
        clipping: what was cut in training; None outside of it, or where nothing is.
        settings: of the model, which say what is in use already.
        loss: of the batch.
    """
    if not math.isfinite(loss):
        yield Verdict(
            kind="loss", level="warning", where="loss", text=f"the loss is {loss}",
            remedy=f"--lr {settings.train.lr / 10:g} and --set hooks.clip.norm=1 keep it finite",
        )  # fmt: skip
        return
    for layer in layers:
        remedies = Remedies(layer, settings)
        yield _judge_flow(layer, remedies)
        yield from _judge_gates(layer, remedies)
        yield from _judge_units(layer, remedies)
    yield from _judge_updates(weights, settings)
    yield from _judge_gradients(weights)
    yield from _judge_clipping(clipping, settings)


def _judge_flow(layer: LayerReport, remedies: Remedies) -> Verdict:
    flow, kind = layer.flow, layer.character
    if kind == "unknown":
        text = (
            "what a step does to a gradient is beyond what a number can hold"
            if flow.steps
            else "rows of one step say nothing about gradients through time"
        )
        return Verdict(kind=kind, level="note", where=layer.name, text=text)
    carried = f"{_share(flow.carry[-1])} of a gradient comes back after {_steps(flow.steps)}"
    if kind == "carries":
        if flow.carry[-1] < FADED:
            carried += "; most of what is lost is lost in the first half"
        return Verdict(kind=kind, level="good", where=layer.name, text=f"carries: {carried}")
    if kind in ("explodes", "grows"):
        text = (
            f"explodes: a million times as much comes back after {_steps(flow.explodes_at or 0)}"
            if kind == "explodes"
            else f"grows: {_share(flow.carry[-1])} times as much comes back after "
            f"{_steps(flow.steps)}"
        )
        return Verdict(
            kind=kind, level="warning", where=layer.name,
            text=f"{text}, {short(flow.factor)} times a step{remedies.why_it_grows()}",
            remedy=remedies.against_growth(),
        )  # fmt: skip
    text = (
        f"vanishes by step {flow.vanishes_at}, where less than a millionth of a gradient is left"
        if kind == "vanishes"
        else f"fades: {carried}"
    )
    if flow.half_life is not None:
        text += f"; half-life {_steps(flow.half_life)}"
    text += remedies.why_it_decays()
    direct = reached_directly(flow)
    if direct:
        text += (
            ". The loss also comes to each step from above, by pooling, attention or targets of "
            "its own: lost is what has to be remembered for longer"
        )
    return Verdict(
        kind=kind, level="note" if direct else "warning", where=layer.name, text=text,
        remedy=remedies.against_decay(),
    )  # fmt: skip


def reached_directly(flow: Flow) -> bool:
    """Whether the loss's gradient comes to the distant half of the steps from above as well."""
    near, far = flow.output[: flow.steps // 2 + 1], flow.output[flow.steps // 2 + 1 :]
    greatest = max(near, default=0.0)
    return bool(far) and greatest > 0 and sorted(far)[len(far) // 2] >= REACHED * greatest


def _judge_gates(layer: LayerReport, remedies: Remedies) -> Iterator[Verdict]:
    for use in layer.gates:
        if use.kind == "relu" or use.saturated < SATURATED:
            continue
        if use.name == "forget" and use.high >= use.saturated / 2:
            continue  # That is how a cell remembers.
        what = f"the {use.name} gate" if use.kind == "sigmoid" else f"the {use.kind} of {use.name}"
        if use.kind == "sigmoid" and not use.name.startswith("sigmoid"):
            state = "closed" if use.low > use.high else "open"
            text = f"{what} is {state} in {max(use.low, use.high):.0%} of all steps and units"
        else:
            what = use.name if use.name.startswith(use.kind) else what
            text = f"{what} is saturated in {use.saturated:.0%} of all steps and units"
        yield Verdict(
            kind="saturated", level="warning", where=layer.name,
            text=f"{text}, where no gradient passes", remedy=remedies.against_saturation(use.name),
        )  # fmt: skip


def _judge_units(layer: LayerReport, remedies: Remedies) -> Iterator[Verdict]:
    if layer.dead_units < max(1, DEAD * layer.units):
        return
    yield Verdict(
        kind="dead units", level="warning", where=layer.name,
        text=f"{layer.dead_units} of {layer.units} units hardly vary",
        remedy=remedies.against_dead_units(),
    )  # fmt: skip


def _judge_updates(weights: Sequence[WeightReport], settings: Settings) -> Iterator[Verdict]:
    known = [(each.update, each.name) for each in weights if each.update is not None and each.norm]
    if not known:
        return
    lr = settings.train.lr
    largest, name = max(known)
    middle = sorted(known)[len(known) // 2][0]
    if middle > FAST:
        yield Verdict(
            kind="updates", level="warning", where="updates",
            text=f"a step changes half of the weights by more than {middle:.0%} of what they are, "
            f"and {name} by {largest:.0%}",
            remedy=f"--lr {lr / 10:g} or --set hooks.schedule.warmup=1 would let them settle",
        )  # fmt: skip
    elif largest < SLOW:
        yield Verdict(
            kind="updates", level="warning", where="updates",
            text=f"no weight changes by more than {largest:.0e} of what it is in a step",
            remedy=f"--lr {lr * 10:g} would learn faster",
        )  # fmt: skip


def _judge_gradients(weights: Sequence[WeightReport]) -> Iterator[Verdict]:
    idle = [each.name for each in weights if each.norm and each.gradient == 0]
    if not idle:
        return
    others = f" and {len(idle) - 1} more" if len(idle) > 1 else ""
    yield Verdict(
        kind="no gradient", level="note", where="weights",
        text=f"no gradient reaches {idle[0]}{others} in this batch",
    )  # fmt: skip


def _judge_clipping(clipping: Clipping | None, settings: Settings) -> Iterator[Verdict]:
    if clipping is None or clipping.share < CUT:
        return
    yield Verdict(
        kind="clipping", level="warning", where="clipping",
        text=f"{clipping.share:.0%} of the steps were cut, to {clipping.kept:.0%} of their "
        "gradients' norm on average: the limit decides how fast is learned",
        remedy=f"--set hooks.clip.norm={_round(clipping.limit / max(clipping.kept, 1e-3))} cuts "
        f"outliers alone; or --lr {settings.train.lr / 2:g}, if the loss jumps",
    )  # fmt: skip


def _round(value: float) -> str:
    """To one digit: 13.3 is 10."""
    return f"{float(f'{value:.0e}'):g}"


def _share(carry: float) -> str:
    if 0.01 <= carry < 10:
        return f"{carry:.0%}"
    digits, power = f"{carry:.1e}".split("e")
    return f"{digits}e{int(power)}"


def _steps(count: float) -> str:
    if count < 0.05:
        return "0 steps"
    if count == int(count):
        return "1 step" if count == 1 else f"{count:,.0f} steps"
    return f"{count:.1f} steps" if count < 10 else f"{count:,.0f} steps"
