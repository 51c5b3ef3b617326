import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.errors import UnknownNameError
from seqnlp.text import normalize
from seqnlp.text.normalize import collapse_whitespace, replace_surrogates

NAMES = ["lowercase", "nfc", "nfkc", "strip_accents", "collapse_whitespace", "mask_digits"]


@given(st.text())
@pytest.mark.parametrize("name", ["nfc", "nfkc", "collapse_whitespace", "mask_digits"])
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
