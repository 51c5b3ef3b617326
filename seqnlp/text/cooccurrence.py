"""Word vectors from the texts at hand: positive pointwise mutual information and its SVD.

Sources: Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization"; Levy,
Goldberg and Dagan 2015, "Improving distributional similarity with lessons learned from word
embeddings", section 3, for the choices that are options here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.errors import InputError

Ints = NDArray[np.int64]

BLOCK = 1 << 20
"""Tokens whose pairs are in memory at once."""
MOST_PAIRS = 20_000_000
"""Distinct pairs that are kept; beyond, the lighter half is dropped. They take 240 MB."""
SEED, POWER_ITERATIONS = 0, 4
"""Of the randomized SVD (Halko, Martinsson and Tropp 2011, algorithm 4.4)."""


def ppmi_vectors(
    documents: Iterable[Ints],
    *,
    vocabulary_size: int,
    size: int,
    window: int = 4,
    decay: float = 0.5,
    smoothing: float = 0.75,
    exponent: float = 0.5,
) -> NDArray[np.float32]:
    """Vectors of tokens by what stands near them, float32 [V, size], each of unit length.

    A token's row of PPMI(w, c) = max(0, log(P(w, c) / (P(w) P_s(c)))), P_s(c) the smoothed
    distribution of contexts, is reduced to U_d S_d^p, whose rows are then normalized. The same
    texts give the same bits. Memory grows with V and with distinct pairs, up to `MOST_PAIRS`.

    Args:
        documents: ids int [T] of each; those below 0 are tokens without a vector, which keep
            their places. No pair crosses the end of a document.
        vocabulary_size: V.
        size: features of a vector; where fewer can be told apart, the last are 0.
        window: tokens to each side that are a token's contexts.
        decay: a pair at distance d counts d^-decay.
        smoothing: exponent of the counts of contexts in P_s.
        exponent: p, of the singular values.

    Returns:
        The vectors; zeros for a token that is never near another more often than by chance.

    Raises:
        InputError: a window below 1 or another option below 0.
    """
    if window < 1:
        raise InputError(f"window must be at least 1, not {window}")
    for name, value in (("decay", decay), ("smoothing", smoothing), ("exponent", exponent)):
        if not 0 <= value < np.inf:
            raise InputError(f"{name} must be at least 0, not {value:g}")
    counts = count_pairs(documents, vocabulary_size=vocabulary_size, window=window, decay=decay)
    return _reduce(ppmi(counts, smoothing=smoothing), size, exponent)


def count_pairs(
    documents: Iterable[Ints], *, vocabulary_size: int, window: int, decay: float
) -> Any:
    """How often tokens stand near each other: symmetric csr_matrix float64 [V, V].

    See `ppmi_vectors`. A document of more than `BLOCK` tokens is counted in parts of that many.
    """
    from scipy.sparse import csr_matrix

    shape = vocabulary_size, vocabulary_size
    counts = csr_matrix(shape)
    for ids in _blocks(documents, window):
        pairs = [(ids[:-apart], ids[apart:]) for apart in range(1, window + 1)]
        real = [(one >= 0) & (other >= 0) for one, other in pairs]
        weights = [np.full(kept.sum(), apart**-decay) for apart, kept in enumerate(real, start=1)]
        one, other = (
            np.concatenate([pair[side][kept] for pair, kept in zip(pairs, real, strict=True)])
            for side in (0, 1)
        )
        # One triangle is enough until the end.
        places = np.minimum(one, other), np.maximum(one, other)
        counts = counts + csr_matrix((np.concatenate(weights), places), shape=shape)
        if counts.nnz > MOST_PAIRS // 2:
            counts = _heaviest(counts, MOST_PAIRS // 4)
    return (counts + counts.T).tocsr()


def ppmi(counts: Any, *, smoothing: float) -> Any:
    """Positive pointwise mutual information, csr_matrix float32 [V, V], of symmetric counts."""
    totals = np.asarray(counts.sum(axis=1)).ravel()
    contexts = np.where(totals > 0, totals, 1.0) ** smoothing * (totals > 0)
    entries = counts.tocoo()
    expected = totals[entries.row] * contexts[entries.col] / max(contexts.sum(), 1e-300)
    entries.data = np.maximum(np.log(entries.data / expected), 0).astype(np.float32)
    information = entries.tocsr()
    information.eliminate_zeros()
    return information


def _blocks(documents: Iterable[Ints], window: int) -> Iterator[Ints]:
    """The documents one after another, `window` places of no token after each."""
    gap = np.full(window, -1, dtype=np.int64)
    parts: list[Ints] = []
    held = 0
    for document in documents:
        for begin in range(0, len(document), BLOCK):
            part = document[begin : begin + BLOCK]
            parts += [part, gap]
            held += len(part)
            if held >= BLOCK:
                yield np.concatenate(parts)
                parts, held = [], 0
    if parts:
        yield np.concatenate(parts)


def _heaviest(counts: Any, most: int) -> Any:
    """The `most` heaviest entries, or fewer where several are as light as the last."""
    least = np.partition(counts.data, counts.nnz - most - 1)[counts.nnz - most - 1]
    counts.data[counts.data <= least] = 0
    counts.eliminate_zeros()
    return counts


def _reduce(information: Any, size: int, exponent: float) -> NDArray[np.float32]:
    """Rows of unit length, float32 [V, size]; see `ppmi_vectors`."""
    from sklearn.utils.extmath import randomized_svd

    vectors = np.zeros((information.shape[0], size), dtype=np.float32)
    seen = np.flatnonzero(information.getnnz(axis=1))
    if not len(seen):
        return vectors
    left, values, _ = randomized_svd(
        information[seen],
        min(size, len(seen)),
        n_iter=POWER_ITERATIONS,
        power_iteration_normalizer="QR",
        random_state=SEED,
    )
    # What rounding leaves of directions that are not there would be noise at a low exponent.
    rank = int((values > values[0] * 1e-5).sum())
    found = left[:, :rank] * values[:rank] ** exponent
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    vectors[seen, :rank] = found / np.maximum(lengths, np.finfo(np.float32).tiny)
    return vectors
