"""What a search looks through, and what is said of a search that cannot be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp import registry
from seqnlp.config import Settings, load_settings
from seqnlp.errors import SettingsError
from seqnlp.training.preparation import complete
from seqnlp.tuning.defaults import default_space
from seqnlp.tuning.samplers import distributions, grid_points, next_point
from seqnlp.tuning.space import (
    Choice,
    Interval,
    check_space,
    drawn_values,
    parse_dimension,
    parse_space,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rnn,lstm, gru", Choice(labels=("rnn", "lstm", "gru"))),
        ("[3, 6],[2, 5]", Choice(labels=("[3, 6]", "[2, 5]"))),
        ("\"a,b\",'c'", Choice(labels=('"a,b"', "'c'"))),
        ("0..0.6", Interval(low=0.0, high=0.6)),
        ("float:0..0.6:0.2", Interval(low=0.0, high=0.6000000000000001, step=0.2)),
        ("log:1e-4..1e-1", Interval(low=1e-4, high=1e-1, log=True)),
        ("int:32..256", Interval(low=32, high=256, whole=True)),
        ("int:32..250:32", Interval(low=32, high=224, whole=True, step=32)),
        ("int:log:8..512", Interval(low=8, high=512, whole=True, log=True)),
        ("log:int:8..512", Interval(low=8, high=512, whole=True, log=True)),
        ("-1..1", Interval(low=-1.0, high=1.0)),
    ],
)
def test_what_is_written_is_read(text: str, expected: object) -> None:
    assert parse_dimension(text) == expected


def test_values_are_what_a_recipe_would_have() -> None:
    found = parse_space(["text.ngram_sizes=[3, 6],[2, 5]", "model.bidirectional=true,false"])
    assert found["text.ngram_sizes"].ends() == [[3, 6], [2, 5]]
    assert found["model.bidirectional"].value("false") is False
    assert found["model.bidirectional"].drawn(1) is None  # a number is no truth value


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("train.lr", "expected KEY=VALUES, with values lstm,gru or 1e-4..1e-1"),
        ("train..lr=1,2", "expected KEY=VALUES"),
        ("train.lr=", "expected KEY=VALUES"),
        ("train.lr=0.1..a", "expected a number, not 'a'"),
        ("train.lr=0.1..inf", "expected a number, not 'inf'"),
        ("model.layers=int:1..2.5", "expected a whole number, not '2.5'"),
        ("train.lr=0.1..0.01", "0.1 is not less than 0.01"),
        ("train.lr=log:0..1", "log: needs numbers above 0, not 0"),
        ("train.lr=log:1..3:1", "log: and a step exclude each other"),
        ("train.lr=1..3:5", "the step 5 must be above 0 and at most 2"),
        ("train.lr=int:float:1..3", "int: and float: exclude each other"),
        ("train.lr=log:1e-3", "expected LOW..HIGH after log:, not '1e-3'"),
        ("model.cell=lstm", "one value is nothing to search; expected lstm,gru"),
        ("model.cell=lstm,,gru", "a value between two commas is missing"),
        ("model.cell=lstm,gru,lstm", "a value is named twice"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(search: str, told: str) -> None:
    with pytest.raises(SettingsError, match="^--search ") as caught:
        parse_space([search])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_is_named_once() -> None:
    with pytest.raises(SettingsError, match="^--search train.lr=3,4: train.lr is named twice$"):
        parse_space(["train.lr=1,2", "train.lr=3,4"])


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("model.cel=lstm,gru", "no key 'model.cel'; did you mean 'cell'?"),
        ("modle.cell=lstm,gru", "no key 'modle'; did you mean 'model'?"),
        ("model.cell=lstm,gruu", "no cell is named 'gruu'; did you mean 'gru'?"),
        ("model.layers=one,two", "Input should be a valid integer"),
        ("train.epochs=1..3", "train.epochs takes whole numbers; int:1..3"),
        ("train.lr=-1..1", "Input should be greater than 0, not -1.0"),
        ("hooks.dropout.ouput=0..1", "no key 'ouput'; did you mean 'output'?"),
        ("hooks.dropuot.output=0..1", "did you mean 'dropout'?"),
        ("hooks.clip.norm.x=0..1", "'norm' is a value, not a table"),
        ("head.polings=1,2", "no key 'polings'"),
        ("task=sentiment,translation", "not searched through: figures of different tasks"),
        ("corpus.name=reviews,stories", "not searched through: figures on different corpora"),
        ("seed=int:0..9", "not searched through: a seed that was lucky is no setting"),
        ("train.monitor=loss,accuracy", "not searched through: it is the figure that trials"),
        ("hooks.log.every=int:0..9", "the hook log takes no part in trials"),
    ],
)
def test_a_key_that_cannot_be_searched_is_told_in_one_line(search: str, told: str) -> None:
    space = parse_space([search])
    with pytest.raises(SettingsError, match="^--search ") as caught:
        check_space(complete(Settings()), space)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"--search {search}: ")
    assert "\n" not in str(caught.value)


def test_a_key_of_a_hook_that_is_off_switches_it_on() -> None:
    settings = complete(load_settings(None, ["hooks.dropout=false"]))
    check_space(settings, parse_space(["hooks.dropout.output=0..0.9"]))
    with pytest.raises(SettingsError, match=r"rate of 'output' must be in \[0, 1\), not 1\.0"):
        check_space(settings, parse_space(["hooks.dropout.output=0..1"]))
    # Whoever has asked for a hook without options has not said that there are none.
    asked = complete(load_settings(None, ["hooks.average=true"]))
    check_space(asked, parse_space(["hooks.average.decay=0.9..0.99"]))


def test_a_key_that_no_part_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(input_size: int, *, hidden_size: int) -> None: ...

    monkeypatch.setattr(registry.encoders, "_local", {"flat": make})
    settings = complete(load_settings(None, ["model.encoder=flat"]))
    check_space(settings, parse_space(["model.hidden_size=int:8..16"]))
    with pytest.raises(SettingsError, match="no part of the model reads model.layers$"):
        check_space(settings, parse_space(["model.layers=int:2..3"]))
    assert "model.cell" not in default_space(settings)


def test_the_default_space_is_one_that_can_be_searched() -> None:
    settings = complete(Settings())
    space = default_space(settings)
    check_space(settings, space)
    assert drawn_values(settings, space) == {
        "train.lr": 2e-3,
        "model.hidden_size": 128,
        "model.cell": "lstm",
        "hooks.dropout.embedding": 0.4,
        "hooks.dropout.output": 0.4,
    }
    without = complete(load_settings(None, ["hooks.dropout=false"]))
    assert not any(key.startswith("hooks") for key in default_space(without))


def test_settings_outside_of_what_is_searched_are_not_drawn() -> None:
    settings = complete(Settings())
    assert drawn_values(settings, parse_space(["model.hidden_size=int:8..64"])) is None
    assert drawn_values(settings, parse_space(["model.hidden_size=int:8..200:7"])) is None
    assert drawn_values(settings, parse_space(["model.cell=rnn,gru"])) is None
    assert drawn_values(settings, parse_space(["text.vectors=ppmi,none"])) is None
    assert drawn_values(settings, parse_space(["model.hidden_size=64,128"])) is not None


@given(
    low=st.integers(-50, 50),
    width=st.integers(1, 40),
    step=st.integers(1, 40),
    value=st.integers(-60, 100),
)
def test_what_can_be_drawn_is_what_the_grid_has(
    low: int, width: int, step: int, value: int
) -> None:
    if step > width:
        return
    dimension = parse_dimension(f"int:{low}..{low + width}:{step}")
    grid = dimension.grid()
    assert grid == list(range(low, low + width + 1, step))
    assert (dimension.drawn(value) is not None) == (value in grid)
    # Optuna's own idea of the interval is the same.
    [found] = distributions({"x": dimension}).values()
    assert found._contains(float(value)) == (value in grid)


def test_a_grid_has_every_combination_once_in_an_order_of_its_seed() -> None:
    space = parse_space(["model.cell=rnn,gru", "model.layers=int:1..3", "train.lr=1e-3..3e-3:1e-3"])
    points = grid_points(space, 0)
    assert len(points) == 18 == len({tuple(sorted(p.items(), key=str)) for p in points})
    assert points == grid_points(space, 0) != grid_points(space, 1)
    left = list(points)
    tried: list[dict[str, object]] = []
    random.Random(0).shuffle(left)
    tried = left[:10]
    following = next_point(points, tried)
    assert following is not None
    assert following not in tried
    assert next_point(points, points) is None


def test_a_grid_needs_steps() -> None:
    with pytest.raises(
        SettingsError,
        match="^--search train.lr=log:0.001..0.1: a grid has no end in an interval without a step; "
        "name values, such as 0.001,0.003,0.01, or another --sampler$",
    ):
        grid_points(parse_space(["train.lr=log:1e-3..1e-1"]), 0)
