"""Attention of queries over an encoded memory."""

from seqnlp.nn.attention.additive import AdditiveAttention, ConcatAttention, LocationAttention
from seqnlp.nn.attention.base import Attention, ScoredAttention, masked_softmax
from seqnlp.nn.attention.products import DotAttention, GeneralAttention, MultiHeadAttention

__all__ = [
    "AdditiveAttention",
    "Attention",
    "ConcatAttention",
    "DotAttention",
    "GeneralAttention",
    "LocationAttention",
    "MultiHeadAttention",
    "ScoredAttention",
    "masked_softmax",
]
