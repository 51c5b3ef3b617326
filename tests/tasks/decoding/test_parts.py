"""The parts of a search: the greatest columns, ensembles, alignments, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqnlp.errors import InputError, SeqnlpError
from seqnlp.tasks.decoding import (
    Decoding,
    EnsembleStepper,
    StepScores,
    align,
    pharaoh,
    replace_unknown,
    search,
)
from tests.tasks.decoding.toy import BOS, EOS, Toy, World


def test_an_ensemble_takes_the_mean_of_probabilities_and_weights() -> None:
    ids = torch.tensor([BOS, BOS])
    alone = [Toy(keys, [3, 2], size=7).step(ids) for keys in ([1, 2], [3, 4], [5, 6])]
    ensemble = EnsembleStepper([Toy(keys, [3, 2], size=7) for keys in ([1, 2], [3, 4], [5, 6])])
    scores = ensemble.step(ids)
    mean = torch.stack([one.log_probabilities().exp() for one in alone]).mean(0)
    torch.testing.assert_close(scores.log_probabilities().exp(), mean)
    weights = torch.stack([one.weights for one in alone if one.weights is not None]).mean(0)
    torch.testing.assert_close(scores.weights, weights)


@pytest.mark.parametrize("beam", [1, 4])
def test_an_ensemble_of_equals_finds_what_one_does(beam: int) -> None:
    world = World(keys=(1, 2, 3, 4), lengths=(4, 2, 3, 1), size=8)
    ensemble = EnsembleStepper([world.toy(), world.toy()])
    found = search(
        ensemble, Decoding(beam=beam), bos=BOS, eos=EOS, forbidden=[BOS],
        source_lengths=torch.tensor(world.lengths),
    )  # fmt: skip
    expected = world.find(Decoding(beam=beam))
    assert [[one.ids for one in own] for own in found] == [
        [one.ids for one in own] for own in expected
    ]
    for own, other in zip(found, expected, strict=True):
        assert own[0].score == pytest.approx(other[0].score)


def test_weights_of_an_ensemble_are_of_those_that_attend() -> None:
    attending, other = Toy([1], [3], size=5), Toy([2], [3], size=5, attention=False)
    alone = Toy([1], [3], size=5).step(torch.tensor([BOS]))
    assert torch.equal(
        EnsembleStepper([attending, other]).step(torch.tensor([BOS])).weights,  # type: ignore[arg-type]
        alone.weights,  # type: ignore[arg-type]
    )


def test_an_ensemble_refuses_what_cannot_answer_together() -> None:
    with pytest.raises(InputError, match="an ensemble needs at least one model"):
        EnsembleStepper([])
    with pytest.raises(InputError, match=r"their vocabulary_size are \[6, 7\]"):
        EnsembleStepper([Toy([1], [2], size=6), Toy([1], [2], size=7)])
    with pytest.raises(InputError, match=r"their sources are \[1, 2\]"):
        EnsembleStepper([Toy([1], [2]), Toy([1, 2], [2, 2])])


WEIGHTS = np.array(
    [[0.1, 0.7, 0.1, 0.1], [0.6, 0.2, 0.1, 0.1], [0.0, 0.1, 0.2, 0.7], [0.2, 0.2, 0.4, 0.2], [0, 0, 0, 1]],
    dtype=np.float32,
)  # fmt: skip


def test_tokens_are_aligned_where_attention_is_greatest() -> None:
    pairs = align(WEIGHTS, 3)
    assert pairs == ((1, 0), (0, 1), (2, 3))  # the third attends to the end of the source
    assert pharaoh(pairs) == "0-1 1-0 2-3"
    assert pharaoh(()) == ""
    assert align(WEIGHTS[-1:], 3) == ()
    assert align(np.zeros((2, 0), np.float32), 0) == ()


def test_unknown_tokens_are_replaced_by_what_they_attend_to() -> None:
    tokens, source = ["a", "<unk>", "<unk>", "<unk>"], ["eins", "zwei", "drei"]
    unknown = [token == "<unk>" for token in tokens]
    replaced = replace_unknown(tokens, unknown, WEIGHTS, source)
    # The third attends to the end, which is no word: the best of the words stands for it.
    assert replaced == ["a", "eins", "drei", "drei"]
    assert replace_unknown(["<unk>"], [False], WEIGHTS, source) == ["<unk>"]
    assert replace_unknown(["<unk>"], [True], WEIGHTS, []) == ["<unk>"]


def _find(**changed: Any) -> Any:
    options = {"bos": BOS, "eos": EOS, "forbidden": [BOS], "source_lengths": torch.tensor([2, 2])}
    options |= {"options": Decoding(), "stepper": Toy([1, 2], [2, 2])} | changed
    return search(options.pop("stepper"), options.pop("options"), **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source_lengths": torch.tensor([2])}, "2 sources, but 1 lengths"),
        ({"prefixes": [()]}, "2 sources, but 1 prefixes"),
        ({"constraints": [(), (), ()]}, "2 sources, but 3 constraints"),
        ({"numbers": [1]}, "2 sources, but 1 numbers"),
        ({"prefixes": [(), (EOS,)]}, "prefix of source 1: 1 is no token to begin with"),
        ({"prefixes": [(6,), ()]}, "prefix of source 0: 6 is no token to begin with"),
        ({"constraints": [(), ((),)]}, "constraints of source 1: a phrase has no tokens"),
        ({"constraints": [((3, EOS),), ()]}, "constraints of source 0: token 1 may not be produced"),
        ({"constraints": [((BOS,),), ()]}, "constraints of source 0: token 0 may not be produced"),
        ({"constraints": [((-1,),), ()]}, "constraints of source 0: token -1 may not be produced"),
        ({"constraints": [((3,),), ()], "options": Decoding(sample=True)}, "constraints need one beam: no sample, and no diverse_groups"),
        ({"constraints": [((3,),), ()], "options": Decoding(beam=2, diverse_groups=2)}, "constraints need one beam: no sample, and no diverse_groups"),
        ({"options": Decoding(coverage_penalty=0.1), "stepper": Toy([1, 2], [2, 2], attention=False)}, "coverage_penalty needs attention, and this model has none"),
    ],
)  # fmt: skip
def test_what_a_search_refuses(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        _find(**changed)
    assert str(caught.value) == message


def test_no_sources_give_no_outputs() -> None:
    assert _find(stepper=Toy([], []), source_lengths=torch.tensor([], dtype=torch.long)) == []


@pytest.mark.parametrize("beam", [1, 3])
def test_a_model_without_attention_gives_no_weights(beam: int) -> None:
    stepper = Toy([1, 2], [2, 2], attention=False)
    found = _find(stepper=stepper, options=Decoding(beam=beam), want_weights=True)
    assert [own[0].weights for own in found] == [None, None]


class Stubborn(Toy):
    """Gives no probability to anything but token 2 and the beginning."""

    def step(self, ids: Tensor) -> StepScores:
        scores = super().step(ids)
        scores.logits[:, [1, 3, 4, 5]] = -math.inf
        return scores


@pytest.mark.parametrize("options", [{}, {"beam": 3}, {"sample": True}], ids=str)
def test_there_is_an_output_whatever_a_model_rules_out(options: dict[str, Any]) -> None:
    free = _find(stepper=Stubborn([1, 2], [2, 2]), options=Decoding(max_length=3, **options))
    assert [own[0].ids for own in free] == [(2, 2, 2)] * 2
    once = Decoding(max_length=3, min_length=2, no_repeat_ngram=1, **options)
    assert [own[0].ids for own in _find(stepper=Stubborn([1, 2], [2, 2]), options=once)] == [
        (2,)
    ] * 2
    forced = _find(
        stepper=Stubborn([1, 2], [2, 2]),
        options=Decoding(max_length=3, **options),
        prefixes=[(4, 5), (3,)],
    )
    assert [own[0].ids for own in forced] == [(4, 5, 2), (3, 2, 2)]
    if "sample" not in options:
        phrases = _find(
            stepper=Stubborn([1, 2], [2, 2]),
            options=Decoding(max_length=3, **options),
            constraints=[((4, 5),), ()],
        )
        assert [own[0].ids for own in phrases] == [(4, 5, 2), (2, 2, 2)]


class Single(Toy):
    """Answers in single precision, which has a kernel of its own."""

    def step(self, ids: Tensor) -> StepScores:
        scores = super().step(ids)
        return StepScores(logits=scores.logits.float(), weights=scores.weights)


@pytest.mark.parametrize("options", [{}, {"beam": 4, "n_best": 3}, {"beam": 40}], ids=str)
def test_the_search_is_the_same_in_single_precision(options: dict[str, Any]) -> None:
    keys, lengths = range(1, 13), [5, 1, 4] * 4
    found = [
        search(
            kind(keys, lengths, size=300),
            Decoding(**options),
            bos=BOS,
            eos=EOS,
            forbidden=[BOS, 7],
            source_lengths=torch.tensor(lengths),
        )
        for kind in (Toy, Single)
    ]
    for own, other in zip(*found, strict=True):
        assert [one.ids for one in own] == [one.ids for one in other]
        scores = [one.score for one in other]
        assert [one.score for one in own] == pytest.approx(scores, rel=1e-5)


class Broken(Toy):
    """Gives NaN to some tokens after the first."""

    def step(self, ids: Tensor) -> StepScores:
        scores = super().step(ids)
        if len(self.rows_read) > 1:
            scores.logits[:, 3:5] = math.nan
        return scores


@pytest.mark.parametrize("options", [{}, {"beam": 3}, {"sample": True}], ids=str)
def test_a_model_that_gives_nan_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(SeqnlpError, match="the model gives NaN in the place of probabilities"):
        _find(stepper=Broken([1, 2], [2, 2]), options=Decoding(min_length=2, **options))
