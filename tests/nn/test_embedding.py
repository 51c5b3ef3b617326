"""Token vectors: words, n-grams, padding, pretrained rows."""

from __future__ import annotations

import pytest
import torch

from seqnlp.errors import InputError
from seqnlp.nn import TokenEmbedding, dropout_sites
from seqnlp.types import Pieces, TokenBatch

IDS = torch.tensor([[3, 1, 4], [2, 0, 0]])
LENGTHS = torch.tensor([3, 1])
# Three distinct tokens; the second has no n-gram, and stands for padding too.
NGRAMS = [[0, 5, 5], [], [7]]
PIECES = Pieces(
    ids=torch.tensor([n for ngrams in NGRAMS for n in ngrams]),
    offsets=torch.tensor([0, 3, 3]),
    inverse=torch.tensor([[0, 1, 2], [2, 1, 1]]),
)


def test_words_alone() -> None:
    embedding = TokenEmbedding(5, 2)
    x = embedding(TokenBatch(ids=IDS, lengths=LENGTHS))
    assert torch.equal(x, embedding.words[IDS])
    assert (x[1, 1:] == 0).all()
    # A batch may carry n-grams that this embedding has no use for.
    assert torch.equal(embedding(TokenBatch(ids=IDS, lengths=LENGTHS, pieces=PIECES)), x)


def test_words_plus_the_mean_of_their_ngrams() -> None:
    torch.manual_seed(0)
    embedding = TokenEmbedding(5, 2, buckets=8).double()
    x = embedding(TokenBatch(ids=IDS, lengths=LENGTHS, pieces=PIECES))
    assert embedding.ngrams is not None
    for row in range(2):
        for t in range(3):
            wanted = embedding.words[IDS[row, t]]
            ngrams = NGRAMS[PIECES.inverse[row, t]]
            if ngrams and t < LENGTHS[row]:
                wanted = wanted + embedding.ngrams[ngrams].mean(0)
            torch.testing.assert_close(x[row, t], wanted, rtol=1e-12, atol=1e-14)
    assert (x[1, 1:] == 0).all()
    # Without n-grams in the batch the words stand alone.
    assert torch.equal(embedding(TokenBatch(ids=IDS, lengths=LENGTHS)), embedding.words[IDS])


def test_gradients_reach_words_and_ngrams_but_not_padding() -> None:
    embedding = TokenEmbedding(5, 2, buckets=8).double()
    embedding(TokenBatch(ids=IDS, lengths=LENGTHS, pieces=PIECES)).sum().backward()
    assert embedding.words.grad is not None
    assert embedding.words.grad[:, 0].tolist() == [0, 1, 1, 1, 1]
    assert embedding.ngrams is not None
    assert embedding.ngrams.grad is not None
    wanted = torch.zeros(8).double()
    wanted[0], wanted[5], wanted[7] = 1 / 3, 2 / 3, 2  # token 2 stands twice, padding counts not
    torch.testing.assert_close(embedding.ngrams.grad[:, 0], wanted)


def test_scales_are_standard_deviations() -> None:
    torch.manual_seed(1)
    embedding = TokenEmbedding(500, 40, buckets=500, scale=0.5, ngram_scale=2.0, padding_id=7)
    assert embedding.ngrams is not None
    assert embedding.words.std().item() == pytest.approx(0.5, rel=0.02)
    assert embedding.ngrams.std().item() == pytest.approx(2.0, rel=0.02)
    assert (embedding.words[7] == 0).all()


@pytest.mark.parametrize("rows", [[4, 0, 2], torch.tensor([4, 0, 2])])
def test_pretrained_vectors_go_to_their_rows(rows: list[int] | torch.Tensor) -> None:
    embedding = TokenEmbedding(5, 2)
    before = embedding.words.detach().clone()
    embedding.load_vectors(torch.tensor([[1.0, 2], [9, 9], [3, 4]]), rows)
    assert embedding.words[4].tolist() == [1.0, 2.0]
    assert embedding.words[2].tolist() == [3.0, 4.0]
    assert embedding.words[0].tolist() == [0.0, 0.0]
    assert torch.equal(embedding.words[[1, 3]], before[[1, 3]])
    assert embedding.words.requires_grad


def test_sites_drop_words_and_then_elements() -> None:
    embedding = TokenEmbedding(5, 50)
    sites = dropout_sites(embedding)
    assert {name: [site.kind for site in found] for name, found in sites.items()} == {
        "word": ["word"], "embedding": ["standard"],
    }  # fmt: skip
    torch.manual_seed(2)
    batch = TokenBatch(ids=torch.ones(40, 10, dtype=torch.int64), lengths=torch.full((40,), 10))
    sites["word"][0].rate = 0.25
    gone = (embedding(batch) == 0).float().mean(2)
    assert gone.unique().tolist() == [0.0, 1.0]
    assert gone.mean() == pytest.approx(0.25, abs=0.06)
    sites["embedding"][0].rate = 0.5
    share = (embedding(batch) == 0).float().mean(2)
    assert share.mean() == pytest.approx(1 - 0.75 * 0.5, abs=0.05)


@pytest.mark.parametrize(
    ("matrix", "rows", "message"),
    [
        (torch.zeros(2, 3), [0, 1], "the vectors must be float [N, 2], not [2, 3]"),
        (torch.zeros(2), [0, 1], "the vectors must be float [N, 2], not [2]"),
        (torch.zeros(2, 2), [0, 1, 2], "2 vectors cannot go to 3 rows"),
        (torch.zeros(2, 2), [0, 5], "rows must be among the 5 word ids"),
        (torch.zeros(2, 2), [-1, 3], "rows must be among the 5 word ids"),
    ],
)
def test_wrong_vectors_are_named(matrix: torch.Tensor, rows: list[int], message: str) -> None:
    with pytest.raises(InputError) as caught:
        TokenEmbedding(5, 2).load_vectors(matrix, rows)
    assert str(caught.value) == message


def test_a_padding_id_outside_the_vocabulary_is_named() -> None:
    with pytest.raises(InputError, match=r"^padding_id must be one of the 5 word ids, not 5$"):
        TokenEmbedding(5, 2, padding_id=5)


def test_it_prints_its_sizes() -> None:
    assert repr(TokenEmbedding(5, 2, buckets=8)).startswith("TokenEmbedding(\n  5, 2, buckets=8")
