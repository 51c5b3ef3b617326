"""Learning curves."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqnlp.comparison.curves import band_of, curves_of, draw, monitored
from seqnlp.comparison.runs import Run, System
from tests.comparison.runs import made_up


def run(folder: str, *figures: float, seconds: float = 2.0) -> Run:
    epochs = [{"accuracy": figure, "train_seconds": seconds} for figure in figures]
    return made_up(folder, epochs=epochs)


def test_a_curve_goes_over_epochs_and_seconds() -> None:
    system = System(name="a", runs=(run("a", 0.5, 0.7, 0.6),))
    (curve,) = curves_of(system, "accuracy")
    assert curve.figures == (0.5, 0.7, 0.6)
    assert curve.seconds == (2.0, 4.0, 6.0)
    assert monitored([system]) == "accuracy"


def test_an_epoch_that_was_not_validated_is_no_point() -> None:
    broken = made_up("a", epochs=[{"accuracy": 0.5, "train_seconds": 1.0}, {"train_seconds": 1.0}])
    (curve,) = curves_of(System(name="a", runs=(broken,)), "accuracy")
    assert curve.figures == (0.5,)
    assert curves_of(System(name="b", runs=(made_up("b"),)), "accuracy") == []


def test_a_band_ends_where_the_first_training_stops() -> None:
    system = System(name="a", runs=(run("a", 0.5, 0.7, 0.9), run("b", 0.7, 0.6)))
    band = band_of(curves_of(system, "accuracy"))
    assert band.mean == pytest.approx((0.6, 0.65))
    assert (band.low, band.high) == ((0.5, 0.6), (0.7, 0.7))


def test_a_picture_has_a_line_for_each_training(tmp_path: Path) -> None:
    one = System(name="one", runs=(run("a", 0.5, 0.7, 0.9), run("b", 0.7, 0.6)))
    other = System(name="other", runs=(run("c", 0.4, 0.5),))
    none = System(name="none", runs=(made_up("d"),))
    draw([one, other, none], "accuracy", tmp_path / "curves.svg")
    text = (tmp_path / "curves.svg").read_text()
    for word in ("one", "other", "epoch", "accuracy on validation", "seconds of training",
                 "mean and range over seeds"):  # fmt: skip
        assert f"<!-- {word} -->" in text, word
    assert "<!-- none -->" not in text
    # By epoch a mean each and both seeds of one; by time each training.
    color = [
        line for line in text.split("\n") if "stroke: #1f77b4" in line and "fill: none" in line
    ]
    assert len(color) >= 5


def test_nothing_to_draw_is_an_empty_picture(tmp_path: Path) -> None:
    draw([System(name="a", runs=(made_up("a"),))], "accuracy", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
