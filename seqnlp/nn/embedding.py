"""Vectors for tokens: one a word, and one a hashed character n-gram of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqnlp.errors import InputError
from seqnlp.nn.dropout import DropoutSite
from seqnlp.types import Pieces, TokenBatch


class TokenEmbedding(nn.Module):
    """A vector for each token, zero on padding: its word's, plus those of its n-grams.

    The n-grams give words that were rare or unseen in training a vector from their spelling.
    Source: Bojanowski et al. 2017, arXiv:1607.04606, equation 2 and its mean.
    Dropout sites: "word", of kind word, then "embedding".

    rows_alone: the tables, "words" and "ngrams", whose gradients are sparse: of the rows that were
    read, for a trainer that adds them up itself. What it sets, it takes back.

    Args:
        vocabulary_size: V, words.
        size: features of a vector.
        padding_id: the word whose vector stays zero.
        buckets: n-gram vectors; 0 for words alone.
        scale: standard deviation of the first word vectors.
        ngram_scale: standard deviation of the first n-gram vectors.
        ngram_pooling: "mean" or "sum" of a token's n-gram vectors.
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int,
        *,
        padding_id: int = 0,
        buckets: int = 0,
        scale: float = 0.1,
        ngram_scale: float = 0.1,
        ngram_pooling: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        if not 0 <= padding_id < vocabulary_size:
            raise InputError(
                f"padding_id must be one of the {vocabulary_size} word ids, not {padding_id}"
            )
        self.size = size
        self.padding_id = padding_id
        self.rows_alone: frozenset[str] = frozenset()
        self.scale = scale
        self.ngram_pooling = ngram_pooling
        self.words = nn.Parameter(torch.empty(vocabulary_size, size).normal_(std=scale))
        self.ngrams = (
            nn.Parameter(torch.empty(buckets, size).normal_(std=ngram_scale)) if buckets else None
        )
        self._zero_padding()
        self.word_dropout = DropoutSite("word", kind="word")
        self.dropout = DropoutSite("embedding")

    def forward(self, batch: TokenBatch) -> Tensor:
        """Embed ids [B, T] as float [B, T, size]."""
        alone = "words" in self.rows_alone
        vectors = F.embedding(batch.ids, self.words, padding_idx=self.padding_id, sparse=alone)
        if self.ngrams is not None and batch.pieces is not None:
            alone = "ngrams" in self.rows_alone
            vectors = vectors + _embed_pieces(batch.pieces, self.ngrams, self.ngram_pooling, alone)
        dropped: Tensor = self.dropout(self.word_dropout(vectors))
        return dropped

    def load_vectors(self, matrix: Tensor, rows: Tensor | Sequence[int]) -> None:
        """Copy pretrained vectors float [N, size] to the words of ids [N].

        Raises:
            InputError: the vectors have another size, or there are not as many as rows.
        """
        index = torch.as_tensor(rows, dtype=torch.int64, device=self.words.device)
        if matrix.dim() != 2 or matrix.shape[1] != self.size:
            raise InputError(
                f"the vectors must be float [N, {self.size}], not {list(matrix.shape)}"
            )
        if index.shape != matrix.shape[:1]:
            raise InputError(f"{matrix.shape[0]} vectors cannot go to {index.numel()} rows")
        if index.numel() and not 0 <= int(index.min()) <= int(index.max()) < len(self.words):
            raise InputError(f"rows must be among the {len(self.words)} word ids")
        with torch.no_grad():
            self.words[index] = matrix.to(self.words)
        self._zero_padding()

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        buckets = 0 if self.ngrams is None else len(self.ngrams)
        return f"{len(self.words)}, {self.size}, buckets={buckets}"

    def _zero_padding(self) -> None:
        with torch.no_grad():
            self.words[self.padding_id] = 0.0


def _embed_pieces(pieces: Pieces, ngrams: Tensor, pooling: str, rows_alone: bool) -> Tensor:
    """Pooled n-gram vectors float [B, T, size], zero without any; each distinct token once."""
    pooled = F.embedding_bag(pieces.ids, ngrams, pieces.offsets, mode=pooling, sparse=rows_alone)
    return F.embedding(pieces.inverse, pooled)
