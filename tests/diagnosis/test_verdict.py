"""Every kind of verdict: when it is given, what it says, and that its remedy can be typed."""

from __future__ import annotations

import math
import re
import shlex
from typing import Any

import click
import pytest

from seqnlp.cli.main import cli
from seqnlp.config import Settings, load_settings
from seqnlp.diagnosis.gates import Block, GateUse
from seqnlp.diagnosis.report import Clipping, LayerReport, Verdict, WeightReport
from seqnlp.diagnosis.through_time import Flow
from seqnlp.diagnosis.verdict import judge
from tests.diagnosis.making import block, flow, gate, report

PLAIN = ["model.bidirectional=false"]


def settings_of(*overrides: str) -> Settings:
    return load_settings(None, [*PLAIN, *overrides])


def verdicts(
    *layers: LayerReport,
    weights: tuple[WeightReport, ...] = (),
    clipping: Clipping | None = None,
    settings: Settings | None = None,
    loss: float = 0.5,
) -> list[Verdict]:
    found = list(judge(layers, weights, clipping, settings or settings_of(), loss=loss))
    for verdict in found:
        _try_flags(verdict.remedy)
    return found


def _try_flags(remedy: str) -> None:
    """Every flag of a remedy is one of `seqnlp train`, with a value that it takes."""
    flags = re.findall(r"(--[a-z][a-z-]*) ([^\s,;)]+)", remedy)
    assert len(flags) == remedy.count("--")
    train = cli.get_command(click.Context(cli), "train")
    assert train is not None
    for flag, value in flags:
        train.make_context("train", shlex.split(f"{flag} {value}"))
        if flag == "--set":
            load_settings(None, [value])


def one(**values: Any) -> Verdict:
    settings = values.pop("settings", None)
    (found,) = verdicts(report(**values), settings=settings)
    return found


def test_what_carries_needs_no_remedy() -> None:
    found = one(flow=flow(0.99, 50))
    assert (found.kind, found.level, found.remedy) == ("carries", "good", "")
    assert str(found) == "encoder layer 1: carries: 61% of a gradient comes back after 50 steps"


def test_what_vanishes_says_by_when() -> None:
    found = one(flow=flow(0.5, 50))
    assert (found.kind, found.level) == ("vanishes", "warning")
    assert found.text == (
        "vanishes by step 20, where less than a millionth of a gradient is left; half-life 1 step"
    )
    assert found.remedy == (
        "--cell lstm with --set model.forget_bias=5, or --cell irnn, would carry further"
    )


def test_a_radius_below_one_is_named_as_the_reason() -> None:
    found = one(flow=flow(0.5, 50), blocks=(block(0.5),))
    assert found.text.endswith(
        "the recurrent weight's spectral radius is 0.50, below 1, so that it must"
    )
    assert found.remedy.startswith(
        "--set model.recurrent_init=orthogonal begins with a radius of 1; "
    )


def test_a_weight_that_stretches_on_the_way_shrinks_in_the_long_run() -> None:
    """The radius says what many steps do to a gradient; only the norm what each of them does."""
    stretching = Block(name="hidden", radius=0.5, norm=1.5)
    found = one(flow=flow(0.5, 50), blocks=(stretching,))
    assert found.text.endswith("is 0.50, below 1, so that it must in the long run")


def test_what_is_lost_at_once_is_not_lost_in_time() -> None:
    """A saturated output lets little through; the memory behind it carries that all the way."""
    carry = (1.0, *[1e-3 * 0.99**k for k in range(50)])
    found = one(flow=Flow(state=carry, output=carry, carry=carry))
    assert (found.kind, found.level, found.remedy) == ("carries", "good", "")
    assert found.text == (
        "carries: 6.1e-4 of a gradient comes back after 50 steps; most of what is lost is lost in "
        "the first half"
    )


@pytest.mark.parametrize(
    "blocks", [(block(1.0),), (block(1.5),), (block(None),), (block(0.5), block(0.5))]
)
def test_other_radii_are_no_reason(blocks: tuple[Any, ...]) -> None:
    assert "radius" not in str(one(flow=flow(0.5, 50), blocks=blocks))


def test_what_fades_says_how_much_is_left() -> None:
    found = one(flow=flow(0.9, 50))
    assert (found.kind, found.level) == ("fades", "warning")
    assert (
        found.text == "fades: 5.2e-3 of a gradient comes back after 50 steps; half-life 6.6 steps"
    )


def test_a_forget_gate_is_given_the_bias_that_lasts() -> None:
    found = one(flow=flow(0.5, 200), remembers=True)
    assert found.remedy == "--set model.forget_bias=6 would let the forget gate keep that long"
    keep = 1 / (1 + math.exp(-6))
    assert keep**200 > 0.5 > (1 / (1 + math.exp(-5))) ** 200
    found = one(flow=flow(0.5, 200), remembers=True, settings=settings_of("model.forget_bias=6"))
    assert found.remedy == "--cell irnn, or attention to every step, would carry further"


def test_a_forget_gate_that_is_open_needs_no_bias() -> None:
    keeps = GateUse(name="forget", kind="sigmoid", mean=0.999, low=0.0, high=1.0)
    found = one(flow=flow(0.5, 200), remembers=True, gates=(keeps,))
    assert found.remedy == "--cell irnn, or attention to every step, would carry further"
    leaks = GateUse(name="forget", kind="sigmoid", mean=0.99, low=0.0, high=1.0)
    found = one(flow=flow(0.5, 200), remembers=True, gates=(leaks,))
    assert found.remedy == "--set model.forget_bias=6 would let the forget gate keep that long"


def test_a_cell_in_use_is_no_remedy() -> None:
    found = one(flow=flow(0.5, 50), settings=settings_of("model.cell=irnn"))
    assert found.remedy == "--cell lstm with --set model.forget_bias=5 would carry further"


def test_decoders_have_flags_of_their_own() -> None:
    found = one(flow=flow(0.5, 50), path="members.0.decoder.layers.0")
    assert found.remedy.startswith("--set head.decoder_cell=lstm with ")


def test_what_comes_from_above_is_told_apart() -> None:
    found = one(flow=flow(0.5, 50, output=(1.0,) * 51))
    assert (found.kind, found.level) == ("vanishes", "note")
    assert found.text.endswith(
        ". The loss also comes to each step from above, by pooling, attention or targets of its "
        "own: lost is what has to be remembered for longer"
    )
    assert found.remedy
    assert one(flow=flow(0.5, 50, output=(1.0, *[1e-3] * 50))).level == "warning"


def test_what_explodes_is_to_be_clipped() -> None:
    found = one(flow=flow(1.5, 50), blocks=(block(1.5),), settings=settings_of("hooks.clip=false"))
    assert (found.kind, found.level) == ("explodes", "warning")
    assert found.text == (
        "explodes: a million times as much comes back after 35 steps, 1.50 times a step; the "
        "recurrent weight's spectral radius is 1.50, above 1, so that it can"
    )
    assert found.remedy == (
        "--set hooks.clip.norm=1 bounds it; --set model.recurrent_init=orthogonal begins with a "
        "radius of 1; --cell lstm has gates that keep it from growing"
    )
    assert "hooks.clip" not in one(flow=flow(1.5, 50)).remedy
    assert one(flow=flow(1.5, 50), remembers=True).remedy == "--lr 0.001 keeps the weights small"


def test_what_grows_is_told_before_it_explodes() -> None:
    found = one(flow=flow(1.2, 30))
    assert (found.kind, found.level) == ("grows", "warning")
    assert found.text == ("grows: 2.4e2 times as much comes back after 30 steps, 1.20 times a step")


def test_one_step_is_no_way_through_time() -> None:
    found = one(flow=flow(0.5, 0))
    assert (found.kind, found.level) == ("unknown", "note")
    assert found.text == "rows of one step say nothing about gradients through time"


def test_what_is_no_number_is_not_laid_on_the_rows() -> None:
    carry = (1.0, math.nan, math.nan)
    found = one(flow=Flow(state=carry, output=carry, carry=carry))
    assert (found.kind, found.level) == ("unknown", "note")
    assert found.text == "what a step does to a gradient is beyond what a number can hold"


def test_numbers_of_many_digits_are_told_by_their_power() -> None:
    found = one(flow=flow(1e38, 2), blocks=(block(1e38),), settings=settings_of("hooks.clip=false"))
    assert found.text == (
        "explodes: a million times as much comes back after 1 step, 1.0e+38 times a step; the "
        "recurrent weight's spectral radius is 1.0e+38, above 1, so that it can"
    )
    assert "half-life 0 steps" in one(flow=flow(1e-30, 5)).text


@pytest.mark.parametrize(
    ("use", "text", "remedy"),
    [
        (gate("input", low=0.7), "the input gate is closed in 70% of all steps and units", "--lr"),
        (gate("output", high=0.9), "the output gate is open in 90% of all steps and units", "--lr"),
        (gate("forget", low=0.6), "the forget gate is closed in 60% of all steps and units", "--lr"),
        (gate("hidden", "tanh", 0.3, 0.3), "the tanh of hidden is saturated in 60% of all", "--lr"),
        (gate("sigmoid 2", low=0.3, high=0.3), "sigmoid 2 is saturated in 60% of all steps", "--lr"),
        (gate("memory", "tanh", 0.1, 0.6), "the tanh of memory is saturated in 70%", "--cell"),
    ],
)  # fmt: skip
def test_saturated_gates_are_named(use: Any, text: str, remedy: str) -> None:
    _, found = verdicts(report(gates=(gate("input", low=0.2), use)))
    assert (found.kind, found.level) == ("saturated", "warning")
    assert found.text.startswith(text)
    assert found.text.endswith("where no gradient passes")
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize(
    "use", [gate("forget", high=0.9), gate("hidden", "relu", 0.9), gate("input", low=0.4)]
)
def test_open_forget_gates_and_zeros_of_a_relu_are_meant_to_be(use: Any) -> None:
    assert len(verdicts(report(gates=(use,)))) == 1


def test_cells_that_normalize_their_sums_are_proposed_where_there_are_some() -> None:
    saturated = (gate("input", low=0.9),)
    remedies = [
        verdicts(report(gates=saturated, cell=cell, **more))[1].remedy
        for cell, more in (
            ("LSTMCell", {}), ("GRUCell", {"path": "decoder.layers.0"}), ("RNNCell", {}),
        )
    ]  # fmt: skip
    assert remedies == [
        "--lr 0.001 or --cell layer_norm_lstm would keep the sums smaller",
        "--lr 0.001 or --set head.decoder_cell=layer_norm_gru would keep the sums smaller",
        "--lr 0.001 would keep the sums smaller",
    ]


def test_dead_units_are_counted() -> None:
    _, found = verdicts(report(dead_units=5))
    assert (found.kind, found.level) == ("dead units", "warning")
    assert found.text == "5 of 20 units hardly vary"
    assert found.remedy == "--lr 0.001 keeps more of them alive; --hidden-size 15 would do"
    relu = settings_of("model.cell=rnn", "model.cell_options.activation=relu")
    _, found = verdicts(report(dead_units=5), settings=relu)
    assert "--set model.cell_options.activation=leaky_relu" in found.remedy
    assert len(verdicts(report(dead_units=1))) == 1
    assert verdicts(report(dead_units=20))[1].remedy == "--lr 0.001 keeps more of them alive"


def weight(name: str, gradient: float = 1e-2, update: float | None = None) -> WeightReport:
    return WeightReport(name=name, norm=2.0, gradient=gradient, update=update)


def test_updates_that_are_too_great_or_too_small() -> None:
    (found,) = verdicts(
        weights=(weight("a", update=0.2), weight("b", update=0.5), weight("c", update=0.01))
    )
    assert (found.kind, found.where) == ("updates", "updates")
    assert found.text == (
        "a step changes half of the weights by more than 20% of what they are, and b by 50%"
    )
    assert found.remedy.startswith("--lr 0.0002 or ")
    (found,) = verdicts(weights=(weight("a", update=1e-8), weight("b", update=3e-7)))
    assert found.text == "no weight changes by more than 3e-07 of what it is in a step"
    assert found.remedy == "--lr 0.02 would learn faster"
    assert not verdicts(weights=(weight("a", update=1e-3), weight("b")))


def test_weights_without_a_gradient_are_named() -> None:
    (found,) = verdicts(weights=(weight("a", 0.0), weight("b", 0.0), weight("c")))
    assert (found.kind, found.level) == ("no gradient", "note")
    assert found.text == "no gradient reaches a and 1 more in this batch"


def test_clipping_that_decides_the_speed() -> None:
    (found,) = verdicts(clipping=Clipping(limit=5.0, steps=200, cut=150, kept=0.25))
    assert (found.kind, found.where) == ("clipping", "clipping")
    assert found.text == (
        "75% of the steps were cut, to 25% of their gradients' norm on average: the limit decides "
        "how fast is learned"
    )
    assert found.remedy.startswith("--set hooks.clip.norm=20 cuts outliers alone; or --lr 0.001")
    assert not verdicts(clipping=Clipping(limit=5.0, steps=200, cut=20, kept=0.25))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_all_there_is_to_say(loss: float) -> None:
    (found,) = verdicts(report(dead_units=20), loss=loss)
    assert found.kind == "loss"
    assert str(found) == (
        f"loss: the loss is {loss}; --lr 0.0002 and --set hooks.clip.norm=1 keep it finite"
    )
