"""Words of a text while it is written: where they begin, and whether the last one is whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from seqnlp_runtime.tokenizers import Tokenizer

_LONGEST = 40
"""Letters of a last word that may be dropped: more are of a script that puts no spaces."""
_REACH = 16
"""Tokens before one on which it can depend whether it begins a word."""
_MARKS = re.compile(r"^\W+|\W+$")


def word_marks(tokens: Sequence[str], tokenizer: Tokenizer) -> tuple[list[bool], list[bool]]:
    """Which tokens begin a word after another one, and which join the next to their own.

    The tokenizer is asked how it writes each between two words.
    """
    before, behind = tokenizer.tokenize("a"), tokenizer.tokenize("a b")
    behind = behind[len(before) :] if behind[: len(before)] == before else tokenizer.tokenize("b")
    begins, joins = [], []
    for token in tokens:
        left = tokenizer.detokenize([*before, token])
        whole = tokenizer.detokenize([*before, token, *behind])
        begins.append(any(map(str.isspace, left[1:])))
        joins.append(not whole.removesuffix("b")[-1:].isspace())
    return begins, joins


def whole_words(tokens: Sequence[str], following: str, tokenizer: Tokenizer) -> int:
    """How many of the tokens are left without a last word that was to go on.

    All of them where it is whole, is the only one, or no word between spaces at all.

    Args:
        tokens: of an output that was cut.
        following: the token that would have come next.
    """
    text, longer = (tokenizer.detokenize(each) for each in (tokens, [*tokens, following]))
    last = text.split()[-1:]
    goes_on = longer.startswith(text) and longer[len(text) :][:1].isalnum()
    if not last or not (goes_on and text[-1:].isalnum()) or len(last[0]) > _LONGEST:
        return len(tokens)
    numbers = word_numbers(tokens, tokenizer.detokenize)
    kept = sum(number < numbers[-1] for number in numbers)
    return kept if tokenizer.detokenize(tokens[:kept]).strip() else len(tokens)


def first_words(text: str, count: int) -> str:
    """The text up to the end of its word of that number."""
    words = text.split(maxsplit=count)
    return text if len(words) <= count else text[: len(text) - len(words[-1])].rstrip()


def word_numbers(tokens: Sequence[str], detokenize: Callable[[Sequence[str]], str]) -> list[int]:
    """The number of the word, from 0, that each token stands in or ends.

    >>> word_numbers(["Two", " ", "men", "."], "".join)
    [0, 0, 1, 1]
    """
    numbers: list[int] = []
    words = 0
    for place in range(len(tokens)):
        before = tokens[max(0, place - _REACH) : place]
        words += len(detokenize([*before, tokens[place]]).split())
        words -= len(detokenize(before).split())
        numbers.append(max(0, words - 1))
    return numbers


def whole_words_of(tokens: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """What each piece of a word is a copy of in a text: the whole word.

    Marks around a word are no part of it.
    """
    numbers = word_numbers(tokens, tokenizer.detokenize)
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
