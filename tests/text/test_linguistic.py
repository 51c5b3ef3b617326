import re
import sys
from pathlib import Path

import nltk.data
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import TreebankWordTokenizer, TweetTokenizer
from nltk.tokenize.toktok import ToktokTokenizer
from nltk.tokenize.treebank import TreebankWordDetokenizer

from seqnlp.errors import InputError, MissingPackageError, UnknownNameError
from seqnlp.text import NltkTokenizer, SpacyTokenizer

TEXTS = [
    "It isn't bad, is it? (Mr. Smith paid $9.50!)",
    'He said "no way" -- twice... :-) #fun @you http://a.example/b?c=d',
    "  two  spaces\n\nand lines\u00a0 ",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("code", ["en", "de", "xx"])
def test_spacy_tokens_are_spacys(code: str, text: str) -> None:
    expected = [token.text for token in spacy.blank(code)(text) if not token.is_space]
    assert SpacyTokenizer(code).tokenize(text) == expected


ENGLISH = SpacyTokenizer()


@given(st.text())
@settings(max_examples=50)
def test_spacy_loses_whitespace_only(text: str) -> None:
    assert "".join("".join(ENGLISH.tokenize(text)).split()) == "".join(text.split())


def test_spacy_detokenizes_readably() -> None:
    text = "It isn't bad, is it? (No.)"
    assert ENGLISH.detokenize(ENGLISH.tokenize(text)) == text


def test_spacy_takes_lone_surrogates() -> None:
    assert ENGLISH.tokenize("a \ud83d b") == ["a", "\ufffd", "b"]


def test_spacy_language_that_does_not_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"no spaCy language is named 'eng1'; .*known: .*en"):
        SpacyTokenizer("eng1")


def test_spacy_language_whose_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvi", None)
    with pytest.raises(MissingPackageError, match=r"spacy:vi cannot be used: .*[Pp]yvi"):
        SpacyTokenizer("vi")


ORACLES = {
    "treebank": TreebankWordTokenizer().tokenize,
    "tweet": TweetTokenizer().tokenize,
    "toktok": ToktokTokenizer().tokenize,
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", list(ORACLES))
def test_nltk_tokens_are_nltks(name: str, text: str) -> None:
    assert NltkTokenizer(name).tokenize(text) == ORACLES[name](text)


def test_treebank_detokenizes_by_nltks_rules() -> None:
    tokenizer = NltkTokenizer("treebank")
    tokens = tokenizer.tokenize('He said "no", did n\'t he?')
    assert tokenizer.detokenize(tokens) == TreebankWordDetokenizer().detokenize(tokens)
    assert tokenizer.detokenize(tokens) == 'He said "no", didn\'t he?'


@pytest.mark.parametrize("name", ["tweet", "toktok"])
def test_others_detokenize_readably(name: str) -> None:
    tokenizer = NltkTokenizer(name)
    assert tokenizer.detokenize(tokenizer.tokenize("Good, is it?")) == "Good, is it?"


def test_word_without_its_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    message = "nltk:word needs NLTK's data 'punkt_tab', which is not installed and is never "
    command = "run: python -m nltk.downloader punkt_tab"
    with pytest.raises(InputError, match=f"^{message}.*{command}$"):
        NltkTokenizer("word")


def test_word_with_its_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Punkt's tables may be empty: then a sentence ends at a full stop before a capital."""
    folder = tmp_path / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).write_text("")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    tokenizer = NltkTokenizer("word")
    assert tokenizer.tokenize("One day. Two.") == ["One", "day", ".", "Two", "."]
    assert tokenizer.detokenize(["One", "day", "."]) == "One day."


def test_unknown_nltk_name() -> None:
    message = "no NLTK tokenizer is named 'punkt'; known: toktok, treebank, tweet, word"
    with pytest.raises(UnknownNameError, match=re.escape(message)):
        NltkTokenizer("punkt")


@pytest.mark.parametrize("name", ["spacy", "tweet"])
def test_words_of_enormous_length_are_cut(name: str) -> None:
    tokenizer = SpacyTokenizer() if name == "spacy" else NltkTokenizer(name)
    for text in ("!?" * 10_000, "1." * 10_000 + "a"):
        tokens = tokenizer.tokenize(text)
        assert set("".join(tokens)) == set(text)
        assert max(map(len, tokens)) <= 2000


@pytest.mark.parametrize("made", [SpacyTokenizer("de"), NltkTokenizer("tweet")])
def test_state_makes_an_equal_one(made: SpacyTokenizer | NltkTokenizer) -> None:
    assert type(made).from_state(made.state()) == made
