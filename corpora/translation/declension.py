"""German nouns with articles and adjectives, and pronouns, in three cases."""

from __future__ import annotations

from nouns import Noun
from trees import Phrase, Pronoun

CASES = {"nom": 0, "acc": 1, "dat": 2}

PRONOUNS = {  # nominative, accusative, dative
    "I": ("ich", "mich", "mir"),
    "you": ("du", "dich", "dir"),
    "he": ("er", "ihn", "ihm"),
    "she": ("sie", "sie", "ihr"),
    "we": ("wir", "uns", "uns"),
    "they": ("sie", "sie", "ihnen"),
    "m": ("er", "ihn", "ihm"),
    "f": ("sie", "sie", "ihr"),
    "n": ("es", "es", "ihm"),
}

DEFINITE = {  # der and the relative pronoun, but for the dative plural
    "m": ("der", "den", "dem"),
    "f": ("die", "die", "der"),
    "n": ("das", "das", "dem"),
    "p": ("die", "die", "den"),
}
ENDINGS = {  # of dieser
    "m": ("er", "en", "em"),
    "f": ("e", "e", "er"),
    "n": ("es", "es", "em"),
    "p": ("e", "e", "en"),
}
OWNERS = {"I": "mein", "you": "dein", "he": "sein", "she": "ihr", "we": "unser", "they": "ihr"}
NUMBERS = {"two": "zwei", "three": "drei"}


def personal_pronoun(pronoun: Pronoun, case: str) -> str:
    return PRONOUNS[pronoun.gender or pronoun.word][CASES[case]]


def relative_pronoun(noun: Noun, plural: bool, case: str) -> str:
    """The article, but for one form."""
    if plural and case == "dat":
        return "denen"
    return DEFINITE["p" if plural else noun.gender][CASES[case]]


def noun_phrase(phrase: Phrase, case: str) -> str:
    """Article, adjective and noun."""
    words = [article(phrase, case)]
    if phrase.adjective is not None:
        words.append(phrase.adjective.stem + adjective_ending(phrase, case))
    words.append(noun_form(phrase.noun, phrase.plural, case))
    return " ".join(word for word in words if word)


def article(phrase: Phrase, case: str) -> str:
    gender = "p" if phrase.plural else phrase.noun.gender
    number = CASES[case]
    if phrase.determiner == "the":
        return DEFINITE[gender][number]
    if phrase.determiner == "this":
        return f"dies{ENDINGS[gender][number]}"
    if phrase.determiner in NUMBERS:
        return NUMBERS[phrase.determiner]
    if phrase.determiner == "a" and phrase.plural:
        return ""
    stem = {"a": "ein", "no": "kein"}.get(phrase.determiner) or OWNERS[phrase.determiner]
    return stem + ("" if _is_bare(gender, case) else ENDINGS[gender][number])


def adjective_ending(phrase: Phrase, case: str) -> str:
    """Weak after der and dieser, mixed after ein, kein and mein, strong after nothing."""
    gender = "p" if phrase.plural else phrase.noun.gender
    if phrase.plural and (phrase.determiner == "a" or phrase.determiner in NUMBERS):
        return ENDINGS["p"][CASES[case]]
    if phrase.determiner not in ("the", "this") and not phrase.plural and _is_bare(gender, case):
        return ENDINGS[gender][0]
    singular = case == "nom" or (case == "acc" and gender in "fn")
    return "e" if singular and gender != "p" else "en"


def _is_bare(gender: str, case: str) -> bool:
    """Whether ein has no ending."""
    return (gender == "m" and case == "nom") or (gender == "n" and case != "dat")


def noun_form(noun: Noun, plural: bool, case: str) -> str:
    if not plural:
        return noun.german if case == "nom" else noun.oblique
    ends = case != "dat" or noun.german_plural[-1] in "ns"
    return noun.german_plural if ends else f"{noun.german_plural}n"
