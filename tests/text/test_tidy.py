"""Quotes and brackets that have no partner, and those that have one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.text.tidy import balance

PAIRS = {"(": ")", "[": "]", "{": "}", '"': '"', "“": "”", "„": "“", "«": "»"}
LETTERS = st.text("ab 1.,", min_size=0, max_size=4)


def _balanced(text: str) -> bool:
    """Counted plainly: brackets are nested, and straight quotes are even."""
    open_ = ""
    for mark in text:
        if mark in "([{":
            open_ += mark
        elif mark in ")]}":
            if PAIRS.get(open_[-1:]) != mark:
                return False
            open_ = open_[:-1]
    curly = text.count("“") + text.count("„") == text.count("”") + text.count("“")
    return not open_ and text.count('"') % 2 == 0 and (curly or "“" in text or "”" in text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("no marks at all", "no marks at all"),
        ('the "big five" meet', 'the "big five" meet'),
        ('the "big five meet', "the big five meet"),
        ('"', ""),
        ("(first) second) (third", "(first) second third"),
        ('a "b (c" d)', 'a "b c" d'),
        ("a ( b", "a b"),
        ("] ready [", "ready"),
        ("“quoted” and ”broken", "“quoted” and broken"),
        ("„deutsch“ und „offen", "„deutsch“ und offen"),
        ("»so« oder «so» oder « so »", "»so« oder «so» oder « so »"),
        ("«perdu", "perdu"),
        ("don't touch Ann's or the boys' ball", "don't touch Ann's or the boys' ball"),
        ("the '90s, 'til dawn, rock ’n’ roll", "the '90s, 'til dawn, rock ’n’ roll"),
        ("goin' home", "goin' home"),
        ("a 'plan' of 'ours", "a 'plan' of ours"),
        ("the plan' of ‘theirs’ and ‘yours", "the plan of ‘theirs’ and yours"),
        ("a ' b", "a b"),
        ("l'homme d’eau", "l'homme d’eau"),
        ("f(x[1]) = {2}", "f(x[1]) = {2}"),
        ("(" * 3 + "deep" + ")" * 5, "(((deep)))"),
    ],
)
def test_marks_without_a_partner_are_left_out(text: str, expected: str) -> None:
    assert balance(text) == expected


@given(st.text("ab '’\"“”„«»‘‚()[]{}.1s", max_size=14))
def test_what_is_left_is_balanced_and_stays(text: str) -> None:
    found = balance(text)
    assert _balanced(found), found
    assert balance(found) == found
    # Nothing but marks and spaces was taken.
    words = str.maketrans("", "", " '’\"“”„«»‘‚()[]{}")
    assert found.translate(words) == text.translate(words)


@given(
    st.recursive(
        LETTERS,
        lambda inner: st.builds(
            lambda mark, text, behind: f"{mark}{text}{PAIRS[mark]}{behind}",
            st.sampled_from("([{“«"),
            inner,
            LETTERS,
        ),
        max_leaves=6,
    )
)
def test_what_is_balanced_is_not_touched(text: str) -> None:
    assert balance(text) == text


def test_a_long_text_takes_no_long_time() -> None:
    text = 'a "b" (c) [d] ' * 20_000
    assert balance(text) == text
    assert balance('("' * 100_000) == '"' * 100_000
