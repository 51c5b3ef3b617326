"""Words while they are written, by every kind of tokenizer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.tasks.decoding import WordMarks
from seqnlp.tasks.decoding.words import WordLimit
from seqnlp.tasks.written_words import first_words, vocabulary_marks, whole_words, word_marks
from seqnlp.text.subwords import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from seqnlp.text.tokenizers import (
    CharTokenizer,
    RegexTokenizer,
    Tokenizer,
    WhitespaceTokenizer,
)
from seqnlp.text.vocabulary import BOS, EOS, PAD, UNK, Vocabulary

TEXTS = [
    "the cat will see the house of the men, as they said.",
    "Ann's dog isn't in the blue-green house (yet), is it?",
    "they meet at 10:45 and pay $9.50 for all",
]
TRAINED: dict[str, Tokenizer] = {
    "regex": RegexTokenizer(),
    "whitespace": WhitespaceTokenizer(),
    "char": CharTokenizer(),
    "bpe": BPETokenizer(size=300).train(TEXTS * 3),
    "unigram": UnigramTokenizer(size=80).train(TEXTS * 3),
    "wordpiece": WordPieceTokenizer(size=90).train(TEXTS * 3),
}
tokenizers = pytest.mark.parametrize("tokenizer", TRAINED.values(), ids=TRAINED)


def _count(tokens: list[str], tokenizer: Tokenizer) -> int:
    """Words by the marks, as a search counts them."""
    types = sorted(set(tokens))
    marks = WordMarks.of(*word_marks(types, tokenizer), torch.device("cpu"))
    limit = WordLimit.of(marks, 1, [[types.index(token) for token in tokens]], [()])
    return int(limit.most)


@tokenizers
@pytest.mark.parametrize("text", TEXTS)
def test_marks_count_the_words_of_a_text(text: str, tokenizer: Tokenizer) -> None:
    tokens = tokenizer.tokenize(text)
    assert _count(tokens, tokenizer) == len(tokenizer.detokenize(tokens).split())


@tokenizers
@given(
    st.lists(
        st.sampled_from(["the", "cat", "(", ")", ",", ".", "'s", "10", "$"]), min_size=1, max_size=8
    )
)
def test_marks_count_no_word_less_than_there_are_letters_apart(
    tokenizer: Tokenizer, words: list[str]
) -> None:
    tokens = tokenizer.tokenize(" ".join(words))
    text = tokenizer.detokenize(tokens)
    assert _count(tokens, tokenizer) >= sum(any(map(str.isalnum, word)) for word in text.split())


def test_special_tokens_begin_no_word_but_the_unknown_one() -> None:
    vocabulary = Vocabulary(("dog", ",", "cat"), (PAD, UNK, BOS, EOS))
    begins, joins = vocabulary_marks(vocabulary, 6, RegexTokenizer())
    assert begins == [False, True, False, False, True, False]
    assert joins == [False] * 6


@pytest.mark.parametrize(
    ("name", "text", "following", "expected"),
    [
        ("char", "the cat wil", "l", "the cat "),
        ("char", "the cat wil", ".", "the cat wil"),
        ("char", "the cat wil", " ", "the cat wil"),
        ("char", "the cat ", "w", "the cat "),
        ("char", "wil", "l", "wil"),  # better than nothing
        ("char", "", "l", ""),
        ("char", "the " + "字" * 41, "字", "the " + "字" * 41),
        ("regex", "the cat", "sat", "the cat"),
        ("regex", "the cat", ".", "the cat"),
        ("regex", "it is", "n't", "it"),
        ("whitespace", "the cat", "sat", "the cat"),
    ],
)
def test_a_word_that_would_go_on_is_dropped(
    name: str, text: str, following: str, expected: str
) -> None:
    tokenizer = TRAINED[name]
    tokens = tokenizer.tokenize(text)
    kept = tokens[: whole_words(tokens, following, tokenizer)]
    assert tokenizer.detokenize(kept) == expected


@pytest.mark.parametrize("name", ["bpe", "unigram", "wordpiece"])
def test_a_text_cut_anywhere_ends_at_a_whole_word(name: str) -> None:
    tokenizer = TRAINED[name]
    for text in TEXTS:
        tokens = tokenizer.tokenize(text)
        whole = tokenizer.detokenize(tokens).split()
        for size in range(1, len(tokens)):
            kept = tokens[: whole_words(tokens[:size], tokens[size], tokenizer)]
            found = tokenizer.detokenize(kept).split()
            assert found
            last = len(found) - 1
            assert found[:last] == whole[:last]
            behind = whole[last].removeprefix(found[last])
            assert len(found) == 1 or not (found[last][-1].isalnum() and behind[:1].isalnum())


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("a b  c", 2, "a b"),
        ("a b  c", 3, "a b  c"),
        ("a b ", 2, "a b "),
        ("", 1, ""),
        ("ab", 1, "ab"),
    ],
)
def test_the_first_words(text: str, count: int, expected: str) -> None:
    assert first_words(text, count) == expected
