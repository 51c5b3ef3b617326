"""What meets in a sentence of the bundled parallel corpus, and which meetings are held out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from trees import Clause, Nominal, Phrase, Sentence

SHARE = 12
"""One in so many pairs of words is held out for the test split, another one for validation."""

HELD_OUT = {
    "test": frozenset({
        "that + two objects", "because + separable", "question + dative", "fronted + past modal",
        "relative + modal", "inverted + prepositional", "when + motion",
    }),
    "validation": frozenset({
        "that + prepositional", "because + two objects", "question + put", "fronted + dative",
        "inverted + separable",
    }),
}  # fmt: skip
"""Positions of a clause with what is in it, which train has with other partners alone."""


def combinations(sentence: Sentence) -> dict[str, set[str]]:
    """What meets in a sentence, by kind: adjective and noun, verb and object, two structures."""
    found: dict[str, set[str]] = {"adjective": set(), "object": set(), "structure": set()}
    for clause, position in clauses_of(sentence):
        for kind in contents(clause):
            found["structure"].add(f"{position} + {kind}")
        if clause.verb is not None and isinstance(clause.object, Phrase):
            found["object"].add(f"{clause.verb.name} + {clause.object.noun.english}")
        for phrase in phrases_of(clause):
            if phrase.adjective is not None:
                found["adjective"].add(f"{phrase.adjective.english} + {phrase.noun.english}")
    return found


def split_of(kind: str, combination: str) -> str:
    """The split that a combination may be in; `train` where it is not held out: then any."""
    if kind == "structure":
        for split, held_out in HELD_OUT.items():
            if combination in held_out:
                return split
        return "train"
    lot = zlib.crc32(f"{kind}: {combination}".encode()) % SHARE
    return {0: "test", 1: "validation"}.get(lot, "train")


def contents(clause: Clause) -> Iterator[str]:
    """What is in a clause that another order of words, or another case, goes with."""
    verb = clause.verb
    if clause.modal:
        yield "past modal" if clause.tense == "past" else "modal"
    elif clause.tense == "future":
        yield "future"
    if clause.negated:
        yield "negation"
    if verb is None:
        return
    if verb.german.particle:
        yield "separable"
    if verb.frame in ("dative", "put", "prepositional", "motion"):
        yield verb.frame
    if verb.frame == "two":
        yield "two objects"


def clauses_of(sentence: Sentence) -> Iterator[tuple[Clause, str]]:
    """The clauses of a sentence, each with its position."""
    clauses = [(sentence.main, sentence.position)]
    if sentence.second is not None:
        clauses.append((sentence.second, sentence.conjunction))
    for clause, position in clauses:
        yield clause, position
        for phrase in phrases_of(clause):
            if phrase.relative is not None:
                yield phrase.relative, "relative"


def phrases_of(clause: Clause) -> Iterator[Phrase]:
    """The noun phrases of a clause, not those of clauses within them."""
    than = None if clause.said is None else clause.said.than
    place = None if clause.location is None else clause.location.phrase
    several: list[Nominal | None] = [clause.subject, clause.object, clause.recipient, than, place]
    for nominal in several:
        if isinstance(nominal, Phrase):
            yield nominal
        second = getattr(nominal, "second", None)
        if isinstance(second, Phrase):
            yield second
