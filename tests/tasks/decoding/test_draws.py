"""Draws: their frequencies, what they are cut to, and streams that belong to each output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from seqnlp.tasks.decoding import Decoding, search
from seqnlp.tasks.decoding.draws import Draws, streams, uniform
from tests.tasks.decoding.toy import BOS, EOS, Toy, World

COUNT = 4000


def _first_tokens(size: int, numbers: Sequence[int], **options: Any) -> list[int]:
    """The first token of an output of each of many equal sources; EOS where there is none."""
    found = search(
        Toy([5] * len(numbers), [2] * len(numbers), size=size, scale=2.5),
        Decoding(sample=True, max_length=1, **options),
        bos=BOS,
        eos=EOS,
        forbidden=[BOS],
        source_lengths=torch.full((len(numbers),), 2),
        numbers=numbers,
    )
    return [(*one.ids, EOS)[0] for (one,) in found]


def _shares(size: int, temperature: float = 1.0) -> NDArray[np.float64]:
    """What the model says of the first token, without what is forbidden."""
    rows, _ = World(keys=(5,), lengths=(2,), size=size, scale=2.5).read(0, ())
    powers = np.exp(rows[0] / temperature)
    powers[BOS] = 0
    return powers / powers.sum()


def _nucleus(shares: NDArray[np.float64], top_k: int, top_p: float) -> NDArray[np.float64]:
    order = np.argsort(-shares)
    kept = np.zeros_like(shares)
    total, limit = 0.0, top_k or len(shares)
    mass = shares[order[:limit]].sum()
    for token in order[:limit]:
        if total >= top_p * mass:
            break
        kept[token] = shares[token]
        total += shares[token]
    return kept / kept.sum()


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (8, {}),
        (8, {"seed": 9, "temperature": 0.5}),
        (8, {"temperature": 3.0}),
        (12, {"top_k": 3}),
        (12, {"top_p": 0.7}),
        (12, {"top_p": 0.7, "top_k": 5, "temperature": 2.0}),
        (900, {"top_p": 0.9}),  # more than are sorted at first
        (900, {"top_k": 50, "top_p": 0.95, "temperature": 1.3}),
    ],
)
def test_frequencies_are_the_model_s_probabilities(size: int, options: dict[str, Any]) -> None:
    drawn = Counter(_first_tokens(size, range(COUNT), **options))
    shares = _nucleus(
        _shares(size, options.get("temperature", 1.0)),
        options.get("top_k", 0),
        options.get("top_p", 1.0),
    )
    assert set(drawn) <= set(np.flatnonzero(shares))
    expected = shares * COUNT
    rare = expected < 5
    seen = np.array([drawn[token] for token in range(size)])
    often = np.append(expected[~rare], expected[rare].sum())
    found = np.append(seen[~rare], seen[rare].sum())
    statistic = ((found - often)[often > 0] ** 2 / often[often > 0]).sum()
    assert statistic < stats.chi2.ppf(0.999, (often > 0).sum() - 1)


def test_one_token_is_what_is_left_of_a_narrow_nucleus() -> None:
    best = int(_shares(9).argmax())
    assert set(_first_tokens(9, range(50), top_k=1)) == {best}
    assert set(_first_tokens(9, range(50), top_p=1e-6)) == {best}


def test_an_output_depends_on_its_own_number_and_the_seed() -> None:
    together = _first_tokens(30, range(100))
    assert [_first_tokens(30, [number])[0] for number in range(100)] == together
    assert _first_tokens(30, range(99, -1, -1)) == together[::-1]
    assert _first_tokens(30, range(100), seed=1) != together


def test_draws_of_one_source_differ() -> None:
    world = World(keys=(3,), lengths=(6,), size=40)
    (found,) = world.find(Decoding(sample=True, n_best=20))
    assert len({one.ids for one in found}) > 15


def test_later_tokens_follow_their_own_distribution() -> None:
    size, token = 5, 3
    found = search(
        Toy([5] * COUNT, [2] * COUNT, size=size, scale=2.5),
        Decoding(sample=True, max_length=2),
        bos=BOS, eos=EOS, forbidden=[BOS],
        source_lengths=torch.full((COUNT,), 2),
        prefixes=[(token,)] * COUNT,
    )  # fmt: skip
    rows, _ = World(keys=(5,), lengths=(2,), size=size, scale=2.5).read(0, (token,))
    shares = np.exp(rows[1])[1:]
    drawn = Counter((*one.ids, EOS)[1] for (one,) in found)
    seen = [drawn[token] for token in range(1, size)]
    assert stats.chisquare(seen, shares / shares.sum() * COUNT).pvalue > 1e-3


def test_the_generator_is_splitmix64() -> None:
    # The first outputs for the seed 1234567, as the generator's authors give them.
    words = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    numbers = [uniform(np.array([1234567], np.uint64), time)[0] for time in range(3)]
    assert numbers == [(word >> 11) / 2**53 for word in words]


def test_streams_are_all_different() -> None:
    every = [streams(seed, np.arange(200), 10) for seed in range(3)]
    assert len(np.unique(np.stack(every))) == 3 * 200 * 10


def test_what_is_ruled_out_is_never_drawn() -> None:
    scores = torch.full((1000, 6), float("-inf"))
    scores[:, 4] = -3.0
    every = streams(0, np.arange(1000), 1)
    for top_k, top_p in ((0, 1.0), (3, 1.0), (0, 0.9)):
        draws = Draws(temperature=1.0, top_k=top_k, top_p=top_p, streams=every)
        assert (draws.draw(scores, 0, torch.arange(1000)) == 4).all()
