import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.text import NgramHasher, ngrams

TOKENS = st.text(st.characters(exclude_categories=[]), max_size=12)


def fnv1a(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def naive(token: str, buckets: int, low: int, high: int) -> list[int]:
    marked = f"<{token}>"[:128]
    return [
        fnv1a(marked[start : start + size].encode("utf-8", "surrogatepass")) % buckets
        for size in range(low, high + 1)
        for start in range(len(marked) - size + 1)
    ]


def test_the_naive_hash_is_fnv1a() -> None:
    """Published test vectors of the hash's authors."""
    assert fnv1a(b"") == 0x811C9DC5
    assert fnv1a(b"a") == 0xE40C292C
    assert fnv1a(b"foobar") == 0xBF9CF968


@given(TOKENS, st.integers(1, 2**32 - 1), st.integers(1, 4), st.integers(0, 4))
def test_ids_are_the_naive_ones(token: str, buckets: int, low: int, more: int) -> None:
    hasher = NgramHasher(buckets=buckets, min_size=low, max_size=low + more)
    found = hasher.ids(token)
    assert found.dtype == np.int64
    assert found.tolist() == naive(token, buckets, low, low + more)


@given(st.lists(TOKENS))
def test_bags_are_the_tokens_one_after_another(tokens: list[str]) -> None:
    hasher = NgramHasher(buckets=1000)
    for _ in range(2):  # the second time from what is remembered
        ids, offsets = hasher.bags(tokens)
        ends = [*offsets.tolist()[1:], len(ids)] if tokens else []
        bags = [ids[a:b].tolist() for a, b in zip(offsets, ends, strict=True)]
        assert bags == [naive(token, 1000, 3, 6) for token in tokens]


def test_many_tokens_are_hashed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_MOST_AT_ONCE", 3)
    tokens = [f"word{i}" for i in range(8)] + ["", "é"]
    ids, offsets = NgramHasher(buckets=99).bags(tokens)
    ends = [*offsets.tolist()[1:], len(ids)]
    bags = [ids[a:b].tolist() for a, b in zip(offsets, ends, strict=True)]
    assert bags == [naive(token, 99, 3, 6) for token in tokens]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_CACHED", 5)
    hasher = NgramHasher(buckets=99)
    for i in range(20):
        assert hasher.ids(f"w{i}").tolist() == naive(f"w{i}", 99, 3, 6)
        hasher.bags([f"w{i}", f"v{i}"])
        assert len(hasher._cache) <= 5


def test_room_is_made_beside_what_another_thread_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ngrams, "_CACHED", 2)
    hasher = NgramHasher(buckets=50)
    hasher.bags(["one", "two"])
    being_read = hasher._cache
    hasher.bags(["three"])
    assert list(being_read) == ["one", "two"]
    assert list(hasher._cache) == ["three"]


def test_whole_short_tokens_count_and_long_ones_do_not() -> None:
    hasher = NgramHasher(buckets=2**31)
    assert fnv1a(b"<cat>") % 2**31 in hasher.ids("cat")
    assert fnv1a(b"<stirring>") % 2**31 not in hasher.ids("stirring")
    assert NgramHasher(buckets=9, min_size=4).ids("a").tolist() == []


def test_a_token_of_a_million_characters_is_read_in_part() -> None:
    hasher = NgramHasher(buckets=1000)
    long = hasher.ids("ab" * 500_000)
    assert long.tolist() == naive("ab" * 500_000, 1000, 3, 6)
    assert len(long) == sum(128 - size + 1 for size in range(3, 7))


def test_equality_ignores_what_is_remembered() -> None:
    used = NgramHasher(buckets=9)
    used.ids("a")
    assert used == NgramHasher(buckets=9)
    assert used != NgramHasher(buckets=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"buckets": 0}, "buckets = 0: expected 1 to 2**32 - 1"),
        ({"buckets": 2**32}, "buckets = 4294967296: expected 1 to 2**32 - 1"),
        ({"buckets": 9, "min_size": 0}, "n-gram sizes 0 to 6: expected 1 <= min <= max"),
        ({"buckets": 9, "max_size": 2}, "n-gram sizes 3 to 2: expected 1 <= min <= max"),
    ],
)
def test_bad_values(options: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        NgramHasher(**options)


@settings(max_examples=20)
@given(st.text(max_size=3))
def test_no_id_leaves_the_table(token: str) -> None:
    ids = NgramHasher(buckets=7, min_size=1).ids(token)
    assert ((ids >= 0) & (ids < 7)).all()
