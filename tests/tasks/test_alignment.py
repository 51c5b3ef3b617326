"""Words paired by attention."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import InputError
from seqnlp.tasks.alignment import align_words, word_numbers, words_of
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.text.subwords import BPETokenizer, UnigramTokenizer, WordPieceTokenizer
from seqnlp.text.tokenizers import CharTokenizer, RegexTokenizer, Tokenizer, WhitespaceTokenizer
from seqnlp.types import Hypothesis, Prediction

texts = st.text(st.sampled_from("ab .,(n't\n"), max_size=60)


@pytest.mark.parametrize("tokenizer", [WhitespaceTokenizer(), RegexTokenizer(), CharTokenizer()])
@given(text=texts)
def test_words_are_counted_as_in_the_whole_text(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.tokenize(text)
    expected = [
        max(0, len(tokenizer.detokenize(tokens[: end + 1]).split()) - 1)
        for end in range(len(tokens))
    ]
    assert word_numbers(tokens, tokenizer.detokenize).tolist() == expected


def answer(
    source: list[str], target: list[str], attended: list[int] | None
) -> tuple[Prediction, dict[str, TokenPipeline]]:
    weights = None
    if attended is not None:
        weights = np.full((len(target) + 1, len(source)), 0.1, dtype=np.float32)
        weights[range(len(attended)), attended] = 0.5
    best = Hypothesis(text="", score=0, log_probability=0, tokens=tuple(target), attention=weights)
    pipeline = TokenPipeline(normalizers=(), tokenizer=CharTokenizer())
    found = Prediction(output="", hypotheses=(best,), source_tokens=tuple(source))
    return found, {"source": pipeline, "target": pipeline}


def test_pairs_are_of_words_and_without_ends() -> None:
    source, target = ["zwei ", "Män", "ner", ".", "<eos>"], ["two", " me", "n", "."]
    assert align_words(*answer(source, target, [0, 1, 2, 4, 4])) == ((0, 0), (1, 1))
    assert align_words(*answer(source, target, [1, 0, 0, 3, 4])) == ((0, 1), (1, 0), (1, 1))


def test_the_parts_of_a_long_text_are_one() -> None:
    source = ["a ", "b", "<eos>", " c", "<eos>"]
    assert align_words(*answer(source, ["A ", "C"], [0, 3, 4])) == ((0, 0), (2, 1))


def test_nothing_is_aligned_with_nothing() -> None:
    _, pipelines = answer(["a"], ["b"], None)
    assert align_words(Prediction(output=""), pipelines) == ()
    with pytest.raises(InputError, match="^no attention to align words by is known of a text"):
        align_words(*answer(["a"], ["b"], None))


@pytest.mark.parametrize(
    "tokenizer",
    [
        BPETokenizer(size=258, min_count=9),
        UnigramTokenizer(size=20, min_count=1),
        WordPieceTokenizer(size=60, min_count=2),
        CharTokenizer(),
    ],
    ids=lambda tokenizer: tokenizer.family,
)
def test_a_piece_is_a_copy_of_its_word(tokenizer: Tokenizer) -> None:
    trained = tokenizer.train(['Kä ät te ma al lt . " Ka äm tl'] * 2)
    tokens = trained.tokenize('"Käte malt."')
    copied = words_of(tokens, trained)
    assert [word for word, _ in groupby(copied)][-5:] == ['"', "Käte", "malt", ".", '"']
    assert copied.count("Käte") > 1


def test_a_token_that_is_a_word_is_itself() -> None:
    tokens = ["is", "n't", "it", "?"]
    assert words_of(tokens, RegexTokenizer()) == tokens
