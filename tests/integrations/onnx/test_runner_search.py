"""The runner's search finds what the library's finds, whatever is asked of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import seqnlp_runtime.decoding as runner
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from seqnlp_runtime.decoding.arrays import top
from seqnlp_runtime.decoding.stepper import Stepper, StepScores
from seqnlp_runtime.errors import RunnerError

from seqnlp.config import validate_section
from seqnlp.errors import SettingsError
from seqnlp.tasks.decoding import Decoding, UsualLength, WordMarks, search
from tests.tasks.decoding.toy import BOS, EOS, Toy

Ints = NDArray[np.int64]


class NumpyToy(Stepper):
    """The same model, asked in numpy."""

    def __init__(self, toy: Toy) -> None:
        self._toy, self.vocabulary_size = toy, toy.vocabulary_size

    @property
    def sources(self) -> int:  # type: ignore[override]
        return self._toy.sources

    def step(self, ids: Ints) -> StepScores:
        scores = self._toy.step(torch.from_numpy(ids.copy()))
        weights = None if scores.weights is None else scores.weights.numpy()
        return StepScores(logs=scores.log_probabilities().numpy(), weights=weights)

    def select(self, rows: Ints) -> None:
        self._toy.select(torch.from_numpy(rows))

    def keep(self, sources: Ints) -> None:
        self._toy.keep(torch.from_numpy(sources))


SIZE = 7
tokens = st.integers(2, SIZE - 1)
floats = st.sampled_from([0.0, 0.3, 1.0, 2.5])


@st.composite
def asked(draw: Any) -> dict[str, Any]:
    """Options that suit each other."""
    options: dict[str, Any] = {
        "length_penalty": draw(floats),
        "coverage_penalty": draw(floats),
        "length_prior": draw(floats),
        "min_length": draw(st.integers(0, 3)),
        "max_ratio": draw(floats),
        "max_extra": draw(st.integers(0, 4)),
        "no_repeat_ngram": draw(st.integers(0, 3)),
        "max_words": draw(st.none() | st.integers(1, 3)),
        "max_length": draw(st.none() | st.integers(3, 5)),
    }
    kind = draw(st.sampled_from(["greedy", "beam", "groups", "sample"]))
    if kind == "beam":
        options["beam"] = draw(st.integers(2, 5))
    if kind == "groups":
        groups, width = draw(st.integers(2, 3)), draw(st.integers(1, 2))
        options |= {"beam": groups * width, "diverse_groups": groups, "diversity": draw(floats)}
    if kind == "sample":
        options |= {
            "sample": True,
            "n_best": draw(st.integers(1, 3)),
            "temperature": draw(st.sampled_from([0.5, 1.0, 3.0])),
            "top_k": draw(st.sampled_from([0, 2, 5])),
            "top_p": draw(st.sampled_from([0.3, 0.8, 1.0])),
            "seed": draw(st.integers(0, 5)),
        }
    elif "beam" in options:
        options["n_best"] = draw(st.integers(1, options["beam"]))
    if options["length_prior"] and draw(st.booleans()):
        options["length_ratio"] = draw(st.sampled_from([0.5, 2.0]))
    return options


def found_by(
    search_of: Any,
    stepper: Any,
    options: Any,
    lengths: Any,
    words: Any,
    usual: Any,
    forced: tuple[Sequence[Sequence[int]], Sequence[Sequence[Sequence[int]]]],
) -> list[list[Any]]:
    found: list[list[Any]] = search_of(
        stepper,
        options,
        bos=BOS,
        eos=EOS,
        source_lengths=lengths,
        forbidden=[BOS],
        prefixes=forced[0],
        constraints=forced[1],
        numbers=[5 * number + 1 for number in range(len(lengths))],
        words=words,
        usual_length=usual,
        want_weights=True,
    )
    return found


@settings(max_examples=120)
@given(data=st.data(), options=asked(), attention=st.booleans())
def test_all_options_find_the_same(
    data: st.DataObject, options: dict[str, Any], attention: bool
) -> None:
    count = data.draw(st.integers(1, 4))
    keys = data.draw(st.lists(st.integers(0, 99), min_size=count, max_size=count))
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    prefixes = [data.draw(st.lists(tokens, max_size=2)) for _ in keys]
    phrases: list[list[list[int]]] = [[] for _ in keys]
    if not options.get("sample") and options.get("diverse_groups", 1) == 1:
        several = st.lists(st.lists(tokens, min_size=1, max_size=3), max_size=2)
        phrases = [data.draw(several) for _ in keys]
    if not attention:
        options = {**options, "coverage_penalty": 0.0}
    begins, joins = np.array([False, False, True, True, False, True, False]), np.zeros(SIZE, bool)
    joins[4] = True
    usual = {"intercept": 0.2, "slope": 0.7, "spread": 0.4}

    def toy() -> Toy:
        return Toy(keys, lengths, size=SIZE, end=0.5, attention=attention)

    expected = found_by(
        search,
        toy(),
        Decoding(**options),
        torch.tensor(lengths),
        WordMarks.of(begins.tolist(), joins.tolist(), torch.device("cpu")),
        UsualLength(**usual),
        (prefixes, phrases),
    )
    rows = np.broadcast_to(begins, (count, SIZE)), np.broadcast_to(joins, (count, SIZE))
    found = found_by(
        runner.search,
        NumpyToy(toy()),
        runner.Decoding.of(options),
        np.array(lengths),
        runner.WordMarks(begins=rows[0], joins=rows[1]),
        runner.UsualLength(**usual),
        (prefixes, phrases),
    )
    assert [[one.ids for one in own] for own in found] == [
        [one.ids for one in own] for own in expected
    ]
    for ours, theirs in zip(
        (one for own in found for one in own), (one for own in expected for one in own), strict=True
    ):
        assert ours.score == pytest.approx(theirs.score, rel=1e-9, abs=1e-9)
        assert ours.log_probability == pytest.approx(theirs.log_probability, rel=1e-9)
        assert ours.cut == theirs.cut
        assert (ours.weights is None) == (theirs.weights is None) == (not attention)
        if theirs.weights is not None:
            np.testing.assert_allclose(ours.weights, theirs.weights, rtol=1e-6)


@given(
    rows=st.integers(1, 3),
    size=st.integers(1, 700),
    count=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_the_greatest_of_many_columns_are_those_of_a_whole_sort(
    rows: int, size: int, count: int, seed: int
) -> None:
    values = np.random.default_rng(seed).permuted(
        np.arange(rows * size, dtype=np.float32).reshape(rows, size), axis=1
    )
    count = min(count, size)
    found, columns = top(values, count)
    np.testing.assert_array_equal(columns, np.argsort(-values, axis=1)[:, :count])
    np.testing.assert_array_equal(found, np.sort(values, axis=1)[:, ::-1][:, :count])


WRONG = {
    "beam": (0, "a whole number of 1 or more, at most 1000; found 0"),
    "n_best": (2, "at most beam, which is 1; found 2"),
    "length_penalty": (11, "a number of 0 or more, at most 10; found 11"),
    "temperature": (0.0, "a number over 0, at most 1000; found 0.0"),
    "top_k": (5, "the default, 0, without sample = true; found 5"),
    "min_length": (1.5, "a whole number of 0 or more, at most 2147483647; found 1.5"),
    "max_words": (0, "a whole number of 1 or more, at most 2147483647; found 0"),
    "length_ratio": (2.0, "none without length_prior; found 2.0"),
    "diverse_groups": (2, "a divisor of beam, which is 1; found 2"),
    "diversity": (1.0, "the default, 0.5, without diverse_groups; found 1.0"),
    "tidy": (3, "true or false; found 3"),
    "prefix": (3, "a text; found 3"),
    "constraints": ((3,), "texts; found [3]"),
    "replace_unknown": ("always", "'none' or 'attention'; found 'always'"),
    "neighbors": (3, "0 without mbr = true; found 3"),
    "max_ratio": (math.nan, "a number of 0 or more, at most 1000; found nan"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_cannot_be_is_refused_by_its_name(name: str) -> None:
    value, line = WRONG[name]
    with pytest.raises(RunnerError) as caught:
        runner.Decoding.of({name: value})
    assert str(caught.value) == f"decoding.{name}: expected {line}"
    with pytest.raises(SettingsError, match=f"decoding: {name}"):  # and so the library does
        validate_section(Decoding, {name: value}, "decoding")


def test_values_that_exclude_each_other_are_refused() -> None:
    for options, line in (
        ({"beam": 2, "sample": True}, "sample: expected false where beam is over 1 (it is 2); found True"),
        ({"min_length": 4, "max_length": 3}, "max_length: expected at least min_length, which is 4; found 3"),
        ({"sample": True, "constraints": ["a"]}, "constraints: expected none with sample = true; found ['a']"),
        ({"beam": 2, "mbr": True}, "mbr: a choice by risk needs seqnlp's own measures; give mbr=False here"),
        ({"bean": 2}, "no option is named 'bean'; did you mean 'beam'?"),
    ):  # fmt: skip
        with pytest.raises(RunnerError) as caught:
            runner.Decoding.of(options)
        assert str(caught.value).removeprefix("decoding.").removeprefix("decoding: ") == line


def test_what_a_model_does_not_have_is_said() -> None:
    def find(options: dict[str, Any]) -> None:
        toy = NumpyToy(Toy([1], [3], attention=False))
        runner.search(
            toy, runner.Decoding.of(options), bos=BOS, eos=EOS, source_lengths=np.array([3])
        )

    with pytest.raises(RunnerError, match="coverage_penalty: needs attention, and this model"):
        find({"coverage_penalty": 0.2})
    with pytest.raises(RunnerError, match="length_prior: needs to know how long outputs usually"):
        find({"length_prior": 1.0})


def test_a_model_that_gives_nan_is_said_to() -> None:
    class Broken(NumpyToy):
        def step(self, ids: Ints) -> StepScores:
            return StepScores(logs=np.full((len(ids), SIZE), np.nan))

    for beam in (1, 3):
        with pytest.raises(RunnerError, match="the model gives NaN in the place of probabilities"):
            runner.search(
                Broken(Toy([1], [3])),
                runner.Decoding(beam=beam),
                bos=BOS,
                eos=EOS,
                source_lengths=np.array([3]),
            )
