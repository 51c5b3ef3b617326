"""Draws the clauses of the bundled parallel corpus: what happens, and how something is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from nouns import ADJECTIVES, ANIMALS, MOODS, PEOPLE, PLACES, SURFACES, THINGS, Noun
from phrases import NAMES, OWNERS, Phrases, adjectives_of, objects_of, pronoun_of
from trees import Clause, Missing, Nominal, Phrase, Pronoun, Said, Time
from verbs import BRIEF, LASTING, STATES, UNWILLED, VERBS, Verb

TIMES = [
    Time(english="yesterday", german="gestern", tenses=("past",)),
    Time(english="last week", german="letzte Woche", tenses=("past",)),
    Time(english="last summer", german="letzten Sommer", tenses=("past",)),
    Time(english="this morning", german="heute Morgen", tenses=("past",)),
    Time(english="today", german="heute", tenses=("past", "future")),
    Time(english="tomorrow", german="morgen", tenses=("future",)),
    Time(english="next week", german="nächste Woche", tenses=("future",)),
    Time(english="soon", german="bald", tenses=("future",)),
    Time(english="every day", german="jeden Tag", tenses=("present",)),
    Time(english="every week", german="jede Woche", tenses=("present",)),
    Time(english="often", german="oft", tenses=("present",), middle=True),
    Time(english="sometimes", german="manchmal", tenses=("present",), middle=True),
]

FRAMES = {"accusative": 48.0, "dative": 10, "two": 12, "put": 8, "prepositional": 9, "none": 7,
          "place": 3, "motion": 9}  # fmt: skip

TENSES = {"past": 44.0, "future": 13, "present": 9, "now": 8, "modal": 18, "past modal": 8}

MODALS = ("can", "must", "want", "may", "should", "like")
PAST_MODALS = ("can", "must", "want", "may")
UNDENIED = frozenset({"must", "like"})
"""Modal verbs whose denial says something else in the other language."""


class Events(Phrases):
    """Draws clauses."""

    def event(
        self,
        *,
        subject: Nominal | None = None,
        frames: Mapping[str, float] = FRAMES,
        tenses: Mapping[str, float] = TENSES,
        timed: float = 0.4,
        placed: float = 0.15,
        denied: float = 0.0,
        names: frozenset[str] | None = None,
    ) -> Clause:
        """Somebody does something.

        Args:
            timed, placed, denied: how often a time and a place are named, and how often it is
                denied.
            names: of the verbs to choose from.
        """
        while True:
            frame, tense = self.weighed(frames), self.weighed(tenses)
            modal = ""
            if tense.endswith("modal"):
                modal = self.pick(PAST_MODALS if tense == "past modal" else MODALS)
                tense = "past" if tense == "past modal" else "present"
            who = subject
            if who is None:
                beast = frame in ("none", "motion") and not modal and self.chance(0.25)
                who = self.animal() if beast else self.person()
            verbs = [
                verb
                for verb in VERBS
                if verb.frame == frame and (names is None or verb.name in names)
                if _does(verb, who) and _fits(verb, tense, modal)
            ]
            if verbs:
                break
        verb = self.pick(verbs)
        still = verb.name in STATES
        clause = self.complete(Clause(subject=who, verb=verb, tense=tense, modal=modal), placed)
        must = tense == "present" and not modal and not still
        if must or (not still and tense != "now" and self.chance(timed)):
            clause = replace(clause, time=self.time(tense, modal))
        if not must and modal not in UNDENIED and self.chance(denied):
            return deny(clause)
        return clause

    def complete(self, clause: Clause, placed: float) -> Clause:
        """The clause with what its verb takes."""
        verb, who = clause.verb, clause.subject
        if verb is None:
            raise ValueError("a clause without a verb takes nothing")
        changes: dict[str, Any] = {}
        things = objects_of(verb)
        if verb.frame == "two":
            changes["recipient"] = self.somebody(who)
            adjective = 0.1 if isinstance(changes["recipient"], Phrase) else 0.4
            changes["object"] = self.thing(self.pick(things), who, adjective=adjective)
        elif "person" in verb.objects and (not things or self.chance(0.55)):
            changes["object"] = self.somebody(who)
        elif things:
            changes["object"] = self.thing(self.pick(things), who)
        if verb.frame == "put":
            what = changes["object"]
            fits = [place for place in SURFACES if place.noun.english != what.noun.english]
            changes["location"] = self.location(fits, goal=True)
        elif verb.frame == "motion":
            changes["location"] = self.location(self.place_of_event(verb), goal=True)
        elif verb.frame == "place" or (
            self.chance(placed) and _has_room(verb, changes.get("object"))
        ):
            changes["location"] = self.location(PLACES, goal=False)
        return replace(clause, **changes)

    def time(self, tense: str, modal: str = "") -> Time:
        if modal and tense == "present":
            tense = "future"
        return self.pick([time for time in TIMES if tense in time.tenses])

    def state(self, *, tense: str = "") -> Clause:
        """Something is somehow or somewhere."""
        tense = tense or ("present" if self.chance(0.5) else "past")
        kind = self.weighed({"said": 50, "there": 30, "compared": 20})
        if kind == "there":
            return self.being_there(tense)
        nouns = [noun for noun in [*PEOPLE, *ANIMALS, *THINGS] if adjectives_of(noun)]
        noun = self.pick([*nouns, *(place.noun for place in PLACES)])
        subject = self.subject(noun)
        if kind == "said":
            return self.state_of(subject, tense=tense, subject=subject)
        adjective = self.pick([a for a in adjectives_of(noun) if a.english not in MOODS])
        others = [o for o in nouns if o.kinds & adjective.kinds & noun.kinds and o != noun]
        others += [p.noun for p in PLACES if p.noun.kinds & adjective.kinds & noun.kinds != set()]
        other = self.pick([each for each in others if each != noun])
        said = Said(adjective=adjective, than=self.subject(other))
        return Clause(subject=subject, tense=tense, said=said)

    def subject(self, noun: Noun) -> Phrase:
        determiners = {"the": 60.0, "this": 15}
        if "place" not in noun.kinds and "person" not in noun.kinds:
            determiners[self.pick(OWNERS)] = 25
        return self.phrase(noun, determiners, adjective=0.2)

    def state_of(
        self, what: Nominal | None, *, tense: str = "past", subject: Nominal | None = None
    ) -> Clause:
        """How something is, that was named before, by its pronoun."""
        if not isinstance(what, Phrase):
            raise TypeError(f"{what} is not a thing")
        fits = [each for each in adjectives_of(what.noun) if each != what.adjective]
        degree = self.weighed({"": 50, "very": 30, "too": 20})
        adjective = self.pick(fits)
        if degree == "too" and adjective.english in ("happy", "friendly", "famous", "beautiful"):
            degree = "very"
        said = Said(adjective=adjective, degree=degree)
        who = pronoun_of(what) if subject is None else subject
        return Clause(subject=who, tense=tense, said=said)

    def being_there(self, tense: str) -> Clause:
        """Somebody or something is somewhere."""
        if self.chance(0.5):
            who = self.person() if self.chance(0.75) else self.animal()
            return Clause(subject=who, tense=tense, location=self.location(PLACES, goal=False))
        things = [noun for noun in THINGS if noun.kinds & {"laid", "stood"}]
        where = self.location(SURFACES, goal=False)
        return Clause(subject=self.subject(self.pick(things)), tense=tense, location=where)

    def mood(self, tense: str, *words: str) -> Clause:
        """How somebody is for a time."""
        who = self.third_person() if self.chance(0.65) else Pronoun(word=self.pick(OWNERS))
        adjective = self.pick([each for each in ADJECTIVES if each.english in (words or MOODS)])
        degree = "very" if self.chance(0.25) else ""
        return Clause(subject=who, tense=tense, said=Said(adjective=adjective, degree=degree))

    def scene(self) -> Clause:
        """How things were when something happened."""
        kind = self.weighed({"weather": 30, "there": 45, "mood": 25})
        if kind == "weather":
            return Clause(subject=Pronoun(word="it", gender="n"), weather=self.weather())
        return self.being_there("past") if kind == "there" else self.mood("past")

    def weather(self) -> str:
        return self.pick(("rain", "snow"))

    def same_or_other(self, who: Nominal) -> Nominal:
        """The pronoun of somebody named before where it is clear, or somebody else."""
        clear = not (isinstance(who, Phrase) and who.noun.gender == "n" and not who.plural)
        if clear and self.chance(0.6):
            return pronoun_of(who)
        return self.other(who) if self.chance(0.5) else self.relation()

    def other(self, subject: Nominal) -> Nominal:
        """Somebody else than the subject of another clause."""
        options: list[Nominal] = [*NAMES, *(Pronoun(word=word) for word in OWNERS)]
        return self.pick([each for each in options if each != subject])

    def is_thing(self, what: Nominal | None) -> TypeGuard[Phrase]:
        """Whether something can be taken up by `it` or `they`."""
        return isinstance(what, Phrase) and "person" not in what.noun.kinds


def deny(clause: Clause) -> Clause:
    """The clause with not; an indefinite object becomes none."""
    changes: dict[str, Any] = {"negated": True}
    prepositional = clause.verb is not None and clause.verb.frame == "prepositional"
    for role, what in (("recipient", clause.recipient), ("object", clause.object)):
        if isinstance(what, Phrase) and what.determiner in ("a", "two", "three"):
            none = role == "object" and what.determiner == "a" and not prepositional
            changes[role] = replace(what, determiner="no" if none else "the")
    if clause.time is not None and clause.time.english == "soon":
        changes["time"] = None
    if clause.location is not None and clause.object is not None and not clause.location.goal:
        changes["location"] = None
    return replace(clause, **changes)


def _does(verb: Verb, who: Nominal) -> bool:
    animal = isinstance(who, Phrase | Missing) and "animal" in who.noun.kinds
    return not animal or "animal" in verb.subjects


def _fits(verb: Verb, tense: str, modal: str) -> bool:
    """Whether a verb is said in a tense and with a modal verb."""
    if verb.name in UNWILLED and (modal or tense == "future"):
        return False
    if tense == "now":
        return verb.name in LASTING
    return verb.name not in STATES or (tense == "present" and not modal)


def _has_room(verb: Verb, what: object) -> bool:
    """Whether a place may be named beside what the verb has."""
    if verb.frame in ("two", "prepositional") and "with" not in verb.prepositions:
        return False
    if verb.name in BRIEF or verb.name in STATES or verb.name == "follow":
        return False
    return not (isinstance(what, Phrase) and ("place" in what.noun.kinds or what.adjective))
