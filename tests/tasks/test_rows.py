"""Rows of ids: chunks, cuts, padding and n-grams."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.rows import TokenRows, single_row
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sentences import ends_sentence
from seqnlp.text.tokenizers import WhitespaceTokenizer
from seqnlp.text.vocabulary import EOS, PAD, UNK

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]
documents = st.lists(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=12), min_size=1, max_size=8)  # fmt: skip


def _pipeline(buckets: int = 0) -> TokenPipeline:
    hasher = NgramHasher(buckets=buckets) if buckets else None
    return TokenPipeline(tokenizer=WhitespaceTokenizer(), hasher=hasher).fit(WORDS)


def _rows(texts: list[list[str]], most: int, long: str, buckets: int = 0) -> TokenRows:
    text = TokenizedText.from_tokens(texts)
    return TokenRows(text, _pipeline(buckets), max_tokens=most, long_documents=long)  # type: ignore[arg-type]


@given(documents, st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_chunks_are_the_document_again(texts: list[list[str]], most: int) -> None:
    rows, pipeline = _rows(texts, most, "chunk"), _pipeline()
    batch = rows.tokens(np.arange(len(rows.lengths)))
    seen: list[list[int]] = [[] for _ in texts]
    sizes: list[list[int]] = [[] for _ in texts]
    for row, document in enumerate(rows.documents):
        length = int(batch.lengths[row])
        seen[document] += batch.ids[row, :length].tolist()
        sizes[document].append(length)
        assert batch.ids[row, length:].eq(0).all()
    for text, ids, chunk in zip(texts, seen, sizes, strict=True):
        assert ids == (pipeline.ids(text).tolist() or [1])
        assert max(chunk) <= most
        assert max(chunk) - min(chunk) <= 1


@given(documents, st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_a_cut_document_is_its_beginning(texts: list[list[str]], most: int) -> None:
    rows, pipeline = _rows(texts, most, "truncate"), _pipeline()
    assert rows.documents.tolist() == list(range(len(texts)))
    batch = rows.tokens(np.arange(len(texts)))
    for row, text in enumerate(texts):
        expected = pipeline.ids(text[:most]).tolist() or [1]
        assert batch.ids[row, : int(batch.lengths[row])].tolist() == expected


@given(documents)
@settings(max_examples=40, deadline=None)
def test_ngrams_are_those_of_each_token(texts: list[list[str]]) -> None:
    rows = _rows(texts, 20, "chunk", buckets=50)
    order = np.random.default_rng(0).permutation(len(rows.lengths))
    batch = rows.tokens(order)
    assert batch.pieces is not None
    ends = torch.cat([batch.pieces.offsets[1:], torch.tensor([len(batch.pieces.ids)])])
    hasher = NgramHasher(buckets=50)
    for row, document in enumerate(order):
        for step in range(batch.ids.shape[1]):
            kind = int(batch.pieces.inverse[row, step])
            found = batch.pieces.ids[int(batch.pieces.offsets[kind]) : int(ends[kind])]
            tokens = texts[document]
            expected = hasher.ids(tokens[step]).tolist() if step < len(tokens) else []
            assert found.tolist() == expected


def test_a_selection_is_padded_to_its_own_longest_row() -> None:
    rows = _rows([["alpha"], ["alpha"] * 9, ["beta", "beta"]], 20, "chunk")
    assert rows.tokens(np.array([2, 0])).ids.shape == (2, 2)
    assert rows.tokens(np.array([2, 0])).mask.tolist() == [[True, True], [True, False]]


def test_an_empty_document_is_one_unknown_token() -> None:
    batch = _rows([[]], 5, "chunk", buckets=50).tokens(np.array([0]))
    assert batch.ids.tolist() == [[1]]
    assert batch.lengths.tolist() == [1]
    assert batch.pieces is not None
    assert len(batch.pieces.ids) == 0


@pytest.mark.parametrize("long", ["chunk", "truncate"])
def test_no_documents_make_no_rows(long: str) -> None:
    rows = _rows([], 5, long)
    assert len(rows.lengths) == 0
    assert rows.size == 0


@given(st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=12), st.sampled_from([0, 50]))
@settings(max_examples=60, deadline=None)
def test_a_single_text_is_the_row_it_would_be_among_others(tokens: list[str], buckets: int) -> None:
    wanted = _rows([tokens], 20, "chunk", buckets).tokens(np.array([0]))
    found = single_row(tokens, _pipeline(buckets))
    assert torch.equal(found.ids, wanted.ids)
    assert torch.equal(found.lengths, wanted.lengths)
    assert (found.pieces is None) == (buckets == 0)
    if found.pieces is not None and wanted.pieces is not None:
        ours, theirs = (
            torch.tensor_split(pieces.ids, pieces.offsets[1:])
            for pieces in (found.pieces, wanted.pieces)
        )
        for step in range(found.ids.shape[1]):
            kind, other = found.pieces.inverse[0, step], wanted.pieces.inverse[0, step]
            assert torch.equal(ours[kind], theirs[other])


def test_marks_and_lines_end_sentences() -> None:
    ending = [".", "!", "?", "…", "...", "▁.", "##?!", '."', "。", "\n", "a\n", "▁mat.", "Go!)"]
    other = ["", "▁a.", "Mr.", "etc.", "e.g.", "U.S.", "3.5", ".5", ",", ":", "▁", "(", '"', "a.b"]
    assert [token for token in ending + other if ends_sentence(token)] == ending


def _ends(rows: TokenRows) -> list[list[int]]:
    batch = rows.tokens(np.arange(len(rows.lengths)))
    assert batch.ends is not None
    assert not batch.ends[~batch.mask].any()
    return [row.nonzero().flatten().tolist() for row in batch.ends]


def test_of_several_marks_the_last_counts_and_the_end_is_no_sentence() -> None:
    texts = [["alpha", ".", "beta", "?", "!", "gamma"], ["alpha", "."], [".", "."], []]
    text = TokenizedText.from_tokens(texts)
    made = TokenPipeline(tokenizer=WhitespaceTokenizer()).fit(WORDS, specials=(PAD, UNK, EOS))
    options: dict[str, Any] = {"max_tokens": 9, "long_documents": "chunk", "sentences": True}
    assert _ends(TokenRows(text, made, **options)) == [[1, 4], [1], [1], []]
    assert _ends(TokenRows(text, made, end=EOS, **options)) == [[1, 4, 6], [2], [2], [0]]
    assert _rows(texts, 9, "chunk").tokens(np.arange(4)).ends is None


@pytest.mark.parametrize("tokenizer", ["bpe", "unigram", "wordpiece", "regex", "char"])
def test_sentences_end_with_any_tokenizer(tokenizer: str) -> None:
    from seqnlp.text.tokenizers import parse_tokenizer

    sentences = ["the cat sat on the mat.", "did the dog see?", "it ran off!"]
    texts = [" ".join(sentences)] * 3
    size = {} if tokenizer in ("regex", "char") else {"size": 300}
    pipeline = TokenPipeline(tokenizer=parse_tokenizer(tokenizer, size)).fit(texts)
    text = TokenizedText.from_tokens([pipeline.tokens(texts[0])])
    rows = TokenRows(text, pipeline, max_tokens=200, long_documents="chunk", sentences=True)
    names = rows.names(0)
    found = [0, *(end + 1 for end in _ends(rows)[0])]
    assert found[-1] == len(names)
    for (begin, end), sentence in zip(pairwise(found), sentences, strict=True):
        written = pipeline.tokenizer.detokenize(names[begin:end])
        assert written.replace(" ", "") == sentence.replace(" ", "")
