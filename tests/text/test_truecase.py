"""Letter case is given back as sources have it, or as targets of train usually do."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqnlp.text.normalize import normalize
from seqnlp.text.truecase import Truecaser, lowers

NAMES = ("nfc", "lowercase")
PAIRS = [
    ("The gas from Texas.", "Gas from FERC in Texas"),
    ("The iPhone contract.", "Contract for FERC"),
    ("A deal with them.", "New contract on gas"),
]
TEXTS = st.text(
    st.sampled_from("aAbBß ẞİiıΣσςéÉe\u0301ǅǆﬁK.'’s\n!&-9_中Ꭰꭰ"), max_size=24
) | st.text(max_size=12)


def fitted(pairs: list[tuple[str, str]] = PAIRS, names: tuple[str, ...] = NAMES) -> Truecaser:
    return Truecaser.fit(pairs, names)


def written(text: str, source: str = "", truecaser: Truecaser | None = None) -> str:
    [answer] = (truecaser or fitted()).write([text], source)
    return answer


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("a deal with el paso", "We met. El Paso and the DEAL.", "A DEAL with El Paso"),
        # Most often, and first of what is as often.
        ("no ohio", "ohio is OHIO and OHIO", "No OHIO"),
        ("no ohio", "in ohio or OHIO", "No ohio"),
        # The beginning of a sentence or line counts only where there is nothing else.
        ("with care", "Care! Care? With care.", "With care"),
        ("with care", "Now.\nCare", "With Care"),
        ("with care", "Mr. Care said", "With Care"),
        ("for u.s. smith's and smith’s", "U.S. Smith at rest", "For U.S. Smith's and Smith’s"),
        ("don't", "Don and his", "Don't"),
        ("we don't", "Don and his", "We don't"),
        ("the iphone", "An iPhone", "The iPhone"),
        ("iphone again", "An iPhone", "iPhone again"),
        # What is not there is as in train, where a beginning proves little.
        ("no ferc contract", "", "No FERC contract"),
        ("3 men. they run", "", "3 men. They run"),
        ("has KEPT its Case", "kept case", "Has KEPT its Case"),
        ("", "Text", ""),
        (" ...", "Text", " ..."),
    ],
)
def test_words_are_written_as_their_source_has_them_or_train(
    text: str, source: str, expected: str
) -> None:
    assert written(text, source) == expected


def test_the_first_letter_is_as_in_train() -> None:
    small = fitted([("", "re: gas"), ("", "re: FERC"), ("", "The end")])
    assert not small.capital
    assert written("re: ferc", truecaser=small) == "re: FERC"
    assert fitted().capital


def test_train_is_trusted_where_sources_were_wrong() -> None:
    """As in a translation from a language that writes nouns with a capital."""
    pairs = [("Die Hand von Berlin", "the hand of Berlin")] * 3
    truecaser = fitted([*pairs, ("Zwei Arm", "an arm")])
    assert written("my hand, arm in berlin", "Hand und Arm, BERLIN", truecaser) == (
        "my hand, Arm in BERLIN"  # once is no evidence, and in Berlin sources were as right
    )


def test_other_normalizers_hold_for_sources() -> None:
    truecaser = fitted(names=("nfc", "strip_accents", "lowercase", "mask_digits", "uncapitalize"))
    assert truecaser.normalizers == ("nfc", "strip_accents", "mask_digits")
    assert written("a cafe 00a", "The Cafe\u0301 47A", truecaser) == "A Cafe 00A"
    assert written("a café", "The CAFE\u0301", fitted()) == "A CAFÉ"


@pytest.mark.parametrize("names", [NAMES, ("lowercase", "strip_accents"), ("nfkc", "lowercase")])
@given(text=TEXTS, source=TEXTS, pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_nothing_but_case_changes(
    names: tuple[str, ...], text: str, source: str, pairs: list[tuple[str, str]]
) -> None:
    truecaser = fitted(pairs, names)
    for each in (text, normalize(text, names), normalize(source, names)):
        answer = written(each, source, truecaser)
        assert answer.casefold() == each.casefold()
        assert truecaser.write([each, answer], source) == [answer, answer]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_state_is_json_and_comes_back(pairs: list[tuple[str, str]]) -> None:
    truecaser = fitted(pairs)
    assert Truecaser.restore(json.loads(json.dumps(truecaser.state())), NAMES) == truecaser


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"usual": {"a": "A"}}, TypeError, "truecase.usual must be a list of words"),
        ({"usual": ["A", 1]}, TypeError, "truecase.usual must be a list of words"),
        ({"trusted": "abc"}, TypeError, "truecase.trusted must be a list of words"),
        ({"capital": 1}, TypeError, "truecase.capital must be true or false, not 1"),
    ],
)
def test_damaged_states_are_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Truecaser.restore({**fitted().state(), **change}, NAMES)
    with pytest.raises(KeyError):
        Truecaser.restore({}, NAMES)


def test_only_lower_case_has_something_to_restore() -> None:
    assert lowers(["nfc", "lowercase", "collapse_whitespace"])
    assert not lowers(["nfc", "uncapitalize", "strip_accents"])
    assert not lowers([])


@pytest.mark.parametrize("unit", ["Word ", "a.b.", "!", "'s", "x!' ", "é", ".…", "\n"])
def test_time_is_linear_in_long_sources(unit: str) -> None:
    """Quadratic work would be seen here."""
    generator = random.Random(0)
    words = [generator.choice(["Enron", "gas", "Gas"]) for _ in range(1000)]
    source = unit * 50_000 + "-" + " ".join(words)
    assert written("-enron", source) == "-Enron"
    assert written(source.lower(), source).casefold() == source.casefold()
