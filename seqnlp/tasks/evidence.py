"""Evidence beside a network: what the words and word pairs of a text say, order aside.

A linear model of them is fitted first, and its log-odds are added to the network's logits by one
learned weight. In training every text gets its log-odds from counts or models that never saw it:
otherwise the network would learn to trust odds that know the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seqnlp.data.tokens import TokenizedText

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_ODD = -0x61C8864680B583EB  # 2^64 / golden ratio, as int64: spreads what is alike (Knuth)

_LONGEST = 128  # characters of a token whose hash is kept

BLOCK = 4096
"""Documents whose features are held at a time."""
FOLDS = 10
STRENGTHS = (1.0, 3.0, 10.0, 30.0)
"""Inverse L2 strengths that the logistic regression is chosen from."""
FIRST_WEIGHT = {"naive_bayes": 0.1, "logistic": 0.5}
"""Where the learned weight of the evidence starts: naive Bayes counts dependent words as if they
were not, so its log-odds are several times too large."""


@dataclass(frozen=True, kw_only=True)
class Bags:
    """The distinct words and word pairs of N texts, as hashes of 64 bits.

    ids: int64 [M], text after text. sizes: int64 [N], of each text.
    """

    ids: Ints
    sizes: Ints


def bags_of(text: TokenizedText) -> Iterator[Bags]:
    """The bags of a tokenized text, by blocks of documents."""
    hashes = _hash(text.types)
    for begin in range(0, len(text), BLOCK):
        offsets = np.asarray(text.offsets[begin : begin + BLOCK + 1])
        words = hashes[text.tokens[offsets[0] : offsets[-1]]]
        owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        pairs = _pair(words)
        inside = owners[:-1] == owners[1:]
        rows = np.concatenate([owners, owners[:-1][inside]])
        ids = np.concatenate([words, pairs[inside]])
        order = np.lexsort((ids, rows))
        rows, ids = rows[order], ids[order]
        fresh = np.ones(len(ids), dtype=np.bool_)
        fresh[1:] = (rows[1:] != rows[:-1]) | (ids[1:] != ids[:-1])
        yield Bags(ids=ids[fresh], sizes=np.bincount(rows[fresh], minlength=len(offsets) - 1))


def _hash(tokens: Sequence[str]) -> Ints:
    # Texts are anybody's: tokens as long as a text must not fill the memory.
    short = max(map(len, tokens), default=0) <= _LONGEST
    digests = map(_digest if short else _digest.__wrapped__, tokens)
    return np.frombuffer(b"".join(digests), dtype="<i8").astype(np.int64)


def _pair(words: Ints) -> Ints:
    """Of each word and the next one."""
    pairs = (words[:-1] * _ODD) ^ (words[1:] + _ODD)
    pairs ^= pairs >> 29
    return pairs


@lru_cache(maxsize=100_000)
def _digest(token: str) -> bytes:
    return blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()


class LinearEvidence(nn.Module):
    """Log-odds of K labels, linear in the words and word pairs that a text holds.

    log-odds(k) = scale * sum over f of weights[f, k] + bias[k], with scale 1, or, normalized,
    1 / sqrt(sum over known f of squares[f]), which makes the text a vector of length 1.

    Args:
        features: F, known words and word pairs.
        classes: K.
        normalized: see above.
    """

    keys: Tensor
    weights: Tensor
    squares: Tensor
    bias: Tensor

    def __init__(self, features: int, classes: int, *, normalized: bool) -> None:
        super().__init__()
        self.normalized = normalized
        self.register_buffer("keys", torch.zeros(features, dtype=torch.int64))
        self.register_buffer("weights", torch.zeros(features, classes))
        self.register_buffer("squares", torch.zeros(features))
        self.register_buffer("bias", torch.zeros(classes))

    def forward(self, text: TokenizedText) -> NDArray[np.float32]:
        """Float [N, K] of N documents; words that are not known say nothing."""
        blocks = [np.zeros((0, len(self.bias)), dtype=np.float32)]
        keys, weights = self.keys.cpu().numpy(), self.weights.cpu().numpy()
        squares, bias = self.squares.cpu().numpy(), self.bias.cpu().numpy()
        for bags in bags_of(text):
            places, known = _places(keys, bags.ids)
            counts = bags.sizes
            if len(counts) == 1:
                counts = np.array([np.count_nonzero(known)])
            else:
                owners = np.repeat(np.arange(len(counts)), counts)
                counts = np.bincount(owners[known], minlength=len(counts))
            places = places[known]
            odds = _sum_runs(weights[places], counts)
            if self.normalized:
                lengths = _sum_runs(squares[places], counts)
                odds /= np.sqrt(np.maximum(lengths, 1e-12))[:, None]
            blocks.append((odds + bias).astype(np.float32))
        return np.concatenate(blocks)

    def of_one(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """What `forward` gives of one document, float [1, K], only sooner."""
        words = _hash(tokens)
        ids = np.concatenate([words, _pair(words)])
        ids.sort()
        ids = ids[np.diff(ids, prepend=ids[:1] - 1) != 0]
        places, known = _places(self.keys.cpu().numpy(), ids)
        places = places[known]
        odds = self.weights.cpu().numpy()[places].sum(0, keepdims=True, dtype=np.float64)
        if self.normalized:
            squares = self.squares.cpu().numpy()[places].sum(dtype=np.float64)
            odds /= np.sqrt(max(squares, 1e-12))
        found: NDArray[np.float32] = (odds + self.bias.cpu().numpy()).astype(np.float32)
        return found


def fit_naive_bayes(
    text: TokenizedText, labels: Ints, classes: int, weights: Floats | None = None
) -> tuple[LinearEvidence, NDArray[np.float32]]:
    r"""Naive Bayes on presence, one label against the rest.

        log-odds(f, k) = log (n_fk + a_k) / (n_f - n_fk + a_rest)  -  log N_k / (N - N_k)

    with n_fk the texts of label k that hold f, N_k those of label k, and the smoothing
    a_k = K N_k / N, a_rest = K (N - N_k) / N, so that what was never seen says nothing.
    Source: Wang and Manning 2012, "Baselines and Bigrams", section 2.1.

    Args:
        labels: int64 [N], numbers below `classes`.
        classes: K.
        weights: float [N], as how many texts each counts; None for one.

    Returns:
        The fitted evidence; float [N, K], that of each text with the text itself left out, and
        with it every text of the same words and pairs.
    """
    keys, matrix = _features(text)
    own = np.eye(classes)[labels]
    if weights is not None:
        own *= weights[:, None]
    counts: Floats = matrix.T @ own
    totals = own.sum(0)
    evidence = LinearEvidence(len(keys), classes, normalized=False)
    evidence.keys.copy_(torch.from_numpy(keys))
    evidence.weights.copy_(torch.from_numpy(_log_odds(counts, totals)))
    held_out = np.zeros((len(labels), classes), dtype=np.float32)
    groups = _groups(matrix)
    sizes = np.bincount(groups)
    together = sizes > (1 if weights is None else 0)
    for label in np.unique(labels) if weights is None else ():
        # One text less of this label changes the counts of its features in one way only.
        alone = (labels == label) & (sizes[groups] == 1)
        held_out[alone] = matrix[alone] @ _without(counts, totals, np.eye(classes)[label])
    for group in np.flatnonzero(together):
        rows = np.flatnonzero(groups == group)
        held = matrix[rows[0]].indices
        odds = _without(counts[held], totals, own[rows].sum(0))
        held_out[rows] = odds.sum(0)
    return evidence, held_out


def fit_logistic(
    text: TokenizedText, labels: Ints, classes: int, weights: Floats | None = None
) -> tuple[LinearEvidence, NDArray[np.float32]]:
    """L2-regularized logistic regression on presence, weighted by inverse document frequency.

    One regression for each label against the rest.

    The strength is chosen, and the texts are held out, by cross-validation on the same texts.
    For the arguments see `fit_naive_bayes`.

    Returns:
        The fitted evidence; float [N, K], that of each text from a model that saw neither it nor
        another of the same words and pairs.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GroupKFold

    keys, matrix = _features(text)
    each = np.ones(len(labels)) if weights is None else weights
    frequency = np.asarray(matrix.T @ each).ravel()
    rarity = np.log((1 + each.sum()) / (1 + frequency)) + 1
    weighted = matrix.multiply(rarity).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    weighted = weighted.multiply(1 / np.maximum(lengths, 1e-6)[:, None]).tocsr()
    # Texts of the same words and pairs are held out together.
    groups = np.random.default_rng(0).permutation(len(labels))[_groups(matrix)]
    count = min(FOLDS, len(np.unique(groups)))
    folds = list(GroupKFold(count).split(weighted, groups=groups)) if count > 1 else []
    best: tuple[float, float, Floats] | None = None
    for strength in STRENGTHS:
        held_out = np.zeros((len(labels), classes))
        for seen, unseen in folds:
            slopes, bias = _one_against_rest(
                weighted[seen], labels[seen], classes, strength, each[seen]
            )
            held_out[unseen] = weighted[unseen] @ slopes + bias
        shares = np.exp(held_out - held_out.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        loss = log_loss(labels, shares, labels=range(classes), sample_weight=weights)
        if best is None or loss < best[0]:
            best = loss, strength, held_out
    assert best is not None
    slopes, bias = _one_against_rest(weighted, labels, classes, best[1], each)
    evidence = LinearEvidence(len(keys), classes, normalized=True)
    evidence.keys.copy_(torch.from_numpy(keys))
    evidence.weights.copy_(torch.from_numpy(slopes * rarity[:, None]))
    evidence.squares.copy_(torch.from_numpy(rarity**2))
    evidence.bias.copy_(torch.from_numpy(bias))
    return evidence, best[2].astype(np.float32)


def _sum_runs(values: NDArray[np.float32], sizes: Ints) -> Floats:
    """Sums over rows that follow each other, [N, ...] of N runs of these sizes."""
    # A run of no rows has no beginning that reduceat could take.
    some = sizes > 0
    sums = np.zeros((len(sizes), *values.shape[1:]))
    if len(values):
        begins = (np.cumsum(sizes) - sizes)[some]
        sums[some] = np.add.reduceat(values.astype(np.float64), begins)
    return sums


FITS = {"naive_bayes": fit_naive_bayes, "logistic": fit_logistic}


def _features(text: TokenizedText) -> tuple[Ints, Any]:
    """The sorted keys of all features, and which text holds which, as a sparse matrix [N, F]."""
    blocks = list(bags_of(text))
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *(block.ids for block in blocks)])
    sizes = np.concatenate([np.zeros(0, dtype=np.int64), *(block.sizes for block in blocks)])
    keys, places = np.unique(ids, return_inverse=True)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return keys, _incidence(rows, places, (len(sizes), len(keys)))


def _groups(matrix: Any) -> Ints:
    """A number for each text, int64 [N], the same for texts that hold the same features."""
    numbers: dict[bytes, int] = {}
    return np.array(
        [
            numbers.setdefault(np.sort(matrix.indices[begin:end]).tobytes(), len(numbers))
            for begin, end in zip(matrix.indptr, matrix.indptr[1:], strict=False)
        ],
        dtype=np.int64,
    )


def _without(counts: Floats, totals: Floats, less: Floats) -> Floats:
    """Log-odds with `less` texts of each label left out; their features are in all of these."""
    # A label of a single text keeps it: there is nothing else to know it by.
    return _log_odds(np.maximum(counts - less, 0), np.maximum(totals - less, 1))


def _incidence(rows: Ints, columns: Ints, shape: tuple[int, int]) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


def _places(keys: Ints, ids: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each id stands among the sorted keys, and whether it does."""
    if not len(keys):
        return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
    places = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
    return places, keys[places] == ids


def _log_odds(counts: Floats, totals: Floats) -> Floats:
    """Float [F, K] from the texts of each label that hold each feature, and of each label."""
    classes, whole = len(totals), totals.sum()
    rest = counts.sum(1, keepdims=True) - counts
    own, other = classes * totals / whole, classes * (whole - totals) / whole
    odds: Floats = np.log((counts + own) / (rest + other)) - np.log(totals / (whole - totals))
    return odds


def _one_against_rest(
    features: Any, labels: Ints, classes: int, strength: float, weights: Floats
) -> tuple[Floats, Floats]:
    """Slopes float [F, K] and bias float [K] of a regression for each label against the rest.

    Solved in the dual, which is fast where there are more features than texts.
    """
    from sklearn.linear_model import LogisticRegression

    slopes, bias = np.zeros((features.shape[1], classes)), np.zeros(classes)
    for label in range(classes):
        own = labels == label
        if own.all() or not own.any():
            # Nothing to tell apart: as sure as the number of texts allows.
            bias[label] = np.log(weights.sum() + 1) * (1 if own.any() else -1)
            continue
        model = LogisticRegression(
            C=strength, solver="liblinear", dual=True, tol=1e-2, max_iter=1000, random_state=0
        ).fit(features, own, weights)
        slopes[:, label], bias[label] = model.coef_[0], model.intercept_[0]
    return slopes, bias
