"""Draws the nominals of the bundled parallel corpus: people, things, places, their adjectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from nouns import ADJECTIVES, ANIMALS, FAMILY, PEOPLE, PLACES, THINGS, Adjective, Noun, Place
from trees import Both, Location, Name, Nominal, Phrase, Pronoun
from verbs import Verb

T = TypeVar("T")

NAMES = [
    *(Name(word=word, gender="m") for word in ("Peter", "Paul", "Max", "Jonas", "Tom", "Felix")),
    *(Name(word=word, gender="f") for word in ("Anna", "Maria", "Lena", "Clara", "Emma", "Julia")),
]
OWNERS = ("I", "you", "he", "she", "we", "they")
BY_GENDER = {"m": "he", "f": "she"}
OWNED_PLACES = frozenset({"kitchen", "room", "garden", "house", "office"})


class Phrases:
    """Draws from one seeded stream; `Random.random` alone, whose sequence no version changes."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.random.random() * len(options))]

    def weighed(self, weights: Mapping[str, float]) -> str:
        lot = self.random.random() * sum(weights.values())
        for name, weight in weights.items():
            lot -= weight
            if lot < 0:
                return name
        return name

    def person(self) -> Nominal:
        """Somebody who does something."""
        kind = self.weighed({"name": 26, "pronoun": 32, "family": 16, "noun": 22, "both": 4})
        if kind == "name":
            return self.pick(NAMES)
        if kind == "pronoun":
            return Pronoun(word=self.pick(OWNERS))
        if kind == "family":
            return self.relation()
        if kind == "noun":
            return self.phrase(self.pick(PEOPLE), {"the": 80, "this": 10, "a": 10})
        first = self.pick(NAMES)
        if self.chance(0.5):
            return Both(first=first, second=self.relation(BY_GENDER[first.gender], plain=True))
        return Both(first=first, second=self.pick([name for name in NAMES if name != first]))

    def third_person(self) -> Name | Phrase:
        """Somebody whose German pronoun has the gender that one expects."""
        if self.chance(0.5):
            return self.pick(NAMES)
        nouns = [noun for noun in [*PEOPLE, *FAMILY] if noun.gender != "n"]
        noun = self.pick(nouns)
        if noun in FAMILY:
            return self.phrase(noun, {self.pick(OWNERS): 1}, plural=0, adjective=0.1)
        return self.phrase(noun, {"the": 1}, plural=0.15)

    def relation(self, owner: str | None = None, *, plain: bool = False) -> Phrase:
        adjective = 0 if plain else 0.15
        owner, noun = owner or self.pick(OWNERS), self.pick(FAMILY)
        plural = 0 if noun.english in ("mother", "father") else 0.15
        return self.phrase(noun, {owner: 1}, plural=plural, adjective=adjective)

    def animal(self) -> Phrase:
        return self.phrase(self.pick(ANIMALS), {"the": 70, self.pick(OWNERS): 30})

    def somebody(self, subject: Nominal) -> Nominal:
        """Somebody to whom something is done, not the subject itself."""
        kind = self.weighed({"name": 20, "pronoun": 25, "family": 25, "noun": 30})
        if kind == "name":
            return self.pick([name for name in NAMES if name != subject])
        if kind == "pronoun":
            # Not of the subject's own person, which would be a reflexive.
            same = {"I": "I we", "we": "I we you", "you": "you we"}
            taken = same.get(subject.word, "") if isinstance(subject, Pronoun) else ""
            if not taken:
                taken = "he she they"
            return Pronoun(word=self.pick([word for word in OWNERS if word not in taken.split()]))
        if kind == "family":
            return self.relation(owner_of(subject))
        determiners = {"the": 60.0, "a": 25, "this": 8, "two": 4, "three": 3}
        return self.phrase(self.pick(PEOPLE), determiners, plural=0.1)

    def thing(self, noun: Noun, subject: Nominal, *, adjective: float = 0.45) -> Phrase:
        """Something that the subject does something with, often its own."""
        owner = owner_of(subject)
        if owner is None or self.chance(0.3):
            owner = self.pick(OWNERS)
        determiners = {"the": 36, "a": 28, owner: 22, "this": 7, "two": 4, "three": 3}
        if "place" in noun.kinds:
            determiners = {"the": 60, "this": 10, "a": 10}
            if noun.english in OWNED_PLACES:
                determiners[owner] = 20
        return self.phrase(noun, determiners, adjective=adjective)

    def location(self, places: Sequence[Place], *, goal: bool) -> Location:
        place = self.pick(places)
        determiners: dict[str, float] = {"the": 80, "this": 6, "a": 6}
        if place.noun.english in OWNED_PLACES:
            determiners[self.pick(OWNERS)] = 25
        phrase = self.phrase(place.noun, determiners, plural=0, adjective=0.2)
        return Location(place=place, phrase=phrase, goal=goal)

    def phrase(
        self,
        noun: Noun,
        determiners: Mapping[str, float],
        *,
        plural: float = 0.16,
        adjective: float = 0.3,
    ) -> Phrase:
        determiner = self.weighed(determiners)
        few = 0.3 if determiner == "a" and "person" in noun.kinds else 1
        many = determiner in ("two", "three") or self.chance(plural * few)
        fits = adjectives_before(noun)
        chosen = self.pick(fits) if fits and self.chance(adjective) else None
        return Phrase(noun=noun, determiner=determiner, plural=many, adjective=chosen)

    def place_of_event(self, verb: Verb) -> list[Place]:
        """Where a verb's subject may go or be."""
        if verb.english.base == "drive":
            near = OWNED_PLACES - {"office"} | {"forest"}
            return [place for place in PLACES if place.noun.english not in near]
        return PLACES


def owner_of(subject: Nominal) -> str | None:
    """The pronoun of the owner of what belongs to the subject, where it is beyond doubt."""
    if isinstance(subject, Pronoun) and subject.word != "it":
        return subject.word
    if isinstance(subject, Name):
        return BY_GENDER[subject.gender]
    return "they" if isinstance(subject, Both) else None


def pronoun_of(nominal: Nominal) -> Pronoun:
    """The pronoun that takes up a nominal."""
    if isinstance(nominal, Pronoun):
        return nominal
    if isinstance(nominal, Name):
        return Pronoun(word=BY_GENDER[nominal.gender])
    if isinstance(nominal, Phrase) and not nominal.plural:
        if "person" in nominal.noun.kinds:
            return Pronoun(word=BY_GENDER[nominal.noun.gender])
        return Pronoun(word="it", gender=nominal.noun.gender)
    return Pronoun(word="they")


@cache
def objects_of(verb: Verb) -> tuple[Noun, ...]:
    """The nouns that are things and fit a verb."""
    nouns = [*THINGS, *ANIMALS, *(place.noun for place in PLACES)]
    return tuple(noun for noun in nouns if noun.kinds & verb.objects)


@cache
def adjectives_before(noun: Noun) -> tuple[Adjective, ...]:
    """What can stand before a noun."""
    return tuple(each for each in ADJECTIVES if each.kinds & noun.kinds)


@cache
def adjectives_of(noun: Noun) -> tuple[Adjective, ...]:
    """What can be said of something."""
    return tuple(each for each in adjectives_before(noun) if each.said)
