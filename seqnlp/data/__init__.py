"""Corpora: rows on disk, read as a stream, tokenized once, and cut into batches by length."""

from seqnlp.data.batching import LengthBuckets
from seqnlp.data.corpus import Corpus, CorpusRequest, assemble, open_corpus
from seqnlp.data.describe import CorpusSummary, describe
from seqnlp.data.split import Split
from seqnlp.data.store import Source, stored_split
from seqnlp.data.tokens import TokenizedText, tokenize_corpus, tokenize_split

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
