"""The runner's own text code gives what the library's gives, for any text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import seqnlp_runtime.evidence
import seqnlp_runtime.joining
import seqnlp_runtime.ngrams
import seqnlp_runtime.tokenizers
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from seqnlp_runtime.normalize import NORMALIZERS
from seqnlp_runtime.pipeline import Pipeline
from seqnlp_runtime.tokenizers import FAMILIES, make_tokenizer

import seqnlp.text.joining
from seqnlp import registry
from seqnlp.data.tokens import TokenizedText
from seqnlp.integrations.onnx import description
from seqnlp.tasks.evidence import FITS
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import Tokenizer, parse_tokenizer

SPECS = [
    "whitespace", "char", "regex", "bpe", "unigram", "wordpiece",
    "spacy:en", "spacy:de", "nltk:treebank", "nltk:tweet", "nltk:toktok",
]  # fmt: skip
CORPUS = [
    "It isn't Ann's, it's $9.50!", "the blue-eyed girls' team; l'homme", "Ein schöner, alter Film.",
    "a stirring, funny film", "naïve déjà vu 1999", "“Two men” said: 'no way'", "the the the film",
]  # fmt: skip

words = st.sampled_from([word for line in CORPUS for word in line.split()])
texts = st.one_of(st.text(), st.lists(words).map(" ".join), st.text("abn'tﬁ½Ａé\u0301\ud83d ▁Ġ\t"))


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    """Of every family, trained where that is needed."""
    sizes = {"bpe": {"size": 300}, "unigram": {"size": 80}, "wordpiece": {"size": 80}}
    made = {spec: parse_tokenizer(spec, sizes.get(spec, {})) for spec in SPECS}
    return {spec: each.train(CORPUS * 3) for spec, each in made.items()}


def test_all_families_and_normalizers_are_here() -> None:
    assert {spec.partition(":")[0] for spec in SPECS} == set(FAMILIES)
    assert set(FAMILIES) == set(registry.tokenizers.names())
    assert set(NORMALIZERS) == set(registry.normalizers.names())
    assert set(FAMILIES) == description.TOKENIZERS
    assert set(NORMALIZERS) == description.NORMALIZERS


@pytest.mark.parametrize("spec", SPECS)
def test_tokens_are_those_of_the_library(spec: str, tokenizers: dict[str, Tokenizer]) -> None:
    ours = tokenizers[spec]
    theirs = make_tokenizer(ours.family, ours.state())

    @settings(max_examples=60)
    @given(texts)
    @example("")
    @example(" \n ")
    @example("x" * 4001)
    def check(text: str) -> None:
        tokens = ours.tokenize(text)
        assert theirs.tokenize(text) == tokens
        if tokens and "\ud83d" not in text:
            assert theirs.detokenize(tokens) == ours.detokenize(tokens)
            assert theirs.label(tokens[0]) == ours.label(tokens[0])

    check()


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_normalizers_are_those_of_the_library(name: str) -> None:
    ours = registry.normalizers.get(name)

    @settings(max_examples=60)
    @given(texts)
    def check(text: str) -> None:
        assert NORMALIZERS[name](text) == ours(text)

    check()


@settings(max_examples=80)
@given(st.text(), st.integers(1, 4), st.integers(0, 4), st.integers(1, 2**32 - 1))
@example("x" * 300, 3, 3, 1000)
@example("\ud83d", 1, 5, 77)
def test_ngrams_are_those_of_the_library(token: str, least: int, more: int, buckets: int) -> None:
    sizes = {"buckets": buckets, "min_size": least, "max_size": least + more}
    theirs = seqnlp_runtime.ngrams.NgramHasher(**sizes).ids(token)
    assert sorted(theirs) == sorted(NgramHasher(**sizes).ids(token).tolist())


@pytest.mark.parametrize("kind", sorted(FITS))
def test_evidence_is_that_of_the_library(kind: str) -> None:
    documents = [line.split() for line in CORPUS] + [["no", "way"], ["no"], []]
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    ours, _ = FITS[kind](TokenizedText.from_tokens(documents), labels, 3)
    theirs = seqnlp_runtime.evidence.Evidence(
        keys=ours.keys.numpy(),
        weights=ours.weights.numpy(),
        squares=ours.squares.numpy() if ours.normalized else None,
        bias=ours.bias.numpy(),
    )
    for tokens in [*documents, ["film", "unseen"], ["no", "no", "no"]]:
        expected = ours(TokenizedText.from_tokens([tokens]))[0]
        np.testing.assert_allclose(theirs(tokens), expected, rtol=1e-6, atol=1e-6)


def test_evidence_without_features_is_the_bias() -> None:
    none = seqnlp_runtime.evidence.Evidence(
        keys=np.zeros(0, dtype=np.int64),
        weights=torch.zeros(0, 2).numpy(),
        squares=None,
        bias=np.array([0.5, -1.0], dtype=np.float32),
    )
    assert none(["a", "b"]).tolist() == [0.5, -1.0]


@pytest.mark.parametrize("spec", ["regex", "bpe", "unigram"])
def test_ids_are_those_of_the_library(spec: str, tokenizers: dict[str, Tokenizer]) -> None:
    unfitted = TokenPipeline(
        normalizers=("nfkc", "lowercase", "strip_accents"),
        tokenizer=tokenizers[spec],
        hasher=NgramHasher(buckets=100),
    )
    ours = unfitted.fit(CORPUS)
    theirs = Pipeline.read(description.describe_pipeline(ours))

    @settings(max_examples=60)
    @given(texts)
    @example("<pad> <unk>")
    def check(text: str) -> None:
        assert theirs.ids(theirs.tokens(text)) == ours.encode(text)

    check()
    assert ours.vocabulary is not None
    assert [theirs.token(id) for id in range(len(ours.vocabulary))] == [
        ours.vocabulary.token(id) for id in range(len(ours.vocabulary))
    ]


def test_joining_is_the_same_file() -> None:
    files = (seqnlp.text.joining.__file__, seqnlp_runtime.joining.__file__)
    ours, theirs = (Path(file).read_text(encoding="utf-8") for file in files)
    assert ours == theirs, "copy seqnlp/text/joining.py to runtime/seqnlp_runtime/joining.py"
