"""Baselines of summaries: by hand, and against a plain PageRank."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data.corpus import Corpus
from seqnlp.data.split import Split
from seqnlp.tasks import summary_baselines
from seqnlp.tasks.neighbors import NeighborIndex
from seqnlp.tasks.summary_baselines import (
    best_lead,
    centrality,
    index_of,
    references_in,
    textrank,
    with_similarity,
)
from seqnlp.tasks.summary_baselines import (
    summary_baselines as baselines,
)
from seqnlp.tasks.summary_metrics import Reference, references_of, report


def split(name: str, rows: list[tuple[str, str, list[str]]]) -> Split:
    table = pa.table(
        {
            "document": [row[0] for row in rows],
            "summary": [row[1] for row in rows],
            "references": pa.array([row[2] for row in rows], pa.list_(pa.string())),
        }
    )
    return Split(name, table, origin="memory", fingerprint=name)


TRAIN = split("train", [
    ("The gas deal is signed. Nobody knew of it. It rained.", "gas deal signed", []),
    ("Two cats sat there. A dog came. It rained.", "two cats sat", []),
    ("Hello all. The meeting is moved to noon.", "hello", []),
])  # fmt: skip
TEST = split("test", [
    ("A gas deal was signed. Two dogs came. The dogs saw the gas deal.", "gas deal", ["a deal"]),
    ("Zebra? Zebra!", "zebra", []),
])  # fmt: skip
CORPUS = Corpus(name="memory", splits={"train": TRAIN, "test": TEST})


def test_references_of_a_split() -> None:
    found = references_of(TEST)
    assert found[0] == Reference(
        summary="gas deal",
        others=("a deal",),
        document="A gas deal was signed. Two dogs came. The dogs saw the gas deal.",
    )
    assert found[1].others == ()
    table = pa.table({"document": ["d"], "summary": ["s"]})
    (alone,) = references_of(Split("test", table, origin="memory", fingerprint="x"))
    assert alone == Reference(summary="s", document="d")


def test_baselines_are_reports_of_their_summaries() -> None:
    made = baselines(CORPUS)
    references = with_similarity(references_of(TEST), index_of(TRAIN))
    assert list(made) == ["lead-1", "TextRank", "nearest document"]
    assert made["lead-1"] == report(["A gas deal was signed.", "Zebra?"], references)
    assert made["TextRank"] == report(["The dogs saw the gas deal.", "Zebra?"], references)
    assert made["nearest document"] == report(["gas deal signed", ""], references)
    assert [bucket["from"] for bucket in made["lead-1"]["similarity"]] == [0.0, 0.5]


def test_validation_stands_in_for_a_test_that_is_not_there() -> None:
    made = baselines(
        Corpus(name="memory", splits={"train": TRAIN, "validation": TEST.renamed("validation")})
    )
    assert made == baselines(CORPUS)


def test_the_lead_is_as_long_as_is_best() -> None:
    documents = ["Dear all. The gas deal is signed. It rained. Bye.", "Hi. Two cats sat. Bye."]
    summaries = ["dear all the gas deal is signed", "hi two cats sat"]
    assert best_lead(
        [Reference(summary=s, document=d) for s, d in zip(summaries, documents, strict=True)]
    ) == 2  # fmt: skip
    assert best_lead([Reference(summary="x", document="")]) == 1


def test_references_know_how_near_they_are_to_train() -> None:
    found = references_in(CORPUS, "test")
    assert found == with_similarity(references_of(TEST), index_of(TRAIN))
    assert found[0].similarity == pytest.approx(0.5, abs=0.2)
    assert found[1].similarity == 0
    other = NeighborIndex.fit([("zebra", "zebra")])
    assert [each.similarity for each in references_in(CORPUS, "test", other)] == [0, 1]


def test_of_train_itself_and_without_train_nothing_is_known() -> None:
    assert references_in(CORPUS, "train") == references_of(TRAIN)
    alone = Corpus(name="memory", splits={"test": TEST})
    assert references_in(alone, "test") == references_of(TEST)


def test_a_large_corpus_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_baselines, "MOST_EXAMPLES", 2)
    assert index_of(TRAIN).state()["documents"] == 2


@given(st.lists(st.lists(st.sampled_from("abcde"), max_size=5), max_size=7))
def test_centrality_is_pagerank_over_shared_words(sentences: list[list[str]]) -> None:
    size = len(sentences)
    links = np.zeros((size, size))
    for i, one in enumerate(sentences):
        for j, other in enumerate(sentences):
            if i != j and (shared := len(set(one) & set(other))):
                scale = math.log(len(one)) + math.log(len(other))
                links[i, j] = shared / max(scale, math.log(2))
    for i, row in enumerate(links):
        links[i] = row / row.sum() if row.sum() else 1 / size
    expected = np.full(size, 1 / max(size, 1))
    for _ in range(300):
        expected = 0.15 / max(size, 1) + 0.85 * links.T @ expected
    found = centrality(sentences)
    assert found == pytest.approx(expected, abs=1e-6)
    if size:
        assert found.sum() == pytest.approx(1)


def test_textrank_keeps_the_order_of_the_text() -> None:
    sentences = ["The gas deal.", "Rain.", "The deal on gas, the deal.", "A gas deal on rain."]
    best = textrank(sentences, 2)
    assert best == [each for each in sentences if each in best]
    assert len(best) == 2
    assert textrank(sentences, 9) == sentences
    assert textrank([], 2) == []


def test_textrank_of_a_book_reads_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_baselines, "MOST_SENTENCES", 2)
    assert textrank(["a b.", "a b.", "gas deal gas.", "gas deal."], 3) == ["a b.", "a b."]
