from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.text import cooccurrence, ppmi_vectors

WORDS = 7
DOCUMENTS = st.lists(st.lists(st.integers(-1, WORDS - 1), max_size=12), max_size=6)


def arrays(documents: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(each, dtype=np.int64) for each in documents]


def counted(documents: Sequence[Sequence[int]], window: int, decay: float) -> np.ndarray:
    """Pairs, one after another."""
    counts = np.zeros((WORDS, WORDS))
    for ids in documents:
        for here, one in enumerate(ids):
            for there, other in enumerate(ids):
                if here != there and abs(here - there) <= window and min(one, other) >= 0:
                    counts[one, other] += abs(here - there) ** -decay
    return counts


def informed(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """Levy, Goldberg and Dagan 2015, equations 3 and 4, in probabilities."""
    joint, single = counts / counts.sum(), counts.sum(axis=1) / counts.sum()
    contexts = np.where(single > 0, single**smoothing, 0)
    contexts /= contexts.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.log(joint / (single[:, None] * contexts[None]))
    return np.where(counts > 0, np.maximum(found, 0), 0)


@given(DOCUMENTS, st.integers(1, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_pairs_are_those_within_the_window_of_each_document(
    documents: list[list[int]], window: int, decay: float
) -> None:
    counts = cooccurrence.count_pairs(
        arrays(documents), vocabulary_size=WORDS, window=window, decay=decay
    )
    np.testing.assert_allclose(counts.toarray(), counted(documents, window, decay), atol=1e-12)


@given(DOCUMENTS, st.sampled_from([0.5, 0.75, 1.0]))
def test_information_is_that_of_the_formula(documents: list[list[int]], smoothing: float) -> None:
    counts = cooccurrence.count_pairs(arrays(documents), vocabulary_size=WORDS, window=2, decay=0.5)
    found = cooccurrence.ppmi(counts, smoothing=smoothing)
    if counts.nnz:
        expected = informed(counts.toarray(), smoothing)
        np.testing.assert_allclose(found.toarray(), expected, rtol=1e-5, atol=1e-6)
    else:
        assert found.nnz == 0


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_vectors_are_the_normalized_rows_of_the_decomposition(exponent: float) -> None:
    draw = np.random.default_rng(3)
    documents = [draw.zipf(1.5, 40).clip(max=WORDS) - 1 for _ in range(8)]
    found = ppmi_vectors(documents, vocabulary_size=WORDS, size=4, window=2, exponent=exponent)
    left, values, _ = np.linalg.svd(informed(counted(documents, 2, 0.5), 0.75))
    expected = left[:, :4] * values[:4] ** exponent
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    # Columns are known up to their signs; products of rows have none.
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_words_of_the_same_neighbors_are_near_each_other() -> None:
    monday, tuesday, on, cat, dog, a = range(6)
    documents = arrays([[on, monday], [on, tuesday], [a, cat], [a, dog], [on, monday], [a, cat]])
    vectors = ppmi_vectors(documents, vocabulary_size=6, size=3)
    assert vectors[monday] @ vectors[tuesday] > 0.99
    assert vectors[cat] @ vectors[dog] > 0.99
    assert abs(vectors[monday] @ vectors[cat]) < 0.01


def test_the_same_texts_give_the_same_bits() -> None:
    draw = np.random.default_rng(0)
    documents = [draw.zipf(1.3, 200).clip(max=300) - 1 for _ in range(20)]
    first, second = (ppmi_vectors(documents, vocabulary_size=300, size=16) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.dtype == np.float32


def test_a_token_without_company_has_no_vector() -> None:
    found = ppmi_vectors(arrays([[0, 1, 0, 1], [2], [-1, 3, -1]]), vocabulary_size=5, size=8)
    assert found.shape == (5, 8)
    assert found.any(axis=1).tolist() == [True, True, False, False, False]
    assert not found[:, 2:].any()  # two tokens cannot tell more directions apart
    assert not ppmi_vectors([], vocabulary_size=3, size=2).any()


def test_long_corpora_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    documents = [draw.integers(0, WORDS, 10) for _ in range(9)]
    monkeypatch.setattr(cooccurrence, "BLOCK", 25)
    counts = cooccurrence.count_pairs(documents, vocabulary_size=WORDS, window=3, decay=0.5)
    np.testing.assert_allclose(counts.toarray(), counted(documents, 3, 0.5))
    # One longer than a block is counted as if it were several documents.
    long = draw.integers(0, WORDS, 60)
    counts = cooccurrence.count_pairs([long], vocabulary_size=WORDS, window=3, decay=0.5)
    np.testing.assert_allclose(
        counts.toarray(), counted([long[:25], long[25:50], long[50:]], 3, 0.5)
    )


def test_too_many_pairs_leave_the_heaviest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cooccurrence, "MOST_PAIRS", 12)
    documents = [[0, 1]] * 5 + [[2, 3]] * 4 + [[4, 5]] * 3 + [[0, 2], [0, 3], [0, 4], [1, 5]]
    counts = cooccurrence.count_pairs(
        arrays(documents), vocabulary_size=WORDS, window=1, decay=0.5
    ).toarray()
    assert {(one, other) for one, other in zip(*counts.nonzero(), strict=True) if one < other} == {
        (0, 1), (2, 3), (4, 5),
    }  # fmt: skip
    assert counts[0, 1] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "^window must be at least 1, not 0$"),
        ({"decay": -0.5}, "^decay must be at least 0, not -0.5$"),
        ({"smoothing": float("nan")}, "^smoothing must be at least 0, not nan$"),
        ({"exponent": -1.0}, "^exponent must be at least 0, not -1$"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ppmi_vectors([], vocabulary_size=3, size=2, **options)  # type: ignore[arg-type]
