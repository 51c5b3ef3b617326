"""From text to ids: normalizers, tokenizers, the vocabulary, hashed n-grams, word vectors.

Importing this imports none of spaCy, NLTK, `tokenizers` and torch; a tokenizer imports its library
when it is made.
"""

from seqnlp.text.cooccurrence import ppmi_vectors
from seqnlp.text.linguistic import NltkTokenizer, SpacyTokenizer
from seqnlp.text.ngrams import NgramHasher
from seqnlp.text.normalize import normalize
from seqnlp.text.parallel import tokenize_all
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.sampling import SegmentSampler
from seqnlp.text.subwords import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from seqnlp.text.tokenizers import (
    JSON,
    CharTokenizer,
    RegexTokenizer,
    Tokenizer,
    WhitespaceTokenizer,
    parse_tokenizer,
)
from seqnlp.text.vectors import read_vectors
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary

__all__ = [
    "BOS",
    "EOS",
    "JSON",
    "PAD",
    "UNK",
    "BPETokenizer",
    "CharTokenizer",
    "NgramHasher",
    "NltkTokenizer",
    "RegexTokenizer",
    "SegmentSampler",
    "SpacyTokenizer",
    "TokenPipeline",
    "Tokenizer",
    "UnigramTokenizer",
    "Vocabulary",
    "WhitespaceTokenizer",
    "WordPieceTokenizer",
    "normalize",
    "parse_tokenizer",
    "ppmi_vectors",
    "read_vectors",
    "tokenize_all",
]
