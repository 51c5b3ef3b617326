"""Vectors that are kept from text to text are those that the embedding gives, whatever changes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqnlp.data.tokens import TokenizedText
from seqnlp.nn.embedding import TokenEmbedding
from seqnlp.tasks import evidence, token_vectors
from seqnlp.tasks.rows import single_row
from seqnlp.tasks.token_vectors import embed_text
from seqnlp.text import NgramHasher, TokenPipeline
from seqnlp.text.tokenizers import WhitespaceTokenizer

WORDS = ["alpha", "beta", "gamma", "delta"]


def made(buckets: int = 50) -> tuple[TokenPipeline, TokenEmbedding]:
    hasher = NgramHasher(buckets=buckets) if buckets else None
    pipeline = TokenPipeline(tokenizer=WhitespaceTokenizer(), hasher=hasher).fit(WORDS)
    torch.manual_seed(0)
    return pipeline, TokenEmbedding(6, 5, buckets=buckets, ngram_pooling="sum").eval()


def both(
    tokens: list[str], pipeline: TokenPipeline, embedding: TokenEmbedding
) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        return embed_text(tokens, pipeline, embedding), embedding(single_row(tokens, pipeline))


@pytest.mark.parametrize("buckets", [0, 50])
@given(texts=st.lists(st.lists(st.sampled_from([*WORDS, "unseen", "x", "é"]), max_size=9)))
def test_texts_have_the_vectors_of_their_rows(buckets: int, texts: list[list[str]]) -> None:
    pipeline, embedding = made(buckets)
    for tokens in texts:
        assert torch.equal(*both(tokens, pipeline, embedding))


def double(embedding: TokenEmbedding) -> None:
    embedding.double()


def other_data(embedding: TokenEmbedding) -> None:
    embedding.words.data = embedding.words.data + 1


def step_in_one_call(embedding: TokenEmbedding) -> None:
    embedding.words.grad = torch.zeros_like(embedding.words)
    embedding.words.grad[2] = 1
    torch.optim.SGD(embedding.parameters(), lr=1.0, fused=True).step()


@pytest.mark.parametrize(
    "change",
    [
        lambda embedding: embedding.words.add_(1),
        lambda embedding: embedding.ngrams.mul_(2),
        lambda embedding: embedding.load_vectors(torch.ones(1, 5), [2]),
        other_data,
        lambda embedding: embedding.words.data.mul_(2),
        lambda embedding: embedding.ngrams.data.add_(1),
        step_in_one_call,
        double,
    ],
)
def test_whatever_changes_is_seen(change: Callable[[TokenEmbedding], object]) -> None:
    pipeline, embedding = made()
    before, _ = both(WORDS, pipeline, embedding)
    with torch.no_grad():
        change(embedding)
    found, expected = both(WORDS, pipeline, embedding)
    assert torch.equal(found, expected)
    assert change is double or not torch.equal(found, before)


def test_no_more_than_some_tokens_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_vectors, "MOST", 6)
    pipeline, embedding = made()
    for first in range(9):
        tokens = [f"word{first + n}" for n in range(5)]
        assert torch.equal(*both(tokens, pipeline, embedding))
        assert len(token_vectors._TABLES[embedding].places) <= 6
    assert torch.equal(*both([f"word{n}" for n in range(7)], pipeline, embedding))


def test_tokens_as_long_as_a_text_are_not_kept() -> None:
    pipeline, embedding = made()
    assert torch.equal(*both(["alpha", "x" * 10_000], pipeline, embedding))
    assert torch.equal(*both(["alpha"], pipeline, embedding))
    assert list(token_vectors._TABLES[embedding].places) == ["alpha"]
    assert pipeline.hasher is not None
    assert max(map(len, pipeline.hasher._cache)) < 100
    evidence._digest.cache_clear()
    text = TokenizedText.from_tokens([["alpha", "x" * 10_000]])
    assert len(next(evidence.bags_of(text)).ids) == 3
    assert evidence._digest.cache_info().currsize == 0


def test_another_pipeline_over_the_same_embedding_has_other_vectors() -> None:
    pipeline, embedding = made()
    other = TokenPipeline(tokenizer=WhitespaceTokenizer(), hasher=pipeline.hasher).fit(["delta"])
    first, second = both(["delta"], pipeline, embedding), both(["delta"], other, embedding)
    assert torch.equal(*first)
    assert torch.equal(*second)
    assert not torch.equal(first[0], second[0])


def test_training_and_gradients_go_through_the_embedding() -> None:
    pipeline, embedding = made()
    embed_text(WORDS, pipeline, embedding).sum().backward()  # type: ignore[no-untyped-call]
    assert embedding.words.grad is not None
    with torch.inference_mode():
        own = made()[1]
        assert torch.equal(*both(WORDS, pipeline, own))


def test_threads_share_what_they_look_up() -> None:
    pipeline, embedding = made()
    texts = [[f"{word}{n % 40}" for word in WORDS] for n in range(400)]
    wrong: list[list[str]] = []

    def look(texts: list[list[str]]) -> None:
        for tokens in texts:
            if not torch.equal(*both(tokens, pipeline, embedding)):
                wrong.append(tokens)

    threads = [Thread(target=look, args=(texts[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
