"""Meaning into English."""

from __future__ import annotations

from trees import (
    Asked,
    Both,
    Clause,
    Location,
    Missing,
    Name,
    Nominal,
    Phrase,
    Pronoun,
    Said,
    Sentence,
    number_of,
)

BE = {"present": ("am", "are", "is", "are"), "past": ("was", "were", "was", "were")}
DO = {"present": ("do", "do", "does", "do"), "past": ("did", "did", "did", "did")}

OBJECTS = {"I": "me", "you": "you", "he": "him", "she": "her", "it": "it", "we": "us",
           "they": "them"}  # fmt: skip
OWNERS = {"I": "my", "you": "your", "he": "his", "she": "her", "we": "our", "they": "their"}

MODALS = {  # the words before the infinitive, by tense; those that begin with a form of be or do
    # are asked and denied as it is
    ("can", "present"): "can",
    ("can", "past"): "could",
    ("should", "present"): "should",
    ("like", "present"): "would like to",
    ("must", "present"): "must",
    ("must", "past"): "had to",
}
WEATHER = {"rain": ("rains", "rained"), "snow": ("snows", "snowed")}
SEPARATED = {"on", "off", "up", "away"}
"""Particles that an object pronoun stands before: turn it on, but look for it."""


def sentence(meaning: Sentence) -> str:
    """The sentence with its punctuation, the first letter a capital."""
    mark = "?" if meaning.main.ask else "."
    text = main_clause(meaning.main)
    if meaning.second is not None:
        if meaning.conjunction == "and":
            text = f"{text} and {shared(meaning.second)}"
        elif meaning.first:
            text = f"{meaning.conjunction} {statement(meaning.second)}, {text}"
        else:
            comma = "," if meaning.conjunction == "although" else ""
            text = f"{text}{comma} {meaning.conjunction} {statement(meaning.second)}"
    return text[0].upper() + text[1:] + mark


def main_clause(clause: Clause) -> str:
    return question(clause) if clause.ask else statement(clause)


def shared(clause: Clause) -> str:
    """A clause without its subject, which it has from the one before."""
    return " ".join(verbal(clause))


def statement(clause: Clause) -> str:
    subject = "it" if clause.weather else nominal(clause.subject)
    words = [subject, *verbal(clause)]
    if clause.fronted and clause.time is not None:
        words.insert(0, clause.time.english)
    return " ".join(words)


def question(clause: Clause) -> str:
    """The first auxiliary before the subject, unless the subject is what is asked for."""
    if isinstance(clause.subject, Asked):
        return " ".join([clause.subject.word, *verbal(clause)])
    helper, rest = auxiliary(clause)
    words = [clause.question] if clause.question else []
    if isinstance(clause.object, Asked):
        words = [clause.object.word]
    return " ".join([*words, helper, nominal(clause.subject), *rest, *after(clause)])


def verbal(clause: Clause) -> list[str]:
    """The verb and all that follows it."""
    if clause.weather:
        words = [WEATHER[clause.weather][clause.tense == "past"]]
        return [*words, clause.time.english] if clause.time is not None else words
    form, verb = number_of(clause.subject), clause.verb
    often = clause.time.english if clause.time is not None and clause.time.middle else ""
    if clause.negated or clause.modal or verb is None or clause.tense in ("future", "now"):
        helper, rest = auxiliary(clause)
        if clause.negated:
            helper = "cannot" if helper == "can" else f"{helper} not"
        words = [helper, often, *rest]
    elif clause.tense == "past":
        words = [often, verb.english.past]
    else:
        words = [often, verb.english.third if form == 2 else verb.english.base]
    return [word for word in [*words, *after(clause)] if word]


def auxiliary(clause: Clause) -> tuple[str, list[str]]:
    """What is asked and denied with, and the verbs that follow it."""
    form, verb = number_of(clause.subject), clause.verb
    base = "be" if verb is None else verb.english.base
    if clause.modal in ("want", "may"):
        if clause.modal == "may":
            return BE[clause.tense][form], ["allowed to", base]
        if clause.ask or clause.negated:
            return DO[clause.tense][form], ["want to", base]
        wants = "wanted" if clause.tense == "past" else ("wants" if form == 2 else "want")
        return wants, ["to", base]
    if clause.modal:
        helper, _, rest = MODALS[clause.modal, clause.tense].partition(" ")
        return helper, [rest, base] if rest else [base]
    if clause.tense == "future":
        return "will", [base]
    if clause.tense == "now" and verb is not None:
        return BE["present"][form], [verb.english.gerund]
    if verb is None:
        return BE[clause.tense][form], []
    return DO[clause.tense][form], [base]


def after(clause: Clause) -> list[str]:
    """What follows the verb: its particle, objects, the place, the time."""
    verb, words = clause.verb, []
    if clause.said is not None:
        words.append(said(clause.said))
    if verb is not None:
        words += [object_of(clause.recipient), particle_and_object(clause)]
    if clause.location is not None:
        words.append(location(clause.location))
    if clause.time is not None and not clause.fronted and not clause.time.middle:
        words.append(clause.time.english)
    return [word for word in words if word]


def particle_and_object(clause: Clause) -> str:
    verb, what = clause.verb, object_of(clause.object)
    if verb is None:
        return ""
    particle, word = verb.english.particle, verb.prepositions[0]
    if isinstance(clause.object, Pronoun) and particle in SEPARATED:
        words = [what, particle]
    else:
        words = [particle, word, what]
    return " ".join(each for each in words if each)


def object_of(what: Nominal | None) -> str:
    """A nominal that is no subject; nothing where it stands elsewhere."""
    if what is None or isinstance(what, Asked | Missing):
        return ""
    return OBJECTS[what.word] if isinstance(what, Pronoun) else nominal(what)


def said(what: Said) -> str:
    adjective = what.adjective
    if what.than is not None:
        return f"{adjective.english_comparative} than {nominal(what.than)}"
    return f"{what.degree} {adjective.english}" if what.degree else adjective.english


def location(where: Location) -> str:
    word = (where.place.to if where.goal else where.place.at)[0]
    return f"{word} {nominal(where.phrase)}"


def nominal(what: Nominal) -> str:
    """A nominal as a subject."""
    if isinstance(what, Name | Pronoun | Asked):
        return what.word
    if isinstance(what, Both):
        return f"{nominal(what.first)} and {nominal(what.second)}"
    if isinstance(what, Missing):
        return "who" if "person" in what.noun.kinds else "that"
    noun = what.noun.english_plural if what.plural else what.noun.english
    rest = noun if what.adjective is None else f"{what.adjective.english} {noun}"
    begun = determiner(what, rest)
    text = f"{begun} {rest}" if begun else rest
    return text if what.relative is None else f"{text} {relative(what.relative)}"


def determiner(phrase: Phrase, rest: str) -> str:
    if phrase.determiner in ("a", "no"):
        if phrase.plural:
            return "" if phrase.determiner == "a" else "any"
        return "an" if rest[0] in "aeiou" else "a"
    if phrase.determiner == "this":
        return "these" if phrase.plural else "this"
    return OWNERS.get(phrase.determiner, phrase.determiner)


def relative(clause: Clause) -> str:
    if isinstance(clause.subject, Missing):
        return statement(clause)
    return f"that {statement(clause)}"
