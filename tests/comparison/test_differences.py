"""Differences of systems, from answers and from figures over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from seqnlp.bundle import load
from seqnlp.comparison.differences import (
    best_by_validation,
    differences,
    figures_of_system,
)
from seqnlp.comparison.measuring import Exam, Measured
from seqnlp.comparison.runs import Run, System
from seqnlp.comparison.statistics import holm, permutation_test, t_interval
from seqnlp.errors import InputError
from seqnlp.training.run import train
from seqnlp.types import Prediction
from tests.comparison.runs import made_up
from tests.toy_numbers import MeanTask
from tests.toy_seeds import tiny


class Coin:
    """A task with a test over examples: the share of answers that are right."""

    settings = made_up("a").settings

    def compare(
        self, first: Sequence[Prediction], second: Sequence[Prediction], references: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        one, other = (_share(answers, references) for answers in (first, second))
        return {
            "share": {
                "first": one, "second": other, "wins": 0.5, "p_value": abs(other - one) / 2,
                "difference": {"value": other - one, "low": -1.0, "high": 1.0},
            },
        }  # fmt: skip


def _share(answers: Sequence[Prediction], references: Sequence[str]) -> float:
    return float(np.mean([a.output == r for a, r in zip(answers, references, strict=True)]))


def answered(run: Run, right: int, fingerprint: str = "same", **figure: Any) -> Measured:
    """Ten answers, the first of which are right."""
    answers = [Prediction(output="yes" if i < right else "no") for i in range(10)]
    share = {"value": right / 10, "low": 0.0, "high": 1.0, **figure}
    return Measured(
        run=run, answers=answers, references=["yes"] * 10, report={"share": share},
        parameters=1, fingerprint=fingerprint,
    )  # fmt: skip


def measured(name: str, by_seed: dict[int, int], **options: Any) -> tuple[System, list[Measured]]:
    runs = [made_up(f"{name}-{seed}", f"seed={seed}") for seed in by_seed]
    found = [
        answered(run, right, **options) for run, right in zip(runs, by_seed.values(), strict=True)
    ]
    return System(name=name, runs=tuple(runs)), found


def compare(*given: tuple[System, list[Measured]], task: Any = None, split: str = "test") -> Any:
    systems = [system for system, _ in given]
    found = {system.name: own for system, own in given}
    pairs = [(0, place) for place in range(1, len(systems))]
    return differences(systems, found, pairs, task or cast(Any, Coin()), split)


def test_one_pair_is_compared_as_the_task_does() -> None:
    (only,) = compare(measured("a", {0: 5}), measured("b", {0: 7}))
    assert (only.first, only.second, only.seeds) == ("a", "b", ((0, 0),))
    figure = only.figures["share"]
    assert figure["difference"]["low"] == -1.0
    assert figure["p_value"] == figure["p_holm"] == pytest.approx(0.1)


def test_seeds_are_compared_in_pairs() -> None:
    (only,) = compare(measured("a", {0: 5, 1: 6, 3: 0}), measured("b", {3: 4, 0: 6, 1: 9, 2: 0}))
    assert only.seeds == ((0, 0), (1, 1), (3, 3))
    changes = [0.1, 0.3, 0.4]
    figure = only.figures["share"]
    expected = t_interval(changes)
    assert figure["difference"] == pytest.approx(vars(expected))
    assert figure["p_value"] == permutation_test(changes) == 0.25
    assert figure["wins"] == 1.0
    assert figure["p_texts"] == pytest.approx(0.15)
    assert (figure["first"], figure["second"]) == pytest.approx((11 / 30, 19 / 30))
    assert [each["difference"]["value"] for each in figure["pairs"]] == pytest.approx(changes)


def test_without_a_common_seed_runs_are_paired_in_their_order() -> None:
    (only,) = compare(measured("a", {0: 5, 1: 6}), measured("b", {7: 5, 8: 4, 9: 3}))
    assert only.seeds == ((0, 7), (1, 8))
    assert only.figures["share"]["wins"] == 0.0


def test_several_comparisons_are_adjusted_together() -> None:
    given = [measured(name, {0: right}) for name, right in zip("abcd", (2, 3, 6, 9), strict=True)]
    made = compare(*given)
    plain = [each.figures["share"]["p_value"] for each in made]
    assert [each.figures["share"]["p_holm"] for each in made] == pytest.approx(holm(plain))
    assert made[0].figures["share"]["p_holm"] > plain[0]


def test_a_task_without_a_test_gives_plain_differences() -> None:
    task = MeanTask.__new__(MeanTask)
    one, other = measured("a", {0: 5}, better="lower"), measured("b", {0: 4}, better="lower")
    (only,) = compare(one, other, task=task)
    figure = only.figures["share"]
    assert figure["difference"] == {"value": pytest.approx(-0.1), "low": None, "high": None}
    assert (figure["better"], figure["p_value"], figure["wins"]) == ("lower", None, None)
    about = {"better": "lower", "digits": 5}
    more = [measured(n, {0: k, 1: k - 1}, **about) for n, k in (("a", 5), ("b", 4))]
    (only,) = compare(*more, task=task)
    figure = only.figures["share"]
    assert figure["digits"] == 5
    # Lower is better: the second wins with each seed.
    assert (figure["wins"], figure["p_value"], figure["p_texts"]) == (1.0, 0.5, None)


def test_figures_of_seeds_are_their_mean() -> None:
    _, found = measured("a", {0: 5, 1: 6, 2: 10})
    figure = figures_of_system(found)["share"]
    expected = t_interval([0.5, 0.6, 1.0])
    assert (figure["value"], figure["low"]) == pytest.approx((expected.value, expected.low))
    # No share is more than one; a number without a unit may be anything, and so may an error.
    assert figure["high"] == 1.0 < expected.high
    for about in ({"unit": "plain"}, {"better": "lower"}):
        _, free = measured("a", {0: 5, 1: 6, 2: 10}, **about)
        assert figures_of_system(free)["share"]["high"] == pytest.approx(expected.high)
    assert figure["seeds"] == [0.5, 0.6, 1.0]
    assert figures_of_system(found[:1])["share"] == {
        "value": 0.5, "low": 0.0, "high": 1.0, "seeds": [0.5],
    }  # fmt: skip


def test_a_figure_that_a_run_lacks_is_left_out() -> None:
    _, found = measured("a", {0: 5, 1: 6})
    bare = Measured(**{**vars(found[1]), "report": {"examples": 10}})
    assert figures_of_system([found[0], bare]) == {}


def test_the_best_is_chosen_by_validation() -> None:
    def system(name: str, *best: float, monitor: str = "accuracy") -> System:
        runs = [
            made_up(f"{name}{n}", f"seed={n}", f"train.monitor={monitor}",
                    epochs=[{monitor: value}, {monitor: 0.5}], test={"accuracy": {"value": 1.0}})
            for n, value in enumerate(best)
        ]  # fmt: skip
        return System(name=name, runs=tuple(runs))

    systems = [system("a", 0.9, 0.7), system("b", 0.85, 0.85), system("c", 0.1)]
    assert best_by_validation(systems) == 1
    # A loss is better when lower; epochs of 0.5 count, too.
    assert best_by_validation([system(n, v, monitor="loss") for n, v in (("a", 0.6), ("b", 0.3))])
    none = System(name="d", runs=(made_up("d"),))
    with pytest.raises(InputError, match="^d has no accuracy on validation; use --against first$"):
        best_by_validation([systems[0], none])


def test_runs_with_other_test_examples_are_not_compared(tmp_path: Path, toy_corpus: Path) -> None:
    train_file = toy_corpus / "train.tsv"
    runs = []
    for name, seed in (("a", 0), ("b", 1)):
        settings = tiny(train_file, f"seed={seed}", "corpus.test_share=0.2", "train.epochs=1")
        train(settings, tmp_path / name)
        runs.append(Run.read(tmp_path / name))
    exam = Exam()
    both = [exam.measure(run, "test")[0] for run in runs]
    assert both[0].fingerprint != both[1].fingerprint
    systems = [System(name=run.folder.name, runs=(run,)) for run in runs]
    _, judge = exam.measure(runs[0], "test")
    with pytest.raises(InputError) as caught:
        differences(systems, {"a": both[:1], "b": both[1:]}, [(0, 1)], judge, "test")
    assert str(caught.value) == (
        f"{tmp_path / 'a'} and {tmp_path / 'b'} have cut test off train by their seeds, 0 and 1, "
        "so that each has learned from what the other is measured on; compare runs of the same "
        "seeds, or name another corpus by --corpus"
    )
    # The same seed has the same cut; each is opened once.
    assert exam.corpus_for(runs[0].settings) is exam.corpus_for(runs[0].settings)
    assert exam.corpus_for(runs[0].settings) is not exam.corpus_for(runs[1].settings)
    # On the whole of another corpus nothing is cut.
    other = Exam(corpus=str(toy_corpus))
    assert other.corpus_for(runs[0].settings) is other.corpus_for(runs[1].settings)


def test_runs_that_read_other_columns_are_not_compared() -> None:
    pair = measured("a", {0: 5}), measured("b", {0: 5}, fingerprint="other")
    with pytest.raises(InputError) as caught:
        compare(*pair)
    assert str(caught.value) == (
        "a-0 and b-0 have other examples in test: name the corpus to compare them on by --corpus"
    )


def test_an_answer_that_the_other_classifier_does_not_know(seed_runs: Path) -> None:
    task = load(seed_runs / "gru-seed-0").task
    known, other = ([Prediction(output=label)] for label in ("positive", "neutral"))
    for pair in ((known, other), (other, known)):
        with pytest.raises(InputError) as caught:
            task.compare(*pair, ["positive"])
        assert str(caught.value) == (
            "one model answers 'neutral', which is no label of the other; known: negative, positive"
        )
