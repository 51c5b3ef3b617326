from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.data import Corpus, Split, describe, open_corpus
from seqnlp.types import Field

FIELDS = (Field(name="text"), Field(name="label"))
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b ", " b", "c c"]), st.sampled_from("xyz")),
                min_size=1)  # fmt: skip


def split_of(name: str, rows: list[tuple[str, str]]) -> Split:
    return Split.from_examples(name, [{"text": text, "label": label} for text, label in rows])


@given(train=ROWS, test=ROWS)
def test_duplicates_against_a_plain_count(
    train: list[tuple[str, str]], test: list[tuple[str, str]]
) -> None:
    corpus = Corpus(name="c", splits={"train": split_of("train", train),
                                      "test": split_of("test", test)})  # fmt: skip
    found = {(d.first, d.second): (d.rows, d.conflicting)
             for d in describe(corpus, fields=FIELDS).duplicates}  # fmt: skip
    expected: Counter[tuple[str, str, str]] = Counter()
    for name, rows, before in (
        ("train", train, None), ("test", test, None), ("test", test, train)
    ):  # fmt: skip
        seen: list[tuple[str, str]] = []
        for text, label in rows:
            earlier = before if before is not None else seen
            labels = [other for known, other in earlier if known.strip() == text.strip()]
            first = name if before is None else "train"
            expected[first, name, "rows"] += bool(labels)
            expected[first, name, "conflicting"] += bool(labels) and label not in labels
            seen.append((text, label))
    pairs = [("train", "train"), ("test", "test"), ("train", "test")]
    assert found == {
        pair: (expected[*pair, "rows"], expected[*pair, "conflicting"])
        for pair in pairs
        if expected[*pair, "rows"]
    }


def test_figures_of_a_split() -> None:
    texts = ["one two", "three", "", "a b c d"]
    rows = list(zip(texts, ["x", "y", "y", "z"], strict=True))
    corpus = Corpus(name="c", splits={"train": split_of("train", rows)}, license="MIT",
                    description="d", notes=("n",))  # fmt: skip
    summary = describe(corpus, fields=FIELDS, examples=2)
    split = summary.splits["train"]
    assert (summary.name, summary.license, summary.description, summary.notes) == (
        "c", "MIT", "d", ("n",))  # fmt: skip
    assert split.rows == 4
    assert list(split.labels.items()) == [("y", 2), ("x", 1), ("z", 1)]
    for lengths, sizes in (
        (split.lengths["text"].characters, [7, 5, 0, 7]),
        (split.lengths["text"].words, [2, 1, 0, 4]),
    ):
        assert lengths.mean == np.mean(sizes)
        assert lengths.median == np.median(sizes)
        assert lengths.p95 == np.percentile(sizes, 95)
        assert lengths.max == max(sizes)
    assert (split.lengths["text"].vocabulary, split.lengths["text"].unseen) == (7, None)
    assert split.ratios is None
    assert split.examples == (
        {"text": "one two", "label": "x"}, {"text": "three", "label": "y"})  # fmt: skip


def test_a_corpus_without_labels_and_an_empty_split() -> None:
    train = Split.from_examples("train", [{"text": "a"}, {"text": "a"}])
    corpus = Corpus(name="c", splits={"train": train, "test": train[:0].renamed("test")})
    summary = describe(corpus, fields=FIELDS[:1])
    assert summary.splits["train"].labels == {}
    assert summary.splits["test"].lengths["text"].words.max == 0
    (duplicates,) = summary.duplicates
    assert (duplicates.rows, duplicates.conflicting) == (1, 0)


PAIR_FIELDS = (Field(name="source"), Field(name="target"))


def pairs_of(name: str, rows: list[tuple[str, str]]) -> Split:
    return Split.from_examples(name, [{"source": one, "target": two} for one, two in rows])


def test_a_parallel_corpus() -> None:
    train = pairs_of(
        "train", [("Two words.", "Zwei Wörter hier."), ("a", "b"), ("a", "c"), (" ", "d")]
    )
    test = pairs_of("test", [("words two NEW", "b"), ("a", "b")])
    corpus = Corpus(name="c", splits={"test": test, "train": train, "test_2016": test})
    summary = describe(corpus, fields=PAIR_FIELDS)
    assert list(summary.splits) == ["test", "train", "test_2016"]
    one, other = (summary.splits["train"].lengths[side] for side in ("source", "target"))
    assert (one.vocabulary, other.vocabulary, one.unseen) == (3, 6, None)
    assert summary.splits["test"].lengths["source"].unseen == 1 / 4
    assert summary.splits["test"].lengths["target"].unseen == 0
    ratios = summary.splits["train"].ratios
    assert ratios is not None
    assert (ratios.min, ratios.max) == (1, 1.5)
    assert ratios.mean == pytest.approx(3.5 / 3)
    assert (ratios.p5, ratios.p95) == (
        pytest.approx(np.percentile([1, 1, 1.5], 5)),
        pytest.approx(np.percentile([1, 1, 1.5], 95)),
    )
    # The same rows under two names are no duplicates; another translation is named.
    found = {(d.first, d.second): (d.rows, d.conflicting) for d in summary.duplicates}
    assert found == {("train", "train"): (1, 1), ("test", "train"): (2, 1)}
    blank = Corpus(name="c", splits={"test": pairs_of("test", [("", "a")])})
    assert describe(blank, fields=PAIR_FIELDS).splits["test"].ratios is None


def test_documents_and_summaries() -> None:
    fields = (
        Field(name="document"),
        Field(name="summary"),
        Field(name="references", required=False, several=True),
    )
    rows = [("a b c d", "a"), ("a b c d", "d c"), (" ", "a")]
    train = Split.from_examples("train", [{"document": d, "summary": s} for d, s in rows])
    row = {"document": "a b c d", "summary": "a", "references": ["x y", "z"]}
    corpus = Corpus(name="c", splits={"train": train, "test": Split.from_examples("test", [row])})
    summary = describe(corpus, fields=fields)
    assert summary.pair == ("document", "summary")
    ratios = summary.splits["train"].ratios
    assert ratios is not None
    assert (ratios.min, ratios.mean, ratios.max) == (0.25, 0.375, 0.5)
    assert summary.splits["test"].lengths["references"].words.mean == 3
    assert "references" not in summary.splits["train"].lengths
    found = {(d.first, d.second): (d.rows, d.conflicting) for d in summary.duplicates}
    assert found == {("train", "train"): (1, 1), ("train", "test"): (1, 0)}


@pytest.mark.data
def test_test_texts_of_trec_that_occur_in_train() -> None:
    corpus = open_corpus("trec", fields=FIELDS, validation_share=0)
    found = {(d.first, d.second): d.rows for d in describe(corpus, fields=FIELDS).duplicates}
    assert found["train", "test"] == 10


def test_a_corpus_of_numbers_is_described_too() -> None:
    table = pa.table({"value": [[1.5, 2.0], [3.0]], "count": [7, None]})
    split = Split("train", table, origin="memory", fingerprint="1")
    corpus = Corpus(name="numbers", splits={"train": split})
    found = describe(corpus, fields=(Field(name="value"), Field(name="count")))
    assert found.splits["train"].lengths["value"].words.mean == 1.5
    assert found.splits["train"].lengths["value"].vocabulary == 5
    assert found.splits["train"].lengths["count"].words.max == 1
