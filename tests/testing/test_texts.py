"""Our tokenizers and normalizers keep their contracts; broken ones are caught."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import pytest
import regex

from seqnlp import registry
from seqnlp.testing import Report, check_normalizer, check_tokenizer
from seqnlp.text import Tokenizer
from tests.testing.test_networks import names


@pytest.mark.parametrize("name", names("normalizers"))
def test_normalizers(name: str) -> None:
    assert check_normalizer(name).ok


@pytest.mark.parametrize("name", names("tokenizers"))
def test_tokenizers(name: str) -> None:
    report = check_tokenizer(name)
    trained = {each.check: each for each in report.findings}["training leaves it as it was"]
    needs = registry.tokenizers.get(name).needs_training
    assert trained.outcome == ("passed" if needs else "skipped")


@pytest.mark.parametrize("name", ["tweet"])
def test_nltk_tokenizers(name: str) -> None:
    assert check_tokenizer("nltk", name=name).ok


class Words(Tokenizer):
    """Words at white space."""

    family = "words-of-a-test"

    def tokenize(self, text: str) -> list[str]:
        return text.split()


class EmptyTokens(Words):
    """Splits at each space."""

    def tokenize(self, text: str) -> list[str]:
        return text.split(" ")


class Tuples(Words):
    """Gives a tuple."""

    def tokenize(self, text: str) -> list[str]:
        return tuple(text.split())  # type: ignore[return-value]


class Counting(Words):
    """Numbers the texts that it has seen."""

    def __init__(self) -> None:
        self.seen = itertools.count()

    def tokenize(self, text: str) -> list[str]:
        return [*text.split(), str(next(self.seen))] if text else []


class Learning(Words):
    """Learns into itself."""

    needs_training = True

    def __init__(self, *, known: tuple[str, ...] = ()) -> None:
        self.known = known

    def train(self, texts: Iterable[str]) -> Self:
        self.known = tuple(sorted({word for text in texts for word in text.split()}))
        return self

    def state(self) -> dict[str, Any]:
        return {"known": list(self.known)}


class Unsaved(Words):
    """Has a state that it does not give."""

    def __init__(self, *, marks: str = "") -> None:
        self.marks = marks

    def tokenize(self, text: str) -> list[str]:
        return text.replace(self.marks, f" {self.marks} ").split() if self.marks else text.split()


class Unwritable(Words):
    """Has a state that is no JSON."""

    def state(self) -> dict[str, Any]:
        return {"words": {"a", "b"}}


class Lossy(Words):
    """Promises too much."""

    lossless = True


class Unnamed(Words):
    """Reads a library of which it does not tell."""

    def tokenize(self, text: str) -> list[str]:
        return regex.findall(r"\w+|\S", text)


class ShortInventory(Words):
    """Names few of its tokens."""

    def inventory(self) -> tuple[str, ...]:
        return ("The", "quick", "brown", "fox", "jumps", "over", "the", "lazy")


class Untyped(Words):
    """An option of any type."""

    def __init__(self, marks="") -> None:  # type: ignore[no-untyped-def]
        self.marks = marks


class Joined(Words):
    """Puts tokens together as a list."""

    def detokenize(self, tokens: Sequence[str]) -> str:
        return list(tokens)  # type: ignore[return-value]


class NoFamily(Tokenizer):
    """Cannot be found again."""

    def tokenize(self, text: str) -> list[str]:
        return text.split()


class Reset(Words):
    """Loads another than it has saved."""

    def __init__(self, *, lower: bool = True) -> None:
        self.lower = lower

    def state(self) -> dict[str, Any]:
        return {"lower": self.lower}

    def tokenize(self, text: str) -> list[str]:
        return text.lower().split() if self.lower else text.split()

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        return cls(lower=not state["lower"])


TOKENIZERS = {
    EmptyTokens: ("every text has tokens that are texts", "leave empty ones out"),
    Tuples: ("every text has tokens that are texts", "return list[str]"),
    Counting: ("a text always has the same tokens", "nothing counted"),
    Learning: ("training leaves it as it was", "let train return another"),
    Unwritable: ("saved and loaded it is the same", "keep strings, numbers, lists and dicts"),
    Lossy: ("tokens can be put together", "leave lossless = False"),
    Unnamed: ("its libraries are named", 'set libraries = ("regex",)'),
    ShortInventory: ("its inventory has its tokens", "list in it every token"),
    Untyped: ("options are typed", "annotate it"),
    Joined: ("tokens can be put together", "return a str"),
    NoFamily: ("is a tokenizer", "set family ="),
    Reset: ("saved and loaded it is the same", "put in state() all that tokens depend on"),
}


def failed(report: Report) -> dict[str, str]:
    return {each.check: each.remedy for each in report.failed}


def test_a_plain_tokenizer_passes() -> None:
    assert check_tokenizer(Words).ok


@pytest.mark.parametrize("fault", TOKENIZERS, ids=lambda fault: fault.__name__)
def test_a_broken_tokenizer_is_caught_by_its_check(fault: type[Tokenizer]) -> None:
    check, remedy = TOKENIZERS[fault]
    report = check_tokenizer.examine(fault)
    assert remedy in failed(report).get(check, ""), report.lines()


def test_an_option_that_is_not_saved_is_missed() -> None:
    report = check_tokenizer.examine(Unsaved, marks=".")
    assert "put in state()" in failed(report)["saved and loaded it is the same"]


def upper(text: str) -> str:
    """All capitals."""
    return text.upper()


def doubled(text: str) -> str:
    """Each text twice."""
    return text + text


def nothing(text: str) -> str:
    """Changes a text and gives nothing."""
    text.strip()
    return None  # type: ignore[return-value]


def with_options(text: str, strength: int) -> str:
    """Needs to be told more."""
    return text * strength


def fragile(text: str) -> str:
    """Reads the first letter of each text."""
    return text[0].lower() + text[1:]


class AsAClass:
    """A class where a function is called."""

    def __call__(self, text: str) -> str:
        return text


SEEN: list[str] = []


def counting(text: str) -> str:
    """Knows how many texts it has seen."""
    SEEN.append(text)
    return f"{text} {len(SEEN)}"


NORMALIZERS: dict[Callable[..., str], tuple[str, str]] = {
    nothing: ("every text gives a text", "return the changed text"),
    with_options: ("is a function of one text", "write def my_normalizer"),
    fragile: ("every text gives a text", "the line named"),
    AsAClass: ("is a function of one text", "register a function"),  # type: ignore[dict-item]
    counting: ("a text always gives the same", "let the result depend on the text alone"),
}


def test_a_plain_normalizer_passes_and_one_that_is_not_idempotent_is_remarked() -> None:
    assert check_normalizer(upper).ok
    report = check_normalizer(doubled, only="a text always gives the same")
    assert report.findings[0].what.startswith("applied twice it changes")


@pytest.mark.parametrize("fault", NORMALIZERS, ids=lambda fault: fault.__name__)
def test_a_broken_normalizer_is_caught_by_its_check(fault: Callable[..., str]) -> None:
    check, remedy = NORMALIZERS[fault]
    report = check_normalizer.examine(fault)
    assert remedy in failed(report).get(check, ""), report.lines()
