"""Draws what the sentences of the bundled parallel corpus say, so that they make everyday sense."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from events import TIMES, Events
from nouns import PEOPLE
from phrases import pronoun_of
from trees import Asked, Clause, Missing, Nominal, Phrase, Pronoun, Sentence
from verbs import (
    CHANGES,
    DEEDS,
    GAINS,
    LOSSES,
    MOMENTS,
    PLEASANT,
    REPORTS,
    UNPLEASANT,
    VERBS,
    Verb,
)


class Stories(Events):
    """Draws sentences."""

    def sentence(self) -> Sentence:
        makers: dict[str, tuple[float, Callable[[], Sentence]]] = {
            "statement": (20, self.statement),
            "fronted": (14, self.fronted),
            "question": (13, self.question),
            "state": (8, self.said_of_something),
            "because": (11, self.because),
            "that": (8, self.that),
            "when": (6, self.when),
            "although": (5, self.although),
            "if": (4, self.condition),
            "before": (4, self.before),
            "relative": (9, self.relative),
            "and": (6, self.coordination),
        }
        return makers[self.weighed({name: made[0] for name, made in makers.items()})][1]()

    def statement(self) -> Sentence:
        return Sentence(main=self.event(denied=0.2), position="statement")

    def fronted(self) -> Sentence:
        clause = self.event(denied=0.15, timed=1)
        while clause.time is None or clause.time.english == "often":
            clause = self.event(denied=0.15, timed=1)
        time = replace(clause.time, middle=False)
        return Sentence(main=replace(clause, time=time, fronted=True), position="fronted")

    def question(self) -> Sentence:
        kind = self.weighed({"yes": 40, "who": 14, "whom": 20, "where": 8, "when": 10, "why": 8})
        tenses = {"past": 50.0, "future": 15, "modal": 12, "now": 8, "past modal": 5}
        if kind in ("when", "why"):
            tenses = {"past": 70, "future": 30}
        elif kind == "where":
            tenses = {"past": 1}
        clause = self.asking(tenses)
        if kind == "who":
            clause = replace(clause, subject=Asked(word="who"))
        elif kind == "whom":
            while not isinstance(clause.object, Phrase) or not _has_plain_object(clause):
                clause = self.asking(tenses)
            word = "who" if "person" in clause.object.noun.kinds else "what"
            clause = replace(clause, object=Asked(word=word))
        elif kind == "where":
            while clause.location is not None:
                clause = self.asking(tenses)
            clause = replace(clause, question="where")
        elif kind == "when":
            clause = replace(clause.without_time(), question="when")
        elif kind == "why":
            clause = replace(clause, question="why")
        return Sentence(main=clause, position="question")

    def asking(self, tenses: Mapping[str, float]) -> Clause:
        """An event that is asked for, not of oneself."""
        clause = self.event(tenses=tenses)
        who = Pronoun(word="you") if clause.subject == Pronoun(word="I") else clause.subject
        return replace(clause, subject=who, ask=True)

    def said_of_something(self) -> Sentence:
        clause = self.state()
        if self.chance(0.15):
            return Sentence(main=replace(clause, ask=True), position="question")
        if self.chance(0.15) and clause.said is not None and clause.said.than is None:
            clause = replace(clause, negated=True, said=replace(clause.said, degree=""))
        return Sentence(main=clause, position="state")

    def because(self) -> Sentence:
        """A mood and its cause, a deed and a mood or a wish, or a purchase and how it was."""
        kind = self.weighed({"mood": 45, "deed": 25, "wish": 15, "thing": 15})
        if kind == "mood":
            mood, names = ("happy", PLEASANT) if self.chance(0.5) else ("sad", UNPLEASANT)
            main = self.mood("present" if self.chance(0.3) else "past", mood)
            cause = self.event(subject=self.same_or_other(main.subject), names=names, timed=0.15,
                               tenses={"past": 75, "past modal": 25},
                               placed=0)  # fmt: skip
            return self.join(main, "because", cause, first=0.15)
        person = self.third_person() if self.chance(0.6) else Pronoun(word=self.pick(("I", "we")))
        past = {"past": 1.0}
        if kind == "deed":
            main = self.event(subject=person, tenses=past, timed=0.3, names=DEEDS)
            cause = replace(self.mood("past"), subject=pronoun_of(person))
        elif kind == "wish":
            main = self.event(subject=person, tenses=past, timed=0.3, placed=0,
                              frames={"motion": 60, "accusative": 40})  # fmt: skip
            cause = self.event(subject=pronoun_of(person), tenses={"past modal": 1}, timed=0,
                               placed=0)  # fmt: skip
        else:
            main = self.change(person)
            while not self.is_thing(main.object):
                main = self.change(person)
            cause = self.state_of(main.object)
        first = 0.4 if kind == "deed" and not isinstance(person, Pronoun) else 0
        if first and self.chance(first):
            cause = replace(cause, subject=person)
            return Sentence(main=replace(main.without_time(), subject=pronoun_of(person)),
                            position="inverted", conjunction="because", second=cause,
                            first=True)  # fmt: skip
        return self.join(main, "because", cause, first=0)

    def change(self, person: Nominal) -> Clause:
        return self.event(subject=person, frames={"accusative": 1}, tenses={"past": 1}, timed=0.2,
                          placed=0, names=CHANGES)  # fmt: skip

    def that(self) -> Sentence:
        verb = self.pick(REPORTS)
        tense = "past" if verb.name == "say" and self.chance(0.5) else "present"
        main = Clause(subject=self.person(), verb=verb, tense=tense)
        tenses = {"past": 1.0} if tense == "past" else {"past": 45, "future": 30, "modal": 25}
        if self.chance(0.2):
            second = self.state(tense=tense)
        else:
            second = self.event(tenses=tenses, denied=0.15, placed=0, timed=0.3)
        return self.join(main, "that", second, first=0)

    def when(self) -> Sentence:
        return self.two_events("when", self.scene() if self.chance(0.5) else None)

    def although(self) -> Sentence:
        person = self.third_person() if self.chance(0.6) else Pronoun(word=self.pick(("I", "we")))
        kind = self.weighed({"mood": 50, "weather": 25, "event": 25})
        if kind == "mood":
            against = replace(self.mood("past"), subject=pronoun_of(person))
        elif kind == "weather":
            against = Clause(subject=Pronoun(word="it", gender="n"), weather=self.weather())
        else:
            against = self.event(subject=pronoun_of(person), timed=0, placed=0, denied=0.2,
                                 tenses={"past": 60, "past modal": 40})  # fmt: skip
        main = self.event(subject=person, tenses={"past": 1}, timed=0.2, placed=0.1)
        return self.join(main, "although", against, first=0.4 if kind == "weather" else 0)

    def condition(self) -> Sentence:
        if self.chance(0.5):
            time = self.pick([time for time in TIMES if "future" in time.tenses][:2])
            condition = Clause(subject=Pronoun(word="it", gender="n"), tense="present",
                               weather=self.weather(), time=time)  # fmt: skip
        else:
            condition = self.mood("present")
        main = self.event(tenses={"future": 70, "modal": 30}, timed=0, placed=0.1, denied=0.1)
        return self.join(main, "if", condition, first=0.6)

    def before(self) -> Sentence:
        return self.two_events("before", None)

    def two_events(self, conjunction: str, main: Clause | None) -> Sentence:
        """Something happens when or before something else does; often the same person acts."""
        person = self.third_person() if self.chance(0.7) else self.person()
        past = {"past": 1.0}
        ahead = self.chance(0.45)
        other = person if main is not None else self.same_or_other(person)
        first, second = (person, other) if main is None and not ahead else (other, person)
        if main is None:
            main = self.event(subject=first, tenses=past, timed=0, placed=0)
        begun = self.event(subject=second, tenses=past, timed=0, placed=0, names=MOMENTS)
        position = "inverted" if ahead else "statement"
        return Sentence(main=main, position=position, conjunction=conjunction, second=begun,
                        first=ahead)  # fmt: skip

    def relative(self) -> Sentence:
        if self.chance(0.55):
            noun = self.pick(PEOPLE)
            plural = self.chance(0.2)
            missing = Missing(noun=noun, plural=plural)
            clause = self.event(subject=missing, tenses={"past": 70, "modal": 15, "past modal": 15},
                                timed=0.15, placed=0)  # fmt: skip
        else:
            clause = self.event(tenses={"past": 75, "modal": 25}, timed=0.15, placed=0,
                                frames={"accusative": 70, "dative": 30})  # fmt: skip
            while not isinstance(clause.object, Phrase):
                clause = self.event(tenses={"past": 75, "modal": 25}, timed=0.15, placed=0,
                                    frames={"accusative": 70, "dative": 30})  # fmt: skip
            noun, plural = clause.object.noun, clause.object.plural
            clause = replace(clause, object=Missing(noun=noun, plural=plural))
        phrase = Phrase(noun=noun, plural=plural, relative=clause)
        if "person" in noun.kinds and self.chance(0.3):
            verb = next(verb for verb in VERBS if verb.name == "know")
            main = Clause(subject=self.other(clause.subject), verb=verb, tense="present",
                          object=phrase)  # fmt: skip
        else:
            tense = "present" if self.chance(0.5) else "past"
            main = self.state_of(phrase, tense=tense, subject=phrase)
        return Sentence(main=main, position="relative")

    def coordination(self) -> Sentence:
        fits: list[Verb] = []
        while not fits:
            main = self.event(
                tenses={"past": 1}, frames={"accusative": 1}, timed=0.3, placed=0, names=GAINS
            )
            if self.is_thing(main.object):
                thing = main.object
                fits = [v for v in VERBS if v.name in LOSSES and v.objects & thing.noun.kinds]
                fits = [verb for verb in fits if verb != main.verb]
        then = Clause(subject=main.subject, verb=self.pick(fits), object=pronoun_of(thing))
        return Sentence(main=main, position="and", conjunction="and", second=then)

    def join(self, main: Clause, conjunction: str, second: Clause, *, first: float) -> Sentence:
        ahead = self.chance(first)
        position = "inverted" if ahead else "statement"
        return Sentence(main=main, position=position, conjunction=conjunction, second=second,
                        first=ahead)  # fmt: skip


def _has_plain_object(clause: Clause) -> bool:
    """Whether the object has no preposition, and no goal beside it."""
    return clause.verb is not None and clause.verb.frame in ("accusative", "dative", "two")
