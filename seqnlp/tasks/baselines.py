"""What anybody should beat: the majority class, and a bag of words with logistic regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqnlp.data.corpus import Corpus
from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.metrics import classification_report

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverse L2 strengths that the bag of words is chosen from, on validation."""
MOST_EXAMPLES = 50_000
"""Training examples that the bag of words reads at the most; it is there for scale."""


def classification_baselines(
    corpus: Corpus, texts: Mapping[str, TokenizedText], labels: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Reports of both baselines on the test split (validation where there is none)."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    held_out = "test" if "test" in corpus.splits else "validation"
    number = {label: k for k, label in enumerate(labels)}
    names = {"train", "validation", held_out}
    truth = {
        name: np.array([number[label] for label in corpus.splits[name].column("label")])
        for name in names
    }
    majority = number[Counter(corpus.splits["train"].column("label")).most_common(1)[0][0]]
    guesses = np.full_like(truth[held_out], majority)
    reports = {"majority class": classification_report(truth[held_out], guesses, labels, None)}

    known = int(np.flatnonzero(texts["train"].counts).max(initial=0)) + 1
    rows = np.arange(len(truth["train"]))
    if len(rows) > MOST_EXAMPLES:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_EXAMPLES, replace=False))
    weighting = TfidfTransformer(sublinear_tf=True)
    train = weighting.fit_transform(_counts(_selected(texts["train"], rows), known))
    best: tuple[float, Any] | None = None
    validation = weighting.transform(_counts(texts["validation"], known))
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=1000)
        model.fit(train, truth["train"][rows])
        score = float((model.predict(validation) == truth["validation"]).mean())
        if best is None or score > best[0]:
            best = score, model
    assert best is not None
    features = weighting.transform(_counts(texts[held_out], known))
    reports["bag of words"] = classification_report(
        truth[held_out], best[1].predict(features), labels, best[1].predict_proba(features).max(1)
    )
    return reports


def _selected(text: TokenizedText, rows: NDArray[np.int64]) -> TokenizedText:
    """Some documents of a text, their tokens copied; all of them as they are."""
    if len(rows) == len(text):
        return text
    parts = [text[int(row)] for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    return TokenizedText(types=text.types, tokens=np.concatenate(parts), offsets=offsets)


def _counts(text: TokenizedText, known: int) -> Any:
    """Token counts as a sparse matrix [N, known]; tokens that train never saw are left out."""
    from scipy.sparse import csr_matrix

    # Copied: the tokens are mapped from a file that is not to be written to.
    tokens: NDArray[np.int32] = np.array(text.tokens)
    ones = np.ones(len(tokens), dtype=np.float64)
    width = max(int(tokens.max(initial=0)) + 1, known)
    counts = csr_matrix((ones, tokens, np.array(text.offsets)), shape=(len(text), width))
    counts.sum_duplicates()
    return counts[:, :known]
