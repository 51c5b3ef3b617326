import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from seqnlp.errors import InputError, SettingsError, UnknownNameError
from seqnlp.text import (
    CharTokenizer,
    RegexTokenizer,
    SpacyTokenizer,
    Tokenizer,
    WhitespaceTokenizer,
    parse_tokenizer,
)

WORDS = "do n't It 's 3 . , ( ) $ can't ' n é - / \" „ “ : und l s U"
ENGLISH = st.lists(st.sampled_from(WORDS.split())).map(" ".join)


@given(st.text(st.characters(exclude_categories=[])))
def test_characters_come_back(text: str) -> None:
    tokenizer = CharTokenizer()
    assert tokenizer.lossless
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@given(st.text())
def test_whitespace_comes_back_with_single_spaces(text: str) -> None:
    tokenizer = WhitespaceTokenizer()
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == " ".join(text.split())


@given(st.text() | ENGLISH)
def test_regex_loses_whitespace_only(text: str) -> None:
    assert "".join(RegexTokenizer().tokenize(text)) == "".join(text.split())


@given(st.text() | ENGLISH)
@example("don n't")
@example("1 / 2 - 3 ' t n ' t l ' s o ' n't")
@example(". . . ( ' s ) 3 . 5 n't 's")
def test_regex_splits_its_own_text_the_same(text: str) -> None:
    tokenizer = RegexTokenizer()
    tokens = tokenizer.tokenize(text)
    assert tokenizer.tokenize(tokenizer.detokenize(tokens)) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("I don't, you can’t!", ["I", "do", "n't", ",", "you", "ca", "n’t", "!"]),
        ("they've I'm we're", ["they", "'ve", "I", "'m", "we", "'re"]),
        ("she'd it'll", ["she", "'d", "it", "'ll"]),
        ("do n't , it 's", ["do", "n't", ",", "it", "'s"]),
        ("'tis o'clock", ["'", "tis", "o", "'", "clock"]),
        ("1,000.50 at 10:45 on 9/11.", ["1,000.50", "at", "10:45", "on", "9/11", "."]),
        ("the 1990s, 3d", ["the", "1990s", ",", "3d"]),
        ("ISN'T", ["IS", "N'T"]),
        ("well-made...", ["well", "-", "made", ".", ".", "."]),
        ("cafe\u0301 हिन्दी", ["cafe\u0301", "हिन्दी"]),
        ("", []),
        (" \n\t", []),
    ],
)
def test_regex_splits(text: str, tokens: list[str]) -> None:
    assert RegexTokenizer().tokenize(text) == tokens


def test_regex_with_groups_takes_whole_matches() -> None:
    assert RegexTokenizer(pattern=r"(a)(b)?|c").tokenize("ab a c") == ["ab", "a", "c"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "pattern: not a regular expression: missing ), unterminated subpattern"),
        ("a*", "pattern: 'a*' matches the empty string"),
    ],
)
def test_bad_patterns(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        RegexTokenizer(pattern=pattern)


@pytest.mark.parametrize("text", ["a" * 10**6, "!" * 10**5, "1." * 10**5 + "a", "n't" * 10**5])
def test_very_long_texts_are_split(text: str) -> None:
    assert "".join(RegexTokenizer().tokenize(text)) == text


def test_a_recipe_makes_each_kind() -> None:
    assert parse_tokenizer("regex", {}) == RegexTokenizer()
    assert parse_tokenizer("regex", {"pattern": r"\w+"}) == RegexTokenizer(pattern=r"\w+")
    assert parse_tokenizer("whitespace", {}) == WhitespaceTokenizer()
    assert parse_tokenizer("spacy:de", {}) == SpacyTokenizer("de")
    assert parse_tokenizer("spacy", {}) == SpacyTokenizer("en")
    assert parse_tokenizer("nltk:tweet", {}).state() == {"name": "tweet"}
    assert parse_tokenizer("bpe", {"size": 300}).state() == {
        "size": 300,
        "min_count": 2,
        "model": None,
    }


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("regx", {}, "no tokenizer is named 'regx'; did you mean 'regex'?"),
        ("regex:en", {}, "text.tokenizer: 'regex' takes no argument, found 'regex:en'"),
        ("spacy:", {}, "text.tokenizer: 'spacy:' has nothing after the colon"),
        ("bpe", {"sizes": 3}, "text.tokenizer_options: no key 'sizes'; did you mean 'size'?"),
        ("bpe", {"size": 3}, "text.tokenizer_options: size = 3: a bpe tokenizer needs 257"),
        ("bpe", {"size": "many"}, "text.tokenizer_options.size: Input should be a valid integer"),
        ("bpe", {"min_count": 0}, "text.tokenizer_options: min_count = 0: expected 1 or more"),
        ("char", {"size": 3}, "text.tokenizer_options: no key 'size'; none is known"),
        ("regex", {"pattern": "("}, "text.tokenizer_options: pattern: not a regular expression"),
        ("nltk:treebnk", {}, "no NLTK tokenizer is named 'treebnk'; did you mean 'treebank'?"),
        ("spacy:ern", {}, "no spaCy language is named 'ern'; did you mean 'e"),
    ],
)
def test_bad_recipes(spec: str, options: dict[str, object], message: str) -> None:
    with pytest.raises((SettingsError, UnknownNameError), match=re.escape(message)):
        parse_tokenizer(spec, options)


def test_equality_is_of_class_and_state() -> None:
    same = {RegexTokenizer(), RegexTokenizer()}
    assert len(same) == 1
    assert RegexTokenizer() != RegexTokenizer(pattern="a")
    assert CharTokenizer() != WhitespaceTokenizer()
    assert CharTokenizer() != "char"


def test_nothing_to_train_returns_itself() -> None:
    tokenizer: Tokenizer = RegexTokenizer()
    assert not tokenizer.needs_training
    assert tokenizer.train(["a"]) is tokenizer
