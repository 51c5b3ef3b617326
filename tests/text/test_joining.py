import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.text import Tokenizer, parse_tokenizer
from seqnlp.text.joining import join_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("He paid $ 5 ( or more ) , did n't he ?", "He paid $5 (or more), didn't he?"),
        ("Two men , a dog and a child ' s hat .", "Two men, a dog and a child's hat."),
        ('the " thumbs up " sign says " Go " .', 'the "thumbs up" sign says "Go".'),
        ("the girls ' team sees a ' stop ' sign", "the girls' team sees a 'stop' sign"),
        ("they do n’t , it ’s Ann ’ s", "they don’t, it’s Ann’s"),
        ("at 6 o ' clock in the ' 90s , ' em too", "at 6 o'clock in the '90s, 'em too"),
        ("a blue - green t - shirt and / or a hat", "a blue-green t-shirt and/or a hat"),
        ("it rains - - a lot", "it rains -- a lot"),
        ("no . . . yes ? !", "no... yes?!"),
        ("the U . S . A . Army and A . Smith", "the U.S.A. Army and A. Smith"),
        ("at 10 : 45 , 3 : two", "at 10:45, 3: two"),
        ("in 1914 – 1918 – then", "in 1914–1918 – then"),
        ("# 9 is [ 50 % ] of it :)", "#9 is [50%] of it :)"),
        ("„ Ja ! “ , sagt „ Sie ” - Peter", "„Ja!“, sagt „Sie”-Peter"),
        ("» Ja « , ‚ nein ‘ , « doch » , “ so ”", "»Ja«, ‚nein‘, «doch», “so”"),
        ("Nord - und Ostsee , Ein- und - ausgang", "Nord- und Ostsee, Ein- und -ausgang"),
        ("Andreas ' Hund , Ines ' Hut", "Andreas' Hund, Ines' Hut"),
        ("l ' homme d ' été , aujourd ' hui", "l'homme d'été, aujourd'hui"),
        (", a", ", a"),
        ("- Yes . - No", "- Yes. - No"),
        ("", ""),
    ],
)
def test_spaces_of_english_german_and_french(words: str, text: str) -> None:
    assert join_words(words.split()) == text


def test_french_has_spaces_of_its_own() -> None:
    text = "« Qui ? » dit-il ; « l'eau, ici ! »"
    words = text.replace("-", " - ").replace("'", " ' ").replace(",", " ,").split()
    assert join_words(words, language="fr") == text
    split_by_spacy = text.replace("'", "' ").replace("-", " - ").replace(",", " ,").split()
    assert join_words(split_by_spacy, language="fr") == text
    assert join_words(words) == "«Qui?» dit-il; «l'eau, ici!»"


def test_a_hyphen_between_words_that_keep_theirs_is_a_dash() -> None:
    text = "the sun-kissed beach - two men , Nord - und Ostsee and / or"
    dashed, joined = (join_words(text.split(), hyphens=hyphens) for hyphens in (False, True))
    assert dashed == "the sun-kissed beach - two men, Nord- und Ostsee and/or"
    assert joined == "the sun-kissed beach-two men, Nord- und Ostsee and/or"


@given(st.lists(st.text(min_size=1) | st.sampled_from(list("\"'’“„«»-/.!?&–"))))
def test_joining_adds_and_loses_nothing_but_spaces(words: list[str]) -> None:
    assert join_words(words).replace(" ", "") == "".join(words).replace(" ", "")


@pytest.mark.parametrize("mark", ["'", '"', "“", "-", "«", "."])
def test_very_many_marks(mark: str) -> None:
    words = ["a", mark] * 50_000
    assert join_words(words).replace(" ", "") == "".join(words)


TEXTS = {
    "en": """A woman in a blue-green t-shirt holds a sign that says "Stop!"
She doesn't see the dog's ball (it's red), does she?
Three men's hats cost $5 each; the girls' team paid 9.50.
At 10:45 the middle-aged couple, who've come early, can't wait...""",
    "de": """Ein Mann im T-Shirt sagt: „Das ist schön!“, und geht.
Die Nord- und Ostsee (beide kalt) sind blau-grün; oder?
Um 10:45 Uhr kommt Andreas' Hund, 3.000 Leute sehen zu.
Er liest das Wort "Halt" auf einem "Stop"-Schild.""",
}


@pytest.mark.parametrize(
    ("spec", "language"),
    [
        *((spec, code) for spec in ("regex", "nltk:tweet", "nltk:toktok") for code in ("en", "de")),
        *((f"spacy:{code}", code) for code in ("en", "de")),
    ],
)  # fmt: skip
def test_tokenizers_give_texts_back(spec: str, language: str) -> None:
    tokenizer = parse_tokenizer(spec, {})
    for text in TEXTS[language].splitlines():
        assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


def _share_given_back(tokenizer: Tokenizer, texts: list[str]) -> float:
    back = [tokenizer.detokenize(tokenizer.tokenize(text)) for text in texts]
    return sum(a == " ".join(b.split()) for a, b in zip(back, texts, strict=True)) / len(texts)


@pytest.mark.data
@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("spec", ["regex", "spacy", "nltk:treebank", "nltk:tweet", "nltk:toktok"])
def test_nearly_every_line_of_a_corpus_comes_back(spec: str, language: str) -> None:
    path = Path(os.environ["SEQNLP_DATA"].split(os.pathsep)[0]) / "multi30k" / f"val.{language}"
    name = f"spacy:{language}" if spec == "spacy" else spec
    texts = path.read_text(encoding="utf-8").splitlines()
    assert _share_given_back(parse_tokenizer(name, {}), texts) >= 0.99
