"""Maps of attention: the grid, cell by cell, and pictures."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from seqnlp.cli import attention_map
from seqnlp.cli.attention_map import MapPrinter, draw, save_picture
from seqnlp.errors import InputError, MissingPackageError
from seqnlp.types import Hypothesis, Prediction

WEIGHTS = np.array([[0.9, 0.1, 0.0], [0.04, 0.5, 0.46], [0.0, 0.05, 0.949]], dtype=np.float32)


def grid(source: list[str], target: list[str], weights: np.ndarray, width: int = 80) -> list[str]:
    return [line.plain for line in draw(source, target, weights, width=width)]


def test_a_small_map_has_its_weights_in_percent() -> None:
    assert grid(["Der", "Hund", "<eos>"], ["The", "dog"], WEIGHTS) == [
        "              <",
        "           H  e",
        "        D  u  o",
        "        e  n  s",
        "        r  d  >",
        "  The  90 10  ·",
        "  dog   · 50 46",
        "<eos>   ·  5 95",
    ]


def test_a_certain_weight_keeps_its_column() -> None:
    *_, row, end = grid(["a", "b"], ["x"], np.eye(2, dtype=np.float32))
    assert row == "    x  99  ·"
    assert end == "<eos>   · 99"


@pytest.mark.parametrize(("width", "cell"), [(80, 3), (12, 2)])
def test_narrower_cells_are_shades(width: int, cell: int) -> None:
    weights = np.array([[0.03, 0.1, 0.3, 0.8]], dtype=np.float32)
    row = grid(["a"] * 4, [], weights, width=width)[-1]
    shades = {3: "  · 10 30 80", 2: "  ░░▒▒██"}
    assert row == "<eos> " + shades[cell]


def test_more_columns_than_fit_stand_below() -> None:
    weights = np.eye(2, 40, dtype=np.float32)
    lines = grid(["a"] * 40, ["x"], weights, width=30)
    assert max(map(len, lines)) == 30
    assert [line.count("a") for line in lines if "a" in line] == [24, 16]
    assert sum("█" in line for line in lines) == 2
    assert sum(line.startswith("    x") for line in lines) == 2


def test_letters_of_any_width_keep_the_columns() -> None:
    weights = np.full((1, 4), 0.25, dtype=np.float32)
    *header, row = draw(["二", "cafe\u0301", " ", "\n"], [], weights, width=80)
    assert {line.cell_len for line in (*header, row)} == {6 + 4 * 3}
    text = [line.plain for line in header]
    assert [line[-9:-6].strip() for line in text] == ["c", "a", "f", "e\u0301"]
    assert text[-1].endswith("␣  ·")
    # With no room for whole cells, a wide letter still has its two.
    narrow = list(draw(["二"] * 30, [], np.full((1, 30), 1 / 30, dtype=np.float32), width=20))
    assert {line.cell_len for line in narrow if line.plain} <= {20, 6 + 2 * 2}


def test_a_long_token_is_cut() -> None:
    lines = grid(["a" * 30], ["b" * 30], np.ones((2, 1), dtype=np.float32))
    assert len(lines) == 14 + 2
    assert lines[13].endswith("…")
    assert lines[14].startswith("b" * 13 + "… ")


def test_of_a_long_source_what_has_weight_is_drawn() -> None:
    weights = np.full((2, 5000), 1e-4, dtype=np.float32)
    weights[0, 7], weights[1, 4999], weights[1, 30] = 0.9, 0.5, 0.04
    first, *lines = grid([f"t{place}" for place in range(5000)], ["x"], weights)
    assert first == "2 of 5,000 source tokens have a weight of 5 % or more"
    assert lines[-2:] == ["    x  90  ·", "<eos>   · 50"]
    assert len(lines) == 5 + 2
    # Where no token has weight there is nothing to draw.
    assert grid(["a"] * 200, ["x"], np.zeros((2, 200), dtype=np.float32))[1:] == []


@pytest.mark.parametrize(("size", "labels"), [(100, 100), (101, 51), (5000, 100)])
def test_a_picture_of_many_tokens_names_some_and_has_no_grid(
    tmp_path: Path, size: int, labels: int
) -> None:
    pytest.importorskip("matplotlib")
    weights = np.full((3, size), 1 / size, dtype=np.float32)
    save_picture(tmp_path / "map.svg", [f"t{n}." for n in range(size)], ["a", "b"], weights)
    drawn = (tmp_path / "map.svg").read_text()
    assert drawn.count("<!-- t") == labels
    assert "<!-- t0. -->" in drawn
    assert ("xtick_200" in drawn) == (size <= 100)


def test_what_is_attended_to_most_stands_out_in_color() -> None:
    *_, line = draw(["a", "b"], [], np.array([[0.9, 0.1]], dtype=np.float32), width=80)
    strong, weak = (span.style for span in line.spans)
    assert strong.bgcolor.triplet.red < weak.bgcolor.triplet.red  # type: ignore[union-attr]


def answer(weights: np.ndarray | None = WEIGHTS) -> Prediction:
    best = Hypothesis(
        text="The dog", score=0.0, log_probability=0.0, tokens=("The", "dog"), attention=weights
    )
    return Prediction(output="The dog", hypotheses=(best,), source_tokens=("Der", "Hund", "<eos>"))


def test_maps_go_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    maps = MapPrinter(None)
    maps.show(answer())
    maps.show(Prediction(output=""))
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == grid(["Der", "Hund", "<eos>"], ["The", "dog"], WEIGHTS)


@pytest.mark.parametrize(
    ("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("PDF", b"%PDF")]
)
def test_a_picture_is_in_the_format_of_its_ending(
    tmp_path: Path, ending: str, begin: bytes
) -> None:
    pytest.importorskip("matplotlib")
    MapPrinter(tmp_path / f"map.{ending}").show(answer())
    assert (tmp_path / f"map.{ending}").read_bytes().startswith(begin)


def test_a_picture_has_every_token_as_it_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    # Dollar signs would be formulas.
    tokens = ["$x_1$", "Straße", "<eos>"]
    save_picture(tmp_path / "map.svg", tokens, ["a", "b"], WEIGHTS)
    drawn = (tmp_path / "map.svg").read_text()
    for token in (*tokens, "a", "b"):
        assert f"<!-- {token.replace('<', '&lt;').replace('>', '&gt;')} -->" in drawn, token


def test_a_letter_without_a_glyph_is_no_warning(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with warnings.catch_warnings(record=True) as told:
        save_picture(tmp_path / "map.png", ["\U00010f00", "b"], ["a"], WEIGHTS[:2, :2])
    assert not told


def test_further_pictures_have_numbers_and_an_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    drawn: list[str] = []
    monkeypatch.setattr(attention_map, "MOST_PICTURES", 3)
    monkeypatch.setattr(attention_map, "save_picture", lambda path, *_: drawn.append(path.name))
    maps = MapPrinter(tmp_path / "map.png")
    for _ in range(5):
        maps.show(answer())
    assert drawn == ["map.png", "map-2.png", "map-3.png"]
    assert capfd.readouterr().err == "note: no more than 3 pictures are drawn\n"


def test_what_cannot_be_drawn_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^--attention map.gif: a picture ends in .png, .svg, "):
        MapPrinter(Path("map.gif"))
    with pytest.raises(InputError, match="^no attention to show is known of a text"):
        MapPrinter(None).show(answer(None))
    monkeypatch.setattr(attention_map, "find_spec", lambda _: None)
    with pytest.raises(
        MissingPackageError,
        match=r"^--attention map.png: a picture needs the package matplotlib; pip install "
        r"'seqnlp\[plot\]', or give --attention without a file for a map in the terminal$",
    ):
        MapPrinter(Path("map.png"))


def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=r"^cannot write .*none/map.png: No such file"):
        MapPrinter(tmp_path / "none" / "map.png").show(answer())
