"""Which words of an output come from which words of its source, by attention."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seqnlp.errors import InputError
from seqnlp.tasks.decoding import align
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.tokenizers import Tokenizer
from seqnlp.text.vocabulary import EOS
from seqnlp.types import Prediction

_REACH = 16
"""Tokens before one on which it can depend whether it begins a word."""
_MARKS = re.compile(r"^\W+|\W+$")


def align_words(
    answer: Prediction, pipelines: Mapping[str, TokenPipeline]
) -> tuple[tuple[int, int], ...]:
    """Pairs (source word, output word) of the best output, counted from 0, in order.

    Words are what whitespace separates in the texts. An output word is paired with each source
    word that one of its tokens attends to most, and with none where that is the end of the source.

    Args:
        pipelines: of source and target, in this order.

    Raises:
        InputError: the output has no attention, see `Hypothesis`.
    """
    if not answer.hypotheses:
        return ()
    best = answer.hypotheses[0]
    if best.attention is None:
        raise InputError(
            "no attention to align words by is known of a text that the model has not written, or "
            "has read in very many parts, nor with a decoder that gives no weights"
        )
    # A text that was read in parts has an end after each.
    inside = [place for place, token in enumerate(answer.source_tokens) if token != EOS]
    texts = [answer.source_tokens[place] for place in inside], best.tokens
    source, target = (
        word_numbers(tokens, pipeline.tokenizer.detokenize)
        for tokens, pipeline in zip(texts, pipelines.values(), strict=True)
    )
    word = dict(zip(inside, source.tolist(), strict=True))
    pairs = align(best.attention, len(answer.source_tokens))
    return tuple(sorted({(word[s], int(target[t])) for s, t in pairs if s in word}))


def word_numbers(
    tokens: Sequence[str], detokenize: Callable[[Sequence[str]], str]
) -> NDArray[np.int64]:
    """Int64 [T]: the number of the word, from 0, that each token stands in or ends.

    >>> word_numbers(["Two", " ", "men", "."], "".join).tolist()
    [0, 0, 1, 1]
    """
    numbers = np.zeros(len(tokens), dtype=np.int64)
    words = 0
    for place in range(len(tokens)):
        before = tokens[max(0, place - _REACH) : place]
        words += _count(detokenize([*before, tokens[place]])) - _count(detokenize(before))
        numbers[place] = max(0, words - 1)
    return numbers


def words_of(tokens: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """What each token is a copy of in a text: the whole word that a piece stands in.

    Marks around a word are no part of it; of a tokenizer that makes words, a token is its own.
    """
    if not (tokenizer.needs_training or tokenizer.lossless):
        return list(tokens)
    numbers = word_numbers(tokens, tokenizer.detokenize).tolist()
    pieces: dict[int, list[str]] = {}
    for number, token in zip(numbers, tokens, strict=True):
        pieces.setdefault(number, []).append(token)
    words = {number: tokenizer.detokenize(own).strip() for number, own in pieces.items()}
    bare = {number: _MARKS.sub("", word) or word for number, word in words.items()}
    found = []
    for number, token in zip(numbers, tokens, strict=True):
        alone = tokenizer.detokenize([token]).strip()
        # A part of a letter's bytes is no letter, but no mark either.
        mark = bool(alone) and "\ufffd" not in alone and not _MARKS.sub("", alone)
        found.append(alone if mark else bare[number])
    return found


def _count(text: str) -> int:
    return len(text.split())
