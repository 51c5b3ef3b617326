"""Words of an output while it is written: where they begin, and whether the last one is whole."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from seqnlp.tasks.alignment import word_numbers
from seqnlp.text.tokenizers import Tokenizer
from seqnlp.text.vocabulary import UNK, Vocabulary

Marks: TypeAlias = tuple[list[bool], list[bool]]

_LONGEST = 40
"""Letters of a last word that may be dropped: more are of a script that puts no spaces."""


def word_marks(tokens: Sequence[str], tokenizer: Tokenizer) -> Marks:
    """Which tokens begin a word after another one, and which join the next to their own.

    The tokenizer is asked how it writes each between two words.

    >>> from seqnlp.text.tokenizers import RegexTokenizer
    >>> word_marks(["dog", ",", "-", "("], RegexTokenizer())
    ([True, False, False, True], [False, False, True, True])
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


@lru_cache(maxsize=4)
def vocabulary_marks(vocabulary: Vocabulary, outputs: int, tokenizer: Tokenizer) -> Marks:
    """`word_marks` of the first `outputs` ids; of special ones `<unk>` alone is a word."""
    first = len(vocabulary.specials)
    begins, joins = word_marks(vocabulary.tokens[: outputs - first], tokenizer)
    return [name == UNK for name in vocabulary.specials] + begins, [False] * first + joins


def whole_words(tokens: Sequence[str], following: str, tokenizer: Tokenizer) -> int:
    """How many of the tokens are left without a last word that was to go on.

    All of them where it is whole, is the only one, or no word between spaces at all.

    Args:
        tokens: of an output that was cut.
        following: the token that would have come next.

    >>> from seqnlp.text.tokenizers import CharTokenizer
    >>> whole_words("two me", "n", CharTokenizer()), whole_words("two me", " ", CharTokenizer())
    (4, 6)
    """
    text, longer = (tokenizer.detokenize(each) for each in (tokens, [*tokens, following]))
    last = text.split()[-1:]
    goes_on = longer.startswith(text) and longer[len(text) :][:1].isalnum()
    if not last or not (goes_on and text[-1:].isalnum()) or len(last[0]) > _LONGEST:
        return len(tokens)
    numbers = word_numbers(tokens, tokenizer.detokenize)
    kept = int((numbers < numbers[-1]).sum())
    return kept if tokenizer.detokenize(tokens[:kept]).strip() else len(tokens)


def first_words(text: str, count: int) -> str:
    """The text up to the end of its word of that number."""
    words = text.split(maxsplit=count)
    return text if len(words) <= count else text[: len(text) - len(words[-1])].rstrip()
