"""What any translation should beat: the source itself, and the nearest training pair."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqnlp.data.corpus import Corpus
from seqnlp.tasks.translation_metrics import report

MOST_EXAMPLES = 50_000
"""Training pairs that the nearest one is looked for among; it is there for scale."""
BLOCK = 100
"""Texts that are compared at once: what bounds memory."""


def translation_baselines(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Reports of both baselines on the test split (validation where there is none)."""
    held_out = corpus.split("test" if "test" in corpus.splits else "validation")
    sources, references = list(held_out.column("source")), list(held_out.column("target"))
    return {
        "copied source": report(sources, references),
        "nearest pair": report(_nearest(corpus, sources), references),
    }


def _nearest(corpus: Corpus, sources: list[str]) -> list[str]:
    """The target of the training pair whose source is most like each, by TF-IDF of its words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    train = corpus.split("train")
    rows = np.arange(len(train))
    if len(rows) > MOST_EXAMPLES:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_EXAMPLES, replace=False))
        train = train.select(rows)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")
    known = vectorizer.fit_transform(train.column("source"))
    targets = list(train.column("target"))
    found: list[str] = []
    for begin in range(0, len(sources), BLOCK):
        asked = vectorizer.transform(sources[begin : begin + BLOCK])
        likeness = (asked @ known.T).toarray()
        found += [targets[place] for place in likeness.argmax(1)]
    return found
