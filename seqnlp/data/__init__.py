"""Corpora: rows on disk, read as a stream, tokenized once, and cut into batches by length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqnlp.lazily import lazily

if TYPE_CHECKING:
    from seqnlp.data.batching import LengthBuckets
    from seqnlp.data.corpus import Corpus, CorpusRequest, assemble, open_corpus
    from seqnlp.data.description import CorpusSummary, describe
    from seqnlp.data.split import Split
    from seqnlp.data.store import Source, stored_split
    from seqnlp.data.tokens import TokenizedText, tokenize_corpus, tokenize_split

# Imported when first used: `seqnlp list` looks for corpora and waits for no pyarrow.
_HOME = {
    "Corpus": "seqnlp.data.corpus",
    "CorpusRequest": "seqnlp.data.corpus",
    "CorpusSummary": "seqnlp.data.description",
    "LengthBuckets": "seqnlp.data.batching",
    "Source": "seqnlp.data.store",
    "Split": "seqnlp.data.split",
    "TokenizedText": "seqnlp.data.tokens",
    "assemble": "seqnlp.data.corpus",
    "describe": "seqnlp.data.description",
    "open_corpus": "seqnlp.data.corpus",
    "stored_split": "seqnlp.data.store",
    "tokenize_corpus": "seqnlp.data.tokens",
    "tokenize_split": "seqnlp.data.tokens",
}

__all__ = [
    "Corpus",
    "CorpusRequest",
    "CorpusSummary",
    "LengthBuckets",
    "Source",
    "Split",
    "TokenizedText",
    "assemble",
    "describe",
    "open_corpus",
    "stored_split",
    "tokenize_corpus",
    "tokenize_split",
]

__getattr__, __dir__ = lazily(__name__, _HOME)
