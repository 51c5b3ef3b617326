"""What belongs together, what may be compared, and what a training cost."""

from __future__ import annotations

import pytest

from seqnlp.comparison.runs import (
    Run,
    check_comparable,
    cost_of,
    differing_keys,
    systems_of,
)
from seqnlp.errors import InputError
from tests.comparison.runs import made_up


def names(runs: list[Run]) -> list[list[str]]:
    return [[str(run.folder) for run in system.runs] for system in systems_of(runs)]


def test_runs_that_differ_in_the_seed_alone_are_one_system() -> None:
    runs = [made_up("b", "seed=1"), made_up("c", "model.cell=gru"), made_up("a", "seed=0")]
    assert names(runs) == [["a", "b"], ["c"]]
    assert [system.name for system in systems_of(runs)] == ["a", "c"]


def test_the_machine_and_what_looks_on_make_no_other_system() -> None:
    plain, other = made_up("a"), made_up("b", "seed=1", "threads=2", "device=cpu", "hooks.log=true")
    apart = made_up("c", "hooks.clip=false")
    assert names([plain, other, apart]) == [["a", "b"], ["c"]]
    assert differing_keys(plain.settings, apart.settings) == ["hooks.clip.norm"]


def test_true_is_a_hook_without_options() -> None:
    one, other = made_up("a", "hooks.schedule=true"), made_up("b")
    assert differing_keys(one.settings, other.settings) == ["hooks.schedule"]
    assert differing_keys(one.settings, made_up("c", "hooks.schedule={}").settings) == []


def test_a_seed_that_comes_again_is_another_system() -> None:
    runs = [made_up("a"), made_up("b", "seed=1"), made_up("c"), made_up("d", "model.cell=rnn")]
    assert names(runs) == [["a", "b"], ["c"], ["d"]]


def test_seeds_alone_are_compared_with_each_other() -> None:
    runs = [made_up("b", "seed=1"), made_up("a")]
    assert names(runs) == [["b"], ["a"]]
    (system,) = systems_of(runs, apart=False)
    assert (system.name, [run.seed for run in system.runs]) == ("a", [0, 1])


def test_a_run_is_not_compared_with_itself() -> None:
    with pytest.raises(
        InputError, match=r"^a/\.\./a is named twice: it would be compared with itself$"
    ):
        systems_of([made_up("a"), made_up("b"), made_up("./a/../a")])


def test_a_cost_is_of_all_epochs() -> None:
    epochs = [
        {"train_seconds": 1.0, "examples_per_second": 100.0, "peak_memory_mb": 300.0},
        {"train_seconds": 3.0, "examples_per_second": 200.0, "peak_memory_mb": 350.0},
    ]
    cost = cost_of(made_up("a", epochs=epochs))
    assert (cost.epochs, cost.seconds, cost.peak_memory_mb) == (2, 4.0, 350.0)
    assert cost.examples_per_second == (100 + 600) / 4
    assert cost.peak_gpu_memory_mb is None


def test_what_an_older_run_has_not_written_down_is_unknown() -> None:
    cost = cost_of(made_up("a", epochs=[{"train_seconds": 2.0}]))
    assert (cost.seconds, cost.examples_per_second, cost.peak_memory_mb) == (2.0, None, None)
    nothing = cost_of(made_up("b"))
    assert (nothing.epochs, nothing.seconds) == (0, None)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["task=translation"], "a is for sentiment and b for translation: models are compared in "
         "one task"),
        (["corpus.name=other"], "a was trained on toy and b on other: name the corpus to compare "
         "them on by --corpus"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_comparable([made_up("a"), made_up("b", *overrides)], corpus=None)
    assert str(caught.value) == message


def test_two_languages_are_not_compared() -> None:
    pair = [
        made_up("a", "corpus.source=de", "corpus.target=en"),
        made_up("b", "corpus.source=en", "corpus.target=de"),
    ]
    message = "^a translates de to en and b translates en to de: models are compared in one"
    with pytest.raises(InputError, match=message):
        check_comparable(pair, corpus="other")


def test_runs_of_two_corpora_are_compared_on_a_third() -> None:
    check_comparable([made_up("a"), made_up("b", "corpus.name=other")], corpus="third")
    check_comparable([], corpus=None)
