"""What summaries should beat: first sentences, central ones, the nearest training summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from seqnlp.data.corpus import Corpus, Split
from seqnlp.tasks.metrics import Floats
from seqnlp.tasks.neighbors import NeighborIndex
from seqnlp.tasks.rouge import words
from seqnlp.tasks.summary_metrics import Reference, references_of, report, score
from seqnlp.text.sentences import split_sentences

MOST_EXAMPLES = 50_000
"""Training examples that the nearest one is looked for among; it is there for scale."""
MOST_LEADS = 5
_TRIALS = 500
"""Training examples that say how many sentences make the best lead."""
MOST_SENTENCES = 1000
"""Sentences of a document that TextRank compares with each other: its first."""
DAMPING = 0.85


def with_similarity(references: Sequence[Reference], index: NeighborIndex) -> list[Reference]:
    """The same, with how near each document is to the nearest one of the index."""
    found = index.similarities(each.document for each in references)
    return [replace(each, similarity=value) for each, value in zip(references, found, strict=True)]


def index_of(train: Split) -> NeighborIndex:
    """The index of a training split, or of a sample of a large one."""
    if len(train) > MOST_EXAMPLES:
        rows = np.random.default_rng(0).choice(len(train), MOST_EXAMPLES, replace=False)
        train = train.select(np.sort(rows))
    return NeighborIndex.of(train, "document", "summary")


def references_in(
    corpus: Corpus, split: str, index: NeighborIndex | None = None
) -> list[Reference]:
    """The references of a split, with the similarity of their documents to those of train.

    Args:
        index: of train, where there is one; else it is made, if the corpus has train.
    """
    references = references_of(corpus.split(split))
    if split == "train" or (index is None and "train" not in corpus.splits):
        return references
    return with_similarity(references, index or index_of(corpus.split("train")))


def summary_baselines(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Reports on the test split (validation where there is none).

    "lead-k": the first k sentences, with the k of 1 to 5 that has the highest ROUGE on train.
    "TextRank": as many, the most central ones. "nearest document": the summary of the document of
    train most like each.
    """
    held_out = "test" if "test" in corpus.splits else "validation"
    index = index_of(corpus.split("train"))
    references = references_in(corpus, held_out, index)
    count = best_lead(references_of(corpus.split("train")[:_TRIALS]))
    texts = [split_sentences(each.document) for each in references]
    nearest = index.find((each.document for each in references), 1)
    return {
        f"lead-{count}": report([" ".join(each[:count]) for each in texts], references),
        "TextRank": report([" ".join(textrank(each, count)) for each in texts], references),
        "nearest document": report([near[0][0] if near else "" for near in nearest], references),
    }


def best_lead(references: Sequence[Reference]) -> int:
    """How many first sentences of the documents are the best summaries, by the mean of ROUGE."""
    texts = [split_sentences(each.document) for each in references]
    counts = range(1, MOST_LEADS + 1)

    def quality(count: int) -> float:
        return sum(score([" ".join(each[:count]) for each in texts], references).values())

    return max(counts, key=quality)


def textrank(sentences: Sequence[str], count: int) -> list[str]:
    """The `count` most central sentences, in the order of the text; of equals the first.

    Source: Mihalcea and Tarau 2004, "TextRank: Bringing Order into Texts", section 5.

    >>> textrank(["Rain fell.", "The gas deal was signed.", "A gas deal, at last.", "Bye."], 1)
    ['The gas deal was signed.']
    """
    ranks = centrality([words(each) for each in sentences[:MOST_SENTENCES]])
    best = np.argsort(-ranks.round(9), kind="stable")[:count]
    return [sentences[n] for n in np.sort(best)]


def centrality(sentences: Sequence[Sequence[str]]) -> Floats:
    """PageRank of N sentences in the graph of their likeness, float [N], summing to 1.

    Two sentences are like each other by the distinct words that they share, over the sum of the
    logarithms of their lengths.
    """
    size = len(sentences)
    if not size:
        return np.zeros(0)
    numbers: dict[str, int] = {}
    bags = [{numbers.setdefault(word, len(numbers)) for word in each} for each in sentences]
    shared = _shared(bags, len(numbers))
    logs = np.log(np.maximum([len(each) for each in sentences], 1))
    # Two sentences of one word each have none.
    scale = np.maximum(logs[:, None] + logs, np.log(2))
    links = shared / scale
    np.fill_diagonal(links, 0)
    totals = links.sum(1, keepdims=True)
    steps = np.divide(links, totals, out=np.full_like(links, 1 / size), where=totals > 0)
    ranks = np.full(size, 1 / size)
    for _ in range(100):
        last, ranks = ranks, (1 - DAMPING) / size + DAMPING * (ranks @ steps)
        if np.abs(ranks - last).sum() < 1e-9:
            break
    return ranks


def _shared(bags: Sequence[set[int]], size: int) -> Floats:
    """How many words each two of N bags share, float [N, N]."""
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
    columns = [word for bag in bags for word in bag]
    matrix = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(bags), max(size, 1)))
    found: Floats = (matrix @ matrix.T).toarray()
    return found
