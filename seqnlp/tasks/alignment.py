"""Which words of an output come from which words of its source, by attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqnlp.errors import InputError
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.vocabulary import EOS
from seqnlp.types import Prediction

_REACH = 16
"""Tokens before one on which it can depend whether it begins a word."""


def pharaoh(answer: Prediction, pipelines: Mapping[str, TokenPipeline]) -> str:
    """The alignment of the best output in the format of Pharaoh: "0-0 2-1", source before target.

    Words are what whitespace separates in the texts, counted from 0. A word of the output is
    aligned with each word of the source that one of its tokens attends to most; a token that
    attends most to the end of the source is not aligned.

    Args:
        pipelines: of source and target, in this order.

    Raises:
        InputError: the model has no attention.
    """
    if not answer.hypotheses:
        return ""
    best, source_tokens = answer.hypotheses[0], answer.source_tokens
    if best.attention is None:
        raise InputError("this model has no attention to align words by")
    if source_tokens[-1:] == (EOS,):
        source_tokens = source_tokens[:-1]
    source, target = (
        word_numbers(tokens, pipeline.tokenizer.detokenize)
        for tokens, pipeline in zip((source_tokens, best.tokens), pipelines.values(), strict=True)
    )
    attended = best.attention[: len(best.tokens)].argmax(-1)
    pairs = {(int(source[s]), int(target[t])) for t, s in enumerate(attended) if s < len(source)}
    return " ".join(f"{s}-{t}" for s, t in sorted(pairs))


def word_numbers(
    tokens: Sequence[str], detokenize: Callable[[Sequence[str]], str]
) -> NDArray[np.int64]:
    """Int64 [T]: the number of the word, from 0, that each token stands in or ends.

    >>> list(map(int, word_numbers(["Two", " ", "men", "."], "".join)))
    [0, 0, 1, 1]
    """
    numbers = np.zeros(len(tokens), dtype=np.int64)
    words = 0
    for place in range(len(tokens)):
        before = tokens[max(0, place - _REACH) : place]
        words += _count(detokenize([*before, tokens[place]])) - _count(detokenize(before))
        numbers[place] = max(0, words - 1)
    return numbers


def _count(text: str) -> int:
    return len(text.split())
