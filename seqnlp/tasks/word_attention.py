"""What an answer looked at, by whole words: tokens may be parts of letters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqnlp.tasks.copying import group_words, word_text
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.vocabulary import EOS
from seqnlp.types import Prediction


@dataclass(frozen=True, kw_only=True)
class WordAttention:
    """The attention of W words to S words of their source.

    source: S words. words: W, of the best output. weights: float32 [W, S], a word's mean over its
    tokens; a row sums to 1 less what went to the end of the source.
    """

    source: tuple[str, ...]
    words: tuple[str, ...]
    weights: NDArray[np.float32]


def word_attention(
    answer: Prediction, pipelines: Mapping[str, TokenPipeline]
) -> WordAttention | None:
    """The attention of an answer's best output; None where it has none, see `Hypothesis`.

    Args:
        pipelines: of source and target, in this order.
    """
    if not answer.hypotheses or (best := answer.hypotheses[0]).attention is None:
        return None
    reading, writing = (pipeline.tokenizer for pipeline in pipelines.values())
    # A text that was read in parts has an end after each.
    inside = [place for place, token in enumerate(answer.source_tokens) if token != EOS]
    names = [answer.source_tokens[place] for place in inside]
    weights = best.attention[:-1][:, inside]
    read, written = group_words(names, reading), group_words(best.tokens, writing)
    if not read or not written:
        return None
    sums = np.add.reduceat(weights, [group[0] for group in read], axis=1)
    sums = np.add.reduceat(sums, [group[0] for group in written], axis=0)
    means = sums / np.array([[len(group)] for group in written])
    source = [word_text(group, names, reading) for group in read]
    words = [word_text(group, best.tokens, writing) for group in written]
    # Spaces and broken letters may be groups of their own, which are no words.
    columns = [place for place, word in enumerate(source) if word]
    rows = [place for place, word in enumerate(words) if word]
    return WordAttention(
        source=tuple(filter(None, source)),
        words=tuple(filter(None, words)),
        weights=means[np.ix_(rows, columns)].astype(np.float32),
    )
