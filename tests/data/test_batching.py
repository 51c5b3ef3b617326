from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data import LengthBuckets
from seqnlp.errors import InputError

LENGTHS = st.lists(st.integers(0, 40), max_size=300)


@given(
    lengths=LENGTHS,
    batch_size=st.integers(1, 9),
    batch_tokens=st.none() | st.integers(1, 60),
    shuffle=st.booleans(),
    pool=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
def test_every_row_once_within_the_bounds(
    lengths: list[int],
    batch_size: int,
    batch_tokens: int | None,
    shuffle: bool,
    pool: int,
    epoch: int,
) -> None:
    buckets = LengthBuckets(
        lengths,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        shuffle=shuffle,
        seed=3,
        pool=pool,
    )
    batches = buckets.batches(epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        padded = len(batch) * max(max(1, lengths[row]) for row in batch)
        assert batch_tokens is None or padded <= batch_tokens or len(batch) == 1
    again = buckets.batches(epoch)
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]


@given(lengths=st.lists(st.integers(1, 40), min_size=1), batch_tokens=st.integers(1, 100))
def test_batches_by_tokens_are_as_large_as_they_can_be(
    lengths: list[int], batch_tokens: int
) -> None:
    """Of rows sorted by length, each batch could not have taken the first row of the next."""
    buckets = LengthBuckets(lengths, batch_size=1000, batch_tokens=batch_tokens, shuffle=False)
    batches = buckets.batches()
    for batch, following in pairwise(batches):
        rows = [*batch, following[0]]
        assert len(rows) * max(lengths[row] for row in rows) > batch_tokens


def test_epochs_and_seeds_draw_differently() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 1000)

    def drawn(seed: int, epoch: int) -> list[list[int]]:
        buckets = LengthBuckets(lengths, batch_size=10, shuffle=True, seed=seed)
        return [batch.tolist() for batch in buckets.batches(epoch)]

    draws = [drawn(0, 0), drawn(0, 1), drawn(1, 0)]
    sets = [{frozenset(batch) for batch in draw} for draw in draws]
    assert len(sets[0] & sets[1]) < 10, "other rows meet, not the same batches in another order"
    assert len(sets[0] & sets[2]) < 10


def test_rows_of_one_length_meet_at_random() -> None:
    """Equal lengths in file order would put neighbors of the file into one batch."""
    batches = LengthBuckets([7] * 1000, batch_size=10, shuffle=True).batches()
    assert np.mean([np.ptp(batch) for batch in batches]) > 500


def test_little_is_padding() -> None:
    lengths = np.random.default_rng(0).integers(3, 61, 20_000)

    def padding(batches: list[np.ndarray]) -> float:
        return 1 - lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in batches)

    shuffled = LengthBuckets(lengths, batch_size=64, shuffle=True).batches()
    assert padding(shuffled) < 0.08
    assert padding(LengthBuckets(lengths, batch_size=64, shuffle=False).batches()) < 0.01
    by_tokens = LengthBuckets(lengths, batch_size=999, batch_tokens=2000, shuffle=True).batches()
    assert padding(by_tokens) < 0.08


def test_long_batches_are_not_all_at_one_end() -> None:
    lengths = np.arange(1, 10_001)
    batches = LengthBuckets(lengths, batch_size=10, shuffle=True).batches()
    means = np.array([lengths[batch].mean() for batch in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_without_shuffling_the_longest_come_first_and_order_can_be_restored() -> None:
    lengths = [3, 9, 1, 9, 0]
    batches = LengthBuckets(lengths, batch_size=2, shuffle=False).batches()
    assert [batch.tolist() for batch in batches] == [[1, 3], [0, 2], [4]]
    order = np.concatenate(batches)
    restored = np.empty(5, dtype=np.int64)
    restored[order] = np.asarray(lengths)[order]
    assert restored.tolist() == lengths


@pytest.mark.parametrize("name", ["batch_size", "batch_tokens", "pool"])
def test_sizes_below_one(name: str) -> None:
    options = {"batch_size": 1, name: 0}
    with pytest.raises(InputError, match=f"^{name} is 0; expected at least 1$"):
        LengthBuckets([1], shuffle=False, **options)  # type: ignore[arg-type]


@given(
    lengths=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=300),
    batch_tokens=st.none() | st.integers(1, 90),
    shuffle=st.booleans(),
)
def test_rows_of_two_sides_once_each_within_the_bounds(
    lengths: list[tuple[int, int]], batch_tokens: int | None, shuffle: bool
) -> None:
    buckets = LengthBuckets(lengths, batch_size=5, batch_tokens=batch_tokens, shuffle=shuffle)
    batches = buckets.batches()
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    sides = np.maximum(lengths, 1)
    for batch in batches:
        padded = len(batch) * sides[batch].max(0).sum()
        assert len(batch) == 1 or (len(batch) <= 5 and padded <= (batch_tokens or padded))


def test_both_sides_are_padded_little() -> None:
    random = np.random.default_rng(0)
    first = random.integers(3, 40, 20_000)
    lengths = np.stack([first, first + random.integers(-2, 8, 20_000)], axis=1)
    batches = LengthBuckets(lengths, batch_size=64, shuffle=True).batches()
    padded = sum(len(batch) * lengths[batch].max(0) for batch in batches)
    assert (padded / lengths.sum(0) < (1.02, 1.13)).all()
    [whole] = LengthBuckets([(2, 5), (3, 1), (3, 2)], batch_size=9, shuffle=False).batches()
    assert whole.tolist() == [2, 1, 0]
