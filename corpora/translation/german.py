"""Meaning into German: tenses, and the order of the words.

Tenses: an English past is a perfect, but of sein, wissen and modal verbs a preterite.
"""

from __future__ import annotations

from declension import CASES, noun_phrase, personal_pronoun, relative_pronoun
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

SEIN = ("bin", "bist", "ist", "sind")
WAR = ("war", "warst", "war", "waren")
HABEN = ("habe", "hast", "hat", "haben")
WERDEN = ("werde", "wirst", "wird", "werden")

MODALS = {
    ("can", "present"): ("kann", "kannst", "kann", "können"),
    ("can", "past"): ("konnte", "konntest", "konnte", "konnten"),
    ("must", "present"): ("muss", "musst", "muss", "müssen"),
    ("must", "past"): ("musste", "musstest", "musste", "mussten"),
    ("want", "present"): ("will", "willst", "will", "wollen"),
    ("want", "past"): ("wollte", "wolltest", "wollte", "wollten"),
    ("may", "present"): ("darf", "darfst", "darf", "dürfen"),
    ("may", "past"): ("durfte", "durftest", "durfte", "durften"),
    ("should", "present"): ("sollte", "solltest", "sollte", "sollten"),
    ("like", "present"): ("möchte", "möchtest", "möchte", "möchten"),
}

CONTRACTIONS = {
    "in dem": "im", "an dem": "am", "zu dem": "zum", "zu der": "zur", "in das": "ins",
    "von dem": "vom",
}  # fmt: skip

CONJUNCTIONS = {"because": "weil", "that": "dass", "when": "als", "although": "obwohl",
                "if": "wenn", "before": "bevor"}  # fmt: skip
QUESTIONS = {"where": "wo", "when": "wann", "why": "warum"}
ASKED = {"who": ("wer", "wen", "wem"), "what": ("was", "was", "")}
DEGREES = {"very": "sehr", "too": "zu"}
WEATHER = {"rain": ("regnet", "geregnet"), "snow": ("schneit", "geschneit")}


def sentence(meaning: Sentence) -> str:
    """The sentence with its punctuation, the first letter a capital."""
    mark = "?" if meaning.main.ask else "."
    if meaning.second is None:
        text = main_clause(meaning.main)
    elif meaning.conjunction == "and":
        rest = " ".join([*middle(meaning.second), *nonfinite(meaning.second)])
        text = f"{main_clause(meaning.main)} und {rest}"
    elif meaning.first:
        begun = subordinate(meaning.conjunction, meaning.second)
        text = f"{begun}, {inverted(meaning.main)}"
    else:
        text = f"{main_clause(meaning.main)}, {subordinate(meaning.conjunction, meaning.second)}"
    return finish(text, mark)


def finish(text: str, mark: str) -> str:
    """A relative clause ends with a comma of its own, which no other mark follows."""
    text = text.rstrip(",").replace(",,", ",")
    return text[0].upper() + text[1:] + mark


def main_clause(clause: Clause) -> str:
    """The finite verb in second place, or first in a question without a question word."""
    if isinstance(clause.object, Asked):
        case = object_case(clause)
        return f"{nominal(clause.object, case)} {inverted(clause)}"
    if clause.question:
        return f"{QUESTIONS[clause.question]} {inverted(clause)}"
    if clause.ask and not isinstance(clause.subject, Asked):
        return inverted(clause)
    if clause.fronted and clause.time is not None:
        return f"{clause.time.german} {inverted(clause.without_time())}"
    words = [nominal(clause.subject, "nom"), finite(clause), *middle(clause), *nonfinite(clause)]
    return " ".join(words)


def inverted(clause: Clause) -> str:
    """What follows the first part of a clause: the finite verb, then the subject."""
    words = [finite(clause), nominal(clause.subject, "nom"), *middle(clause), *nonfinite(clause)]
    return " ".join(words)


def subordinate(conjunction: str, clause: Clause) -> str:
    """The verb at the end, a separable one in one word."""
    return f"{CONJUNCTIONS[conjunction]} {nominal(clause.subject, 'nom')} {verb_last(clause)}"


def relative(clause: Clause) -> str:
    """A relative clause, after the pronoun that stands for what is missing."""
    if isinstance(clause.subject, Missing):
        return f"{nominal(clause.subject, 'nom')} {verb_last(clause)}"
    case = object_case(clause)
    if clause.object is None:
        raise ValueError("nothing is missing in this clause")
    begun = f"{nominal(clause.object, case)} {nominal(clause.subject, 'nom')}"
    return f"{begun} {verb_last(clause)}"


def verb_last(clause: Clause) -> str:
    end = nonfinite(clause)
    if clause.verb is not None and clause.verb.german.particle and is_simple(clause):
        words = [*middle(clause), end[0] + finite(clause)]
    else:
        words = [*middle(clause), *end, finite(clause)]
    return " ".join(words)


def is_simple(clause: Clause) -> bool:
    """Whether the verb itself is the finite one."""
    return clause.tense in ("present", "now") and not clause.modal


def finite(clause: Clause) -> str:
    form = number_of(clause.subject)
    if clause.weather:
        return WEATHER[clause.weather][0] if clause.tense == "present" else HABEN[2]
    if clause.modal:
        return MODALS[clause.modal, clause.tense][form]
    if clause.tense == "future":
        return WERDEN[form]
    if clause.verb is None:
        return (WAR if clause.tense == "past" else SEIN)[form]
    if clause.tense == "past":
        return (SEIN if clause.verb.german.auxiliary == "sein" else HABEN)[form]
    return clause.verb.german.present[form]


def nonfinite(clause: Clause) -> list[str]:
    """What stands at the end of a main clause."""
    if clause.weather:
        return [] if clause.tense == "present" else [WEATHER[clause.weather][1]]
    if clause.modal or clause.tense == "future":
        return [clause.verb.german.infinitive if clause.verb is not None else "sein"]
    if clause.verb is None:
        return []
    if clause.tense == "past":
        return [clause.verb.german.participle]
    return [clause.verb.german.particle] if clause.verb.german.particle else []


def middle(clause: Clause) -> list[str]:
    """What stands between the verbs: pronouns, time, place, dative, accusative, nicht, and what
    belongs to the verb most closely: an object with a preposition, a goal, what is said.
    """
    verb = clause.verb
    prepositional = verb is not None and verb.frame == "prepositional"
    objects = [(clause.recipient, "dat"), (clause.object, object_case(clause))]
    if prepositional:
        objects.pop()
    there = [(each, case) for each, case in objects if isinstance(each, Pronoun | Name | Phrase)]
    words = [nominal(each, case) for each, case in there if isinstance(each, Pronoun)]
    if clause.tense == "now":
        words.append("gerade")
    if clause.time is not None and not clause.fronted:
        words.append(clause.time.german)
    place = None if clause.location is None else location(clause.location)
    close = clause.location is not None and (
        clause.location.goal or clause.negated or verb is None or verb.frame == "place"
    )
    if place is not None and not close:
        words.append(place)
    words += [nominal(each, case) for each, case in there if not isinstance(each, Pronoun)]
    if clause.negated and not _denied(clause.object):
        words.append("nicht")
    if place is not None and close:
        words.append(place)
    if prepositional and isinstance(clause.object, Pronoun | Name | Phrase) and verb is not None:
        words.append(preposition(verb.prepositions[1], nominal(clause.object, verb.case)))
    if clause.said is not None:
        words.append(said(clause.said))
    return words


def object_case(clause: Clause) -> str:
    if clause.verb is None:
        return "nom"
    return clause.verb.case or ("dat" if clause.verb.frame == "dative" else "acc")


def _denied(nominal: Nominal | None) -> bool:
    return isinstance(nominal, Phrase) and nominal.determiner == "no"


def said(what: Said) -> str:
    if what.than is not None:
        return f"{what.adjective.german_comparative} als {nominal(what.than, 'nom')}"
    word = what.adjective.german
    return f"{DEGREES[what.degree]} {word}" if what.degree else word


def location(where: Location) -> str:
    word = (where.place.to if where.goal else where.place.at)[1]
    return preposition(word, nominal(where.phrase, where.place.goal if where.goal else "dat"))


def preposition(word: str, phrase: str) -> str:
    """The two in one, contracted where that is usual: im Garten."""
    article, _, rest = phrase.partition(" ")
    short = CONTRACTIONS.get(f"{word} {article}")
    return f"{short} {rest}" if short else f"{word} {phrase}"


def nominal(what: Nominal, case: str) -> str:
    if isinstance(what, Name):
        return what.word
    if isinstance(what, Pronoun):
        return personal_pronoun(what, case)
    if isinstance(what, Both):
        return f"{nominal(what.first, case)} und {nominal(what.second, case)}"
    if isinstance(what, Asked):
        return ASKED[what.word][CASES[case]]
    if isinstance(what, Missing):
        return relative_pronoun(what.noun, what.plural, case)
    text = noun_phrase(what, case)
    return f"{text}, {relative(what.relative)}," if what.relative is not None else text
