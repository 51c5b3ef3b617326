"""What a sentence of the bundled parallel corpus says, before it is said in a language."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nouns import Adjective, Noun, Place
from verbs import Verb


@dataclass(frozen=True, kw_only=True)
class Pronoun:
    """word: I, you (one person), he, she, it, we, they. gender: of what `it` stands for."""

    word: str
    gender: str = ""


@dataclass(frozen=True, kw_only=True)
class Name:
    """A first name, the same in both languages. gender: m or f."""

    word: str
    gender: str


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """A noun with what stands before it and, as a subject, a relative clause after it.

    determiner: the, this, a (nothing in the plural), no (a, under negation), two, three, or the
    pronoun of an owner.
    """

    noun: Noun
    determiner: str = "the"
    plural: bool = False
    adjective: Adjective | None = None
    relative: Clause | None = None


@dataclass(frozen=True, kw_only=True)
class Both:
    """Two subjects in one."""

    first: Name | Phrase
    second: Name | Phrase


@dataclass(frozen=True, kw_only=True)
class Asked:
    """who or what: the part of a question that is asked for."""

    word: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The place in a relative clause of the noun that it follows."""

    noun: Noun
    plural: bool


Nominal = Pronoun | Name | Phrase | Both | Asked | Missing


@dataclass(frozen=True, kw_only=True)
class Location:
    """A place with its noun phrase: where something is, or (goal) where it goes."""

    place: Place
    phrase: Phrase
    goal: bool = False


@dataclass(frozen=True, kw_only=True)
class Said:
    """degree: very, too, or nothing. than: what it is compared with."""

    adjective: Adjective
    degree: str = ""
    than: Nominal | None = None


@dataclass(frozen=True, kw_only=True)
class Time:
    """An adverb of time. middle: stands before the English verb (often)."""

    english: str
    german: str
    tenses: tuple[str, ...]
    middle: bool = False


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Somebody does or is something.

    verb: None of weather (`weather`) and of being. tense: present, now (is reading), past, future.
    modal: can, must, want, may, should, like. fronted: the time stands first. question: where,
    when, why stand first; `ask` is a question, also without them.
    """

    subject: Nominal
    verb: Verb | None = None
    tense: str = "past"
    modal: str = ""
    object: Nominal | None = None
    recipient: Nominal | None = None
    location: Location | None = None
    said: Said | None = None
    weather: str = ""
    negated: bool = False
    time: Time | None = None
    fronted: bool = False
    ask: bool = False
    question: str = ""

    def without_time(self) -> Clause:
        return replace(self, time=None, fronted=False)


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A main clause, and perhaps another: subordinate after its conjunction, or a second one that
    shares the subject (conjunction and).

    position: what the structure is called. first: the subordinate clause stands first.
    """

    main: Clause
    position: str
    conjunction: str = ""
    second: Clause | None = None
    first: bool = False


def number_of(nominal: Nominal) -> int:
    """Which form of a verb it takes: 0 I, 1 you, 2 he, 3 they."""
    if isinstance(nominal, Pronoun):
        return {"I": 0, "you": 1, "we": 3, "they": 3}.get(nominal.word, 2)
    if isinstance(nominal, Phrase | Missing):
        return 3 if nominal.plural else 2
    return 3 if isinstance(nominal, Both) else 2
