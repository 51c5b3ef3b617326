import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import UnknownNameError
from seqnlp.text import normalize
from seqnlp.text.normalize import capitalize, collapse_whitespace, replace_surrogates, uncapitalize

NAMES = ["lowercase", "nfc", "nfkc", "strip_accents", "collapse_whitespace", "mask_digits"]


@given(st.text())
@pytest.mark.parametrize(
    "name", ["nfc", "nfkc", "collapse_whitespace", "mask_digits", "uncapitalize"]
)
def test_applying_twice_changes_nothing_more(name: str, text: str) -> None:
    once = normalize(text, [name])
    assert normalize(once, [name]) == once


@given(st.text())
def test_strip_accents_leaves_no_nonspacing_mark(text: str) -> None:
    stripped = unicodedata.normalize("NFD", normalize(text, ["strip_accents"]))
    assert not any(unicodedata.category(letter) == "Mn" for letter in stripped)


def test_names_are_applied_in_order() -> None:
    # K with KELVIN SIGN: composed first it is an ordinary K.
    assert normalize("\u212a  9", ["nfkc", "lowercase", "mask_digits"]) == "k  0"
    assert normalize(" A  b\t", ["collapse_whitespace", "lowercase"]) == "a b"
    assert normalize("İ", ["lowercase", "strip_accents"]) == "i"
    assert normalize("unchanged", []) == "unchanged"


def test_digits_of_every_script_are_masked() -> None:
    assert normalize("٣ ९ 7 ½", ["mask_digits"]) == "0 0 0 ½"


def test_whitespace_of_every_kind_collapses() -> None:
    assert collapse_whitespace("\u2003a\u00a0\u2028b\x1c") == "a b"


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no normalizer is named 'lowercas'; did you mean"):
        normalize("text", ["lowercas"])


@given(st.text(st.characters(exclude_categories=[])))
def test_replaced_surrogates_can_be_encoded(text: str) -> None:
    replaced = replace_surrogates(text)
    replaced.encode("utf-8")
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert replaced == text


@pytest.mark.parametrize(
    ("text", "lowered"),
    [
        ("Two Men.", "two Men."),
        ("A man", "a man"),
        ("I see; I'm here", "i see; I'm here"),
        ("O'Brien lacht", "o'Brien lacht"),
        ("„Élan“, sagt sie", "„élan“, sagt sie"),
        ("E\u0301lan", "e\u0301lan"),
        ('  [("Ja")]', '  [("ja")]'),
        ("¿Qué?", "¿qué?"),
        ("T-Shirt", "t-Shirt"),
        ("ǅep", "ǆep"),
    ],
)
def test_the_first_letter_is_lowered_and_raised_again(text: str, lowered: str) -> None:
    assert uncapitalize(text) == lowered
    assert capitalize(lowered) == text


@pytest.mark.parametrize(
    "text", ["NASA flies", "McDonald", "B2B", "3 Men", "ẞ", "İzmir", "ǄEP", "\u212aelvin", "", "...", "中文"]
)  # fmt: skip
def test_what_would_not_come_back_is_left_as_it_is(text: str) -> None:
    assert uncapitalize(text) == text


@pytest.mark.parametrize("text", ["iPhone", "ßen", "3 men", "ŉ", "", "...", "中文", "Two"])
def test_what_has_no_capital_is_not_raised(text: str) -> None:
    assert capitalize(text) == text


@given(st.text() | st.text("aBß'. 1ǆ"))
def test_whatever_was_lowered_comes_back(text: str) -> None:
    lowered, raised = uncapitalize(text), capitalize(text)
    assert uncapitalize(lowered) == lowered
    assert capitalize(raised) == raised
    assert lowered == text or capitalize(lowered) == text
    assert raised == text or uncapitalize(raised) == text
