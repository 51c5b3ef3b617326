"""Searches against all alignments there are, the language model, error rates."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqnlp_speech.decoding import GreedySearch, PrefixBeamSearch, align, collapse, least_steps
from seqnlp_speech.language_model import LanguageModel
from seqnlp_speech.network import ctc_loss
from seqnlp_speech.rates import compare_rates, edit_distance, error_report
from seqnlp_speech.symbols import Symbols

from seqnlp.errors import InputError

Texts = dict[tuple[int, ...], float]


def draw(steps: int, symbols: int, seed: int, models: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    logits = 2 * random.standard_normal((models, steps, symbols))
    return logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)


def all_texts(logs: np.ndarray) -> Texts:
    """Probabilities of all texts, from all alignments."""
    found: Texts = defaultdict(float)
    for alignment in itertools.product(range(logs.shape[1]), repeat=len(logs)):
        found[collapse(alignment)] += math.exp(
            sum(logs[t, symbol] for t, symbol in enumerate(alignment))
        )
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_beam_that_holds_everything_finds_what_all_alignments_say(seed: int) -> None:
    logs = draw(5, 3 + seed % 2, seed)
    search = PrefixBeamSearch(logs.shape[2], beam_size=10_000)
    search.advance(logs)
    wanted = all_texts(logs[0])
    found = {each.symbols: each.log_probability for each in search.best(10_000)}
    assert found.keys() == wanted.keys()
    for text, log in found.items():
        assert math.exp(log) == pytest.approx(wanted[text], rel=1e-9)
    assert list(found.values()) == sorted(found.values(), reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_beam_never_claims_more_than_there_is(seed: int) -> None:
    logs = draw(6, 4, seed)
    search = PrefixBeamSearch(4, beam_size=3)
    search.advance(logs)
    wanted = all_texts(logs[0])
    found = search.best(10)
    assert 0 < len(found) <= 3
    assert all(math.exp(f.log_probability) <= wanted[f.symbols] * (1 + 1e-9) for f in found)


def test_a_beam_finds_what_greedy_misses() -> None:
    # Hannun's point: "a" has more alignments than the blank that is likelier at each step.
    logs = np.log(np.array([[[0.6, 0.4], [0.6, 0.4]]]))
    greedy, beam = GreedySearch(), PrefixBeamSearch(2, beam_size=2)
    for search in (greedy, beam):
        search.advance(logs)
    assert greedy.best()[0].symbols == ()
    assert beam.best()[0].symbols == (1,)
    assert math.exp(beam.best()[0].log_probability) == pytest.approx(0.64)


@pytest.mark.parametrize("kind", ["greedy", "beam"])
def test_read_in_pieces_a_search_finds_the_same(kind: str) -> None:
    for seed in range(20):
        logs = draw(9, 4, seed)
        found = []
        for pieces in ([9], [1, 3, 0, 5], [1] * 9):
            search = GreedySearch() if kind == "greedy" else PrefixBeamSearch(4, beam_size=4)
            for begin, end in itertools.pairwise(np.cumsum([0, *pieces])):
                search.advance(logs[:, begin:end])
            found.append(search.best(4))
        for other in found[1:]:
            assert [each.symbols for each in other] == [each.symbols for each in found[0]]
            for one, same in zip(other, found[0], strict=True):
                assert one.score == pytest.approx(same.score)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=12))
def test_greedy_collapses_the_likeliest_alignment(alignment: list[int]) -> None:
    logs = np.log(np.full((len(alignment), 3), 0.1) + 0.7 * np.eye(3)[alignment])
    search = GreedySearch()
    search.advance(logs)
    wanted = tuple(k for k, _ in itertools.groupby(alignment) if k)
    assert search.best()[0].symbols == wanted == collapse(alignment)


def test_several_models_give_a_text_the_mean_of_its_probabilities() -> None:
    logs = draw(4, 3, 0, models=3)
    search = PrefixBeamSearch(3, beam_size=10_000, models=3)
    search.advance(logs)
    each = [all_texts(own) for own in logs]
    for found in search.best(10_000):
        wanted = sum(texts[found.symbols] for texts in each) / 3
        assert math.exp(found.log_probability) == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(6))
def test_a_language_model_ranks_as_its_formula_says(seed: int) -> None:
    model = LanguageModel.fit([[1, 2], [1, 1, 2], [2, 2]], symbols=3, order=2)
    logs = draw(4, 3, seed)
    search = PrefixBeamSearch(
        3, beam_size=10_000, language_model=model, lm_weight=0.7, symbol_bonus=0.3
    )
    search.advance(logs)
    texts = all_texts(logs[0])
    scores = {
        text: math.log(p) + 0.7 * model.log_probability(text) + 0.3 * len(text)
        for text, p in texts.items()
    }
    best = max(scores, key=lambda text: scores[text])
    assert search.best()[0].symbols == best
    for found in search.best(10_000):
        assert found.score == pytest.approx(scores[found.symbols])


def test_the_likeliest_alignment_by_trying_all() -> None:
    for seed, text in itertools.product(range(10), [(1,), (1, 1), (2, 1), (1, 2, 1)]):
        logs = draw(5, 3, seed)[0]
        ways = [w for w in itertools.product(range(3), repeat=5) if collapse(w) == text]
        best = max(ways, key=lambda way: sum(logs[t, c] for t, c in enumerate(way)))
        runs, start = [], 0
        for symbol, group in itertools.groupby(best):
            size = len(list(group))
            if symbol:
                runs.append(max(range(start, start + size), key=lambda t, c=symbol: logs[t, c]))
            start += size
        assert align(logs, text) == runs
    assert align(draw(3, 3, 0)[0], ()) == []
    with pytest.raises(ValueError, match="3 steps are too few for 2 symbols"):
        align(np.where(np.eye(3)[[1, 1, 1]] > 0, 0.0, -np.inf), (2, 2))


def test_the_loss_is_minus_the_log_of_all_alignments() -> None:
    logs = draw(5, 3, 3)[0]
    texts = all_texts(logs)
    wanted = -math.log(texts[(1, 2)]) - math.log(texts[(2, 2)])
    batch = torch.from_numpy(np.stack([logs, logs]))
    targets = torch.tensor([[1, 2], [2, 2]])
    sizes = torch.tensor([2, 2])
    loss = ctc_loss(batch, torch.tensor([5, 5]), targets, sizes)
    assert float(loss) == pytest.approx(wanted)
    # Steps of padding count nothing, nor does a text that has no alignment.
    padded = torch.cat([batch[:1], torch.zeros(1, 2, 3)], dim=1)
    short = ctc_loss(padded, torch.tensor([5]), targets[:1], sizes[:1])
    assert float(short) == pytest.approx(-math.log(texts[(1, 2)]))
    assert float(ctc_loss(batch[1:, :2], torch.tensor([2]), targets[1:], sizes[1:])) == 0
    assert least_steps([2, 2]) == 3


def test_n_grams_by_hand() -> None:
    model = LanguageModel.fit([[1, 2], [1]], symbols=3, order=2)
    # Unigrams: 1 twice, 2 once, the end twice: 5 in all, 3 distinct, over a uniform third.
    one = [(n + 3 / 3) / (5 + 3) for n in (2, 2, 1)]
    start = [(n + 1 * p) / (2 + 1) for n, p in zip((0, 2, 0), one, strict=True)]
    behind = [(n + 2 * p) / (2 + 2) for n, p in zip((1, 0, 1), one, strict=True)]
    np.testing.assert_allclose(np.exp(model.following([])), start)
    np.testing.assert_allclose(np.exp(model.following([2, 1])), behind)
    assert model.log_probability([1]) == pytest.approx(math.log(start[1]) + math.log(behind[0]))


@pytest.mark.parametrize("order", [1, 3])
def test_probabilities_add_up_to_one_and_counts_come_back(order: int) -> None:
    model = LanguageModel.fit([[1, 2, 3], [3, 3], []], symbols=5, order=order)
    again = LanguageModel.from_tensor(model.to_tensor(), symbols=5)
    for text in ([], [1], [1, 2], [4, 4], [3, 3, 3]):
        assert np.exp(model.following(text)).sum() == pytest.approx(1)
        np.testing.assert_array_equal(again.following(text), model.following(text))
    with pytest.raises(ValueError, match="symbols that the task has not"):
        LanguageModel.from_tensor(model.to_tensor(), symbols=3)


@cache
def distance(one: str, other: str) -> int:
    """By the definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
@settings(deadline=None)
def test_edit_distance_is_that_of_the_definition(one: str, other: str) -> None:
    assert edit_distance(one, other) == distance(one, other)


def test_error_rates_by_hand() -> None:
    report = error_report(["one two", "six", ""], ["one ten", "six", "on"])
    assert report["cer"]["value"] == pytest.approx((2 + 0 + 2) / (7 + 3 + 2))
    assert report["wer"]["value"] == pytest.approx((1 + 0 + 1) / (2 + 1 + 1))
    assert report["right"] == pytest.approx(1 / 3)
    assert 0 <= report["cer"]["low"] <= report["cer"]["value"] <= report["cer"]["high"] <= 1
    assert report["cer"]["better"] == "lower"
    assert error_report([], []) == {"examples": 0}


def test_comparing_says_which_errs_less() -> None:
    references = [f"word number {n}" for n in range(40)]
    bad = [r.replace("word", "bird") for r in references]
    found = compare_rates(bad, references, references)["wer"]
    assert found["first"] == pytest.approx(1 / 3)
    assert found["second"] == 0
    assert found["difference"]["high"] < 0
    assert found["wins"] == 1
    assert found["p_value"] < 0.05
    assert found["better"] == "lower"
    same = compare_rates(bad, bad, references)["cer"]
    assert same["p_value"] == 1


def test_symbols_of_both_kinds() -> None:
    characters = Symbols.fit(["ab a", "b"], "characters")
    assert (characters.names, len(characters)) == ((" ", "a", "b"), 4)
    assert characters.encode("  b  a ") == [3, 1, 2]
    assert characters.decode([3, 1, 1, 2]) == "b a"
    words = Symbols.fit(["two one", "one"], "words")
    assert words.encode("two one one") == [2, 1, 1]
    assert words.decode([2, 1]) == "two one"
    assert [words.known(text) for text in ("one", "three")] == [True, False]
    with pytest.raises(
        InputError, match="a.tsv:2: the word 'tow' does not occur in train; did you mean 'two'"
    ):
        words.encode("tow", "a.tsv:2")
    with pytest.raises(InputError, match="the character 'c' does not occur in train"):
        characters.encode("c", "x")
    with pytest.raises(ValueError, match="twice"):
        Symbols(["a", "a"], "words")
