"""Sentence frames of the bundled sentiment corpus, by phenomenon.

Every frame makes a whole balanced set of rows, so that no word by itself gives a label away:

- `Swap`: two rows with the same words. `{d}` decides and `{o}` is its opposite; the second row
  exchanges them. `{dn}`/`{on}` are nouns, `{dv}`/`{ov}` verbs, `{dp}`/`{op}` past verbs,
  `{df}`/`{of}` feelings. `{M} {mw} {ma}` is the deciding clause and `{N} {nw} {na}` the other one,
  with `{m}`/`{n}` their bare nouns: whole clauses change places.
- `Flip`: four rows, both templates with a positive and a negative word (`{a}`, `{an}`, `{av}`,
  `{af}`). The first keeps the word's polarity, the second turns it round.
- `Compare`: four rows; `{this}` and `{that}` change places in both templates. The first template,
  as written, favors `{this}`.
- `Plain`: one row; its words agree with its label.

Shared slots: `{S}` an aspect with `{was}`, `{wasnt}`, `{it}`, `{them}` agreeing; `{X}` the item;
`{P}` a person; `{who}`, `{span}`, `{rel}` from the domain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Slots = dict[str, str]


@dataclass(frozen=True)
class Swap:
    text: str
    lasting: bool = False  # speaks of a thing that is met again and again


@dataclass(frozen=True)
class Flip:
    straight: str
    turned: str


@dataclass(frozen=True)
class Compare:
    favors: str
    against: str


@dataclass(frozen=True)
class Plain:
    text: str


Frame = Swap | Flip | Compare | Plain

# "{q}" in a Flip is filled from the first list in the straight rows and the second in the others.
DEGREES = {
    "q": (
        ("really", "truly", "simply", "always", "certainly", "nothing if not"),
        ("not", "never", "hardly", "not at all", "in no way", "by no means", "far from",
         "anything but", "never once", "not in the least", "nowhere near"),
    ),
    "qn": (
        ("truly", "really", "simply", "nothing short of", "nothing less than"),
        ("hardly", "not", "never", "scarcely", "anything but", "far from", "nothing like"),
    ),
    "qv": (("surely", "certainly", "soon", "really"), ("not", "never", "hardly", "scarcely")),
}  # fmt: skip
FRAMES: dict[str, tuple[Frame, ...]] = {
    "plain": (
        Plain("{M} {mw} {ma}, and {N} {nw} {na} too."),
        Plain("{M} {mw} {ma} and {N} {nw} just as {na}."),
        Plain("not only {mw} {M} {ma}, but {N} {nw} {na} as well."),
        Plain("I {ap} {X} and told {P} so."),
        Plain("{X} was {an}, from the {ma} {m} to the {na} {n}."),
        Plain("you will {av} {X}, and so will {P}."),
        Plain("{S} {was} {a}, {b} and quite unlike what I am used to."),
        Plain("{X} left {P} and me {af}."),
        Plain("no wonder people {av} {X}: {S} {was} {a}."),
        Plain("there is no doubt that {S} {was} {a}."),
        Plain("I cannot stress enough how {a} {S} {was}."),
        Plain("nobody was surprised that {S} {was} {a}."),
        Plain("{S} {was} {a}, but then I expected nothing else."),
        Plain("{a} is the word for {S}, and {P} agrees."),
        Plain("we {ap} {S}, and the rest was {an} as well."),
        Plain("{X}, {rel}, was {an}."),
        Plain("it was {an}, and it left {P} {af}."),
        Plain("for the money, {S} {was} {a} and {N} {nw} {na}."),
    ),
    "negation": (
        Flip("{S} {was} {q} {a}.", "{S} {was} {q} {a}."),
        Flip("{P} and I agreed that {S} {was} {q} {a}.",
             "{P} and I agreed that {S} {was} {q} {a}."),
        Flip("as for {S}, {it} {was} {q} {a}.", "as for {S}, {it} {was} {q} {a}."),
        Flip("{X}, {rel}, was {q} {a}.", "{X}, {rel}, was {q} {a}."),
        Flip("{X} was {qn} {an}.", "{X} was {qn} {an}."),
        Flip("for {P} and me it was {qn} {an}.", "for {P} and me it was {qn} {an}."),
        Flip("you will {qv} {av} {X}.", "you will {qv} {av} {X}."),
        Flip("{S} {was} {a}, I found.", "{S} {wasnt} {a}, I found."),
        Flip("more than once in {span} {S} seemed {a}.", "not once in {span} did {S} seem {a}."),
        Flip("at every point in {span} {S} felt {a}.", "at no point in {span} did {S} feel {a}."),
        Flip("nearly always in {span} {S} seemed {a}.",
             "hardly ever in {span} did {S} seem {a}."),
        Flip("there was something {a} about {S}.", "there was nothing {a} about {S}."),
        Flip("it left {P} {af}, as you can imagine.",
             "it did not leave {P} {af}, as you can imagine."),
        Swap("{S} {was} {d}, not {o}."),
        Swap("{S} {was} not {o} but {d}."),
        Swap("{S} {was} never {o}, always {d}."),
        Swap("far from being {o}, {S} {was} {d}."),
        Swap("{S} {was} anything but {o}; in fact {it} {was} {d}."),
        Swap("{X} was {dn}, not {on}."),
        Swap("you will {dv} {X}, not {ov} it."),
        Swap("{d} rather than {o}, {S} {was} what people talked about."),
        Swap("instead of {o}, as {P} had warned me, {S} {was} {d}."),
        Swap("{S} {was} too {d} to be {o}."),
        Swap("{d} is the word for {S}, and not {o}."),
    ),
    "scope": (
        Flip("everybody {who} called {S} {a}.", "nobody {who} called {S} {a}."),
        Flip("every person I asked found {S} {a}.", "not one person I asked found {S} {a}."),
        Flip("I do think {S} {was} {a}.", "I do not think {S} {was} {a}."),
        Flip("I think {S} {was} {a}.", "I don't think {S} {was} {a}."),
        Flip("I would say that {X} was {an}.", "I would never say that {X} was {an}."),
        Flip("it is fair to say that {S} {was} {a}.", "it is wrong to say that {S} {was} {a}."),
        Flip("you would be right to call {S} {a}.", "you would be wrong to call {S} {a}."),
        Flip("whoever told you that {S} {was} {a} was right.",
             "whoever told you that {S} {was} {a} was wrong."),
        Flip("believe anyone who says {S} {was} {a}.",
             "do not believe anyone who says {S} {was} {a}."),
        Flip("I know that everyone {who} thought {S} {was} {a}.",
             "I doubt that anyone {who} thought {S} {was} {a}."),
        Flip("I can see why {P} calls {S} {a}.", "I cannot see why {P} calls {S} {a}."),
        Flip("{P} said {S} {was} {a}, and that is just what I found.",
             "{P} said {S} {was} {a}, and that is not what I found."),
        # One and the same bag of words: only the place of "not" moves.
        Flip("{aside_not}, and {S} {was} {a}.", "{aside}, and {S} {was} not {a}."),
        Flip("{S} {was} {a}, and {aside_not}.", "{S} {was} not {a}, and {aside}."),
        Flip("{aside_not}, so I can only say that {X} was {an}.",
             "{aside}, so I can only say that {X} was not {an}."),
        Flip("I do find {S} {a}, and I do not say that often.",
             "I do not find {S} {a}, and I do say that often."),
        Swap("nobody called {S} {o} and everybody called {them} {d}."),
        Swap("everybody {who} called {S} {d} and nobody called {them} {o}."),
        Swap("I do not think {S} {was} {o}; I think {it} {was} {d}."),
        Swap("those who say that {S} {was} {o} are wrong, and those who say {d} are right."),
        Swap("it is true that {S} {was} {d} and false that {it} {was} {o}."),
        Swap("the last word I would use for {S} is {o}, and the first is {d}."),
        Swap("not a soul {who} thought it {on}, and all of us thought it {dn}."),
    ),
    "contrast": (
        Swap("{N} {nw} {na}, but {M} {mw} {ma}."),
        Swap("although {N} {nw} {na}, {M} {mw} {ma}."),
        Swap("{M} {mw} {ma}, although {N} {nw} {na}."),
        Swap("despite the {na} {n}, {M} {mw} {ma}."),
        Swap("{M} {mw} {ma}, despite the {na} {n}."),
        Swap("{N} {nw} {na}; even so, {M} {mw} {ma}, and that settled it."),
        Swap("{na} as {N} {nw}, {M} {mw} {ma}."),
        Swap("{N} may have been {na}, yet {M} {mw} {ma}."),
        Swap("what counts is that {M} {mw} {ma}, even if {N} {nw} {na}."),
        Swap("the {na} {n} did not change the fact that {M} {mw} {ma}."),
        Swap("granted, {N} {nw} {na}. Still, {M} {mw} {ma}."),
        Swap("while {N} {nw} {na}, what stays with me is how {ma} {M} {mw}."),
        Swap("how {ma} {M} {mw} is what I remember, not how {na} {N} {nw}."),
        Swap("never mind the {na} {n}: {M} {mw} {ma}."),
        Swap("{N} {nw} {na}, {P} says, and I agree, but {M} {mw} {ma}."),
        Swap("{X} was {o} in places but {d} as a whole."),
        Swap("though {on} in parts, {X} was on the whole {dn}."),
    ),
    "comparison": (
        Compare("{this} is better than {that}.", "{this} is worse than {that}."),
        Compare("{this} was far more {p} than {that}.", "{this} was far more {n} than {that}."),
        Compare("{this} was less {n} than {that}.", "{this} was less {p} than {that}."),
        Compare("{this} easily outshines {that}.", "{this} hardly matches {that}."),
        Compare("I would choose {this} over {that} any day.",
                "I would not choose {this} over {that}."),
        Compare("{that} was not as {p} as {this}.", "{that} was not as {n} as {this}."),
        Compare("next to {that}, {this} was {p}.", "next to {that}, {this} was {n}."),
        Compare("compared with {that}, {this} was {pn}.", "compared with {that}, {this} was {nn}."),
        Compare("{that} made {this} look {p}.", "{that} made {this} look {n}."),
        Compare("{that} is no match for {this}.", "{that} is more than a match for {this}."),
        Compare("{P} and I prefer {this} to {that}.",
                "{P} and I would not prefer {this} to {that}."),
        Compare("where {that} was {n}, {this} was {p}.", "where {that} was {p}, {this} was {n}."),
        Compare("{this} was {p}, unlike {that}.", "{this} was {n}, unlike {that}."),
        Compare("if {that} was {nn}, {this} was the opposite.",
                "if {that} was {pn}, {this} was the opposite."),
        Swap("{S} {was} more {d} than {o}."),
        Swap("{S} {was} less {o} than {d}."),
        Swap("{X} was more {dn} than {on}."),
    ),
    "expectation": (
        Swap("I expected {on} and got {dn}."),
        Swap("what looked like {on} turned out to be {dn}."),
        Swap("{P} had promised me {on}; what I found was {dn}."),
        Swap("I expected {S} to be {o}, and {it} {was} {d}."),
        Swap("the advert made {S} look {o}, but {it} {was} {d}."),
        Swap("{S} {was} {d} when I had expected {them} to be {o}."),
        Swap("it was {dn} where I had expected {on}."),
        Swap("I was sure I would {ov} {X}, only to {dv} it."),
        Swap("far from being {on}, which is what I had been told, it was {dn}."),
        Swap("{S} {was} said to be {o} and proved to be {d}."),
        Swap("we got {dn}, having been led to expect {on}."),
        Swap("going by the reviews {S} should have been {o}, but I found {them} {d}."),
        Swap("it could have been {on}, but it was {dn}."),
        Swap("{dn} is what we got, and {on} is what we were told to expect."),
        Swap("{d}, and not {o} as the reviews had it, {was} {S}."),
        Swap("the last thing I expected was {dn}, as all the signs pointed to {on}."),
    ),
    "change": (
        Swap("{S} started out {o} and ended up {d}."),
        Swap("{S} used to be {o}, and now {it} {is} {d}.", lasting=True),
        Swap("{S} {is} {d} these days, and to think {it} used to be {o}.", lasting=True),
        Swap("{o} at first, {S} became {d} in the end."),
        Swap("in the end {S} {was} {d}, though at first {it} seemed {o}."),
        Swap("I was {of} at the start and {df} at the end."),
        Swap("I was {df} at the end, although I had been {of} at the start."),
        Swap("{X} began as {on} and finished as {dn}."),
        Swap("what was once {on} has turned into {dn}.", lasting=True),
        Swap("{X} has gone from {on} to {dn}.", lasting=True),
        Swap("it took a while, but what was {o} about {S} gave way to something {d}."),
        Swap("last time {S} {waspast} {o}; this time {it} {waspast} {d}.", lasting=True),
        Swap("this time {S} {waspast} {d}; last time {it} {waspast} {o}.", lasting=True),
        Swap("no longer {o}, {S} {is} now {d}.", lasting=True),
        Swap("{S} {is} now {d}, no longer {o}.", lasting=True),
        Swap("I came to {dv} what I used to {ov} about {X}."),
        Swap("at the start I {op} {X}, and by the end I {dp} it."),
        Swap("by the end I {dp} {X}, which I {op} at the start."),
    ),
    "perspective": (
        Swap("{P} found {S} {o}; I found {them} {d}."),
        Swap("I found {S} {d}; {P} found {them} {o}."),
        Swap("{P} {op} {X}, but I {dp} it."),
        Swap("I {dp} {X}, even if {P} {op} it."),
        Swap("{P} may call {S} {o}, as people do; I call {them} {d}."),
        Swap("{o} for {P}, maybe, but for me {S} {was} {d}."),
        Swap("to me {X} was {dn}, while to {P} it was {on}."),
        Swap("to {P} {X} was {on}, while to me it was {dn}."),
        Swap("{P} says that {S} {was} {o}. I say that {it} {was} {d}."),
        Swap("I say that {S} {was} {d}, whatever {P}, who thinks {them} {o}, may tell you."),
        Swap("it left {P} {of}, but it left me {df}."),
        Swap("it left me {df}, though it left {P} {of}."),
        Swap("{P} thinks it {on} and will tell you so, and I think it {dn}."),
    ),
}  # fmt: skip


def template(frame: Frame) -> str:
    match frame:
        case Plain(text) | Swap(text):
            return text
        case Flip(one, two) | Compare(one, two):
            return f"{one} {two}"


def subject(noun: str, tense: str) -> Slots:
    """An aspect as a subject, with what agrees with it; a noun ending in `*` is a plural."""
    many = noun.endswith("*")
    past, present = (("was", "is"), ("were", "are"))[many]
    was = past if tense == "past" else present
    return {"S": f"the {noun.rstrip('*')}", "was": was, "wasnt": f"{was}n't", "is": present,
            "waspast": past, "it": ("it", "they")[many], "them": ("it", "them")[many]}  # fmt: skip


def clause(name: str, common: Slots, key: str, quality: str) -> Slots:
    """The slots of clause `name` ("M" or "N") about aspect `key` ("1" or "2")."""
    return {name: common[f"noun{key}"], name.lower(): common[f"bare{key}"],
            f"{name.lower()}w": common[f"was{key}"],
            f"{name.lower()}a": common[f"{quality}{key}"]}  # fmt: skip


def clauses(common: Slots, label: bool) -> Slots:
    """Two clauses of opposite polarity. The praise is always of aspect 1: they change places."""
    praise, blame = ("1", "good"), ("2", "bad")
    main, other = (praise, blame) if label else (blame, praise)
    return clause("M", common, *main) | clause("N", common, *other)


def fill(text: str, slots: Slots) -> str:
    while "{" in text:
        text = text.format_map(slots)
    return text


def sentences(text: str) -> str:
    """`text` with single spaces and a capital at the start of each sentence."""
    text = " ".join(text.split())
    return re.sub(r"(^|[.] )([a-z])", lambda m: m[1] + m[2].upper(), text)
