"""Pictures and the page: what is drawn is what was measured."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from typing import Any

import pytest

from seqnlp import plotting
from seqnlp.diagnosis import Diagnosis
from seqnlp.diagnosis.course import Record
from seqnlp.diagnosis.page import page
from seqnlp.diagnosis.pictures import draw, draw_carry, draw_course, draw_gates, draw_loss
from seqnlp.diagnosis.report import Verdict, WeightReport
from seqnlp.diagnosis.through_time import Flow
from seqnlp.errors import MissingPackageError
from tests.diagnosis.making import block, curve, flow, gate, report


def diagnosis(**values: Any) -> Diagnosis:
    given: dict[str, Any] = {
        "split": "train", "rows": 8, "loss": 0.25,
        "layers": (
            report(flow=flow(0.5, 30), gates=(gate("input", low=0.2, high=0.1),), blocks=(block(0.5),)),
            report(name="encoder layer 2", path="encoder.layers.1", flow=flow(1.0, 30)),
        ),
        "weights": (WeightReport(name="weight<x>", norm=2.0, gradient=1e-2),),
        "verdicts": (Verdict(kind="fades", level="warning", where="a < b", text="text & more", remedy="--cell lstm"),),
        **values,
    }  # fmt: skip
    return Diagnosis(**given)


def course(found: Diagnosis) -> list[Record]:
    return [{"seed": 0, **found.as_dict(), "epoch": epoch, "step": 10 * epoch} for epoch in (1, 2)]


def axes() -> Any:
    return plotting.new_figure().add_subplot()


def curves(drawn: Any) -> dict[str, Any]:
    return {line.get_label(): list(line.get_ydata()) for line in drawn.get_lines()}


def test_what_is_carried_is_drawn_by_layer() -> None:
    drawn = axes()
    draw_carry(drawn, diagnosis())
    found = curves(drawn)
    assert found["encoder layer 1"] == pytest.approx(curve(0.5, 30))
    assert found["encoder layer 2"] == [1.0] * 31
    assert drawn.get_yscale() == "log"
    assert [text.get_text() for text in drawn.texts] == ["vanished"]


def test_what_no_picture_can_hold_is_drawn_at_its_border() -> None:
    beyond = (1.0, 1e300, 0.0)
    found = diagnosis(layers=(report(flow=Flow(state=beyond, output=beyond, carry=beyond)),))
    drawn = axes()
    draw_carry(drawn, found)
    assert list(curves(drawn)["encoder layer 1"]) == [1.0, 1e60, 1e-12]
    drawn = axes()
    draw_loss(drawn, found)
    assert drawn.get_lines()[0].get_ydata()[1] == 1e60
    assert "</html>" in page(found, name="a")


def test_a_gradient_of_zero_is_a_gap() -> None:
    drawn = axes()
    only = report(flow=Flow(state=(1.0, 0.5, 0.0), output=(0.3, 0.0, 0.2), carry=(1.0, 0.5, 0.2)))
    draw_loss(drawn, diagnosis(layers=(only,)))
    state, output = (list(line.get_ydata()) for line in drawn.get_lines()[:2])
    assert state[:2] == [1.0, 0.5]
    assert math.isnan(state[2])
    assert output[::2] == [0.3, 0.2]
    assert math.isnan(output[1])


def test_saturated_shares_are_bars_to_both_sides() -> None:
    drawn = axes()
    draw_gates(drawn, diagnosis())
    assert [bar.get_width() for bar in drawn.patches] == pytest.approx([-20, 10])
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["encoder layer 1: input"]


def test_many_activations_are_written_below_one_another() -> None:
    layers = tuple(
        report(
            name=f"encoder layer {n}", gates=tuple(gate(name) for name in ("one", "two", "three"))
        )
        for n in range(12)
    )
    figure = draw(diagnosis(layers=layers))
    figure.canvas.draw()
    labels = [label.get_window_extent() for label in figure.axes[2].get_yticklabels()]
    assert len(labels) == 36
    tops, bottoms = [box.y1 for box in labels[1:]], [box.y0 for box in labels]
    assert all(top < bottom for top, bottom in zip(tops, bottoms, strict=False))
    legend = figure.axes[2].get_legend().get_window_extent()
    assert legend.x0 >= figure.axes[2].get_window_extent().x1


def test_bounds_are_named_beside_the_curves() -> None:
    figure = draw(diagnosis())
    figure.canvas.draw()
    (word,) = figure.axes[0].texts
    assert word.get_window_extent().x0 >= figure.axes[0].get_window_extent().x1


def test_the_course_is_drawn_by_steps() -> None:
    drawn, found = axes(), diagnosis()
    draw_course(drawn, found, course(found))
    first = drawn.get_lines()[0]
    assert list(first.get_xdata()) == [10, 20]
    assert list(first.get_ydata()) == pytest.approx([0.5**30] * 2, rel=1e-4)


@pytest.mark.parametrize("records", [0, 2])
def test_the_figure_has_what_there_is(records: int) -> None:
    found = diagnosis()
    titles = [each.get_title() for each in draw(found, course(found)[:records]).axes]
    assert titles[:3] == [
        "Carried by the recurrence alone",
        "Gradient of the loss",
        "Saturated activations",
    ]
    assert titles[3:] == (["Carried to the farthest step"] if records else [])
    plain = diagnosis(layers=(report(),))
    assert len(draw(plain).axes) == 2


class Reader(HTMLParser):
    """Tags that are open, and what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.pictures = 0
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.pictures += tag == "svg"
        self.loads += [value or "" for name, value in attrs
                       if name in ("src", "href", "xlink:href") and not (value or "").startswith("#")]  # fmt: skip
        if tag in ("script", "link"):
            self.loads.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone() -> None:
    found = diagnosis()
    text = page(found, name="runs/<mine>", course=course(found))
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.loads == []
    assert reader.pictures == 4
    for each in ("Diagnosis of runs/<mine>", "a < b: text & more", "--cell lstm", "weight<x>",
                 "encoder layer 2", "spectral radius", "8 rows of train, loss 0.25 nats"):  # fmt: skip
        assert each in reader.text
    assert 'class="verdict warning"' in text


def test_updates_of_the_last_look_stand_beside_the_weights() -> None:
    found = diagnosis(weights=(WeightReport(name="w", norm=2.0, gradient=1e-2, update=0.125),))
    assert "0.12<" not in page(diagnosis(), name="a")
    shown = diagnosis(weights=(WeightReport(name="w", norm=2.0, gradient=1e-2),))
    assert '<td class="n">0.12</td>' in page(shown, name="a", course=course(found))


def test_pictures_need_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plotting, "find_spec", lambda name: None)
    with pytest.raises(
        MissingPackageError,
        match=r"a page of a diagnosis needs the package matplotlib; pip install 'seqnlp\[plot\]'",
    ):
        page(diagnosis(), name="a")
