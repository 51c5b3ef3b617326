"""From a corpus to rows of ids: pipeline fitted, long documents cut or chunked, n-grams added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seqnlp.config import Settings
from seqnlp.data.corpus import Corpus
from seqnlp.data.tokens import TokenizedText, tokenize_corpus
from seqnlp.errors import SettingsError
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import parse_tokenizer
from seqnlp.types import Pieces, TokenBatch

Ints = NDArray[np.int64]


class TokenRows:
    """The rows of a tokenized text.

    Args:
        text: N documents.
        pipeline: with its vocabulary.
        max_tokens: the most tokens a row.
        long_documents: a longer document is cut ("truncate") or becomes several rows of nearly
            equal length ("chunk").

    lengths: int64 [R], at least 1: an empty document is one unknown token.
    documents: int64 [R], the document that each row belongs to; ascending.
    """

    def __init__(
        self,
        text: TokenizedText,
        pipeline: TokenPipeline,
        *,
        max_tokens: int,
        long_documents: Literal["chunk", "truncate"],
    ) -> None:
        sizes = np.asarray(text.lengths, dtype=np.int64)
        if long_documents == "truncate":
            sizes = np.minimum(sizes, max_tokens)
        self.size = len(sizes)
        self.documents: Ints = np.arange(self.size)
        self._begin: Ints = np.asarray(text.offsets[:-1], dtype=np.int64)
        self._length: Ints = sizes
        if sizes.max(initial=0) > max_tokens:
            self._chunk(max_tokens)
        self.lengths: Ints = np.maximum(self._length, 1)
        # Plain arrays over the same file: a selection from a memmap costs a new memmap.
        self._tokens = np.asarray(text.tokens)
        self._load_features(text, pipeline)

    def _chunk(self, max_tokens: int) -> None:
        """Cut every document into as few rows of nearly equal length as it takes."""
        chunks = np.maximum(-(-self._length // max_tokens), 1)
        self.documents = np.repeat(self.documents, chunks)
        number = np.arange(len(self.documents)) - np.repeat(np.cumsum(chunks) - chunks, chunks)
        parts, whole = np.repeat(chunks, chunks), np.repeat(self._length, chunks)
        begin = number * whole // parts
        self._begin = np.repeat(self._begin, chunks) + begin
        self._length = (number + 1) * whole // parts - begin

    def _load_features(self, text: TokenizedText, pipeline: TokenPipeline) -> None:
        """Ids and n-grams of every type, and of two more: an unknown token and padding."""
        assert pipeline.vocabulary is not None
        ids, ngrams, offsets = pipeline.features(text.types)
        self._unknown, self._padding = len(ids), len(ids) + 1
        self._ids = np.concatenate([ids, (pipeline.vocabulary.unk, pipeline.vocabulary.pad)])
        self._ngrams = ngrams if pipeline.hasher is not None else None
        # The n-grams of type u are ngrams[first[u]:first[u + 1]]; the two added types have none.
        self._first = np.concatenate([offsets, (len(ngrams),) * 3])

    def tokens(self, indices: Ints) -> TokenBatch:
        """The rows of these indices, int64 [B], padded to the longest among them."""
        lengths = self.lengths[indices]
        steps = np.arange(lengths.max(initial=1))
        positions = self._begin[indices][:, None] + steps
        real = steps < self._length[indices][:, None]
        types = np.full(real.shape, self._padding, dtype=np.int64)
        types[real] = self._tokens[positions[real]]
        types[self._length[indices] == 0, 0] = self._unknown
        return TokenBatch(
            ids=torch.from_numpy(self._ids[types]),
            lengths=torch.from_numpy(lengths),
            pieces=self._pieces(types) if self._ngrams is not None else None,
        )

    def _pieces(self, types: Ints) -> Pieces:
        assert self._ngrams is not None
        distinct, inverse = np.unique(types, return_inverse=True)
        first = self._first[distinct]
        sizes = self._first[distinct + 1] - first
        offsets = np.cumsum(sizes) - sizes
        places = np.arange(sizes.sum()) + np.repeat(first - offsets, sizes)
        return Pieces(
            ids=torch.from_numpy(self._ngrams[places]),
            offsets=torch.from_numpy(offsets),
            inverse=torch.from_numpy(inverse.reshape(types.shape)),
        )


def single_row(tokens: Sequence[str], pipeline: TokenPipeline) -> TokenBatch:
    """A batch of one text, what `TokenRows` makes of it where it is not too long, only sooner.

    Arrays over a whole text pay for many texts; for one, they take as long as the network.
    """
    vocabulary, hasher = pipeline.vocabulary, pipeline.hasher
    assert vocabulary is not None
    ids = vocabulary.ids(tokens) or [vocabulary.unk]
    pieces = None
    if hasher is not None:
        numbers = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
        ngrams, offsets = hasher.bags(list(numbers))
        pieces = Pieces(
            ids=torch.from_numpy(ngrams),
            offsets=torch.from_numpy(offsets) if tokens else torch.tensor([0]),
            inverse=torch.tensor([[numbers[token] for token in tokens] or [0]]),
        )
    return TokenBatch(ids=torch.tensor([ids]), lengths=torch.tensor([len(ids)]), pieces=pieces)


def fit_pipeline(settings: Settings, corpus: Corpus, field: str) -> TokenPipeline:
    """The pipeline that the settings describe, its tokenizer and vocabulary fitted on train."""
    chosen = settings.text
    low, high = chosen.ngram_sizes
    pipeline = TokenPipeline(
        normalizers=chosen.normalizers,
        tokenizer=parse_tokenizer(chosen.tokenizer, chosen.tokenizer_options),
        hasher=(
            NgramHasher(buckets=chosen.ngram_buckets, min_size=low, max_size=high)
            if chosen.ngram_buckets
            else None
        ),
    )
    pipeline = pipeline.with_trained_tokenizer(corpus.split("train").column(field))
    text = tokenize_corpus(corpus, field, pipeline)["train"]
    counts = {token: int(n) for token, n in zip(text.types, text.counts, strict=True) if n}
    fitted = pipeline.fit_counts(counts, min_count=chosen.min_count, max_size=chosen.max_size)
    if fitted.vocabulary is None or not fitted.vocabulary.tokens:
        raise SettingsError(
            f"text: no token of train is left for the vocabulary: the tokenizer "
            f"{chosen.tokenizer!r} found {len(counts):,}, each less often than min_count = "
            f"{chosen.min_count}"
        )
    return fitted
