"""Invents the names and numbers of the bundled summarization corpus.

Nobody and no place is meant; a name that someone has is chance.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator

ONSETS = """
    B Bl Br C Cl Cr D Dr F Fl Fr G Gl Gr H J K Kl Kr L M N P Pl Pr Qu R S Sk Sl Sn St Str Sw T Th
    Tr Tw V W Z"""
VOWELS = "a a e e i i o o u u ai ea oa"
CODAS = "b ck d g l lk ll lm m mp n nd ng nn nt p r rd rk rl rn rt s sk ss st t tt v"
PLACES = """
    brook burgh by combe dale field ford gate ham haven holm ley minster moor mouth port stead
    thorpe ton well wick worth"""
PEOPLE = "ard berg ell er ett ez ick ings ini ins kin ler man ova ow quist ski son ster wen"
FIRMS = "ada ant ara ax ent eo ex ic is ium ix on ora us yx"

LINKS = ("", "", "", "a", "e", "i", "o")  # before an ending that begins with a consonant

UNFIT = """
    bitch boob bugger cock coon crap cum cunt damn dick dike fag fart fuck hitler hoar hore jap kike
    klan nazi nig paki piss poop prick puss rape shit slag slut spic stalin stink tit turd twat
    wank"""
"""What no name may hold."""

FRESH = 300  # names and numbers that wait for their second use


def invent(endings: str, draw: random.Random) -> str:
    """One name, made of two or three syllables.

    >>> invent(PLACES, random.Random(3))
    'Jurddale'
    """
    stem = "".join(draw.choice(parts.split()) for parts in (ONSETS, VOWELS, CODAS))
    ending, link = draw.choice(endings.split()), draw.choice(LINKS)
    return stem + ending if ending[0] in "aeiou" else stem + link + ending


def split_of(number: int) -> str:
    """Which split may hold a number: one in ten is of test, one in ten of validation."""
    bucket = zlib.crc32(str(number).encode()) % 10
    return {0: "test", 1: "validation"}.get(bucket, "train")


class Dealer:
    """Deals names and numbers of one split, each twice, the second time some hundred draws later.

    Args:
        split: numbers are those of it.
        taken: words that are no names, in lower case; what is invented is added.
        draw: the source of chance.
    """

    def __init__(self, split: str, taken: set[str], draw: random.Random) -> None:
        self._taken, self._draw = taken, draw
        self._numbers = [n for n in range(100, 10_000) if split_of(n) == split]
        makers: dict[str, Callable[[], Iterator[str]]] = {
            "place": lambda: self._names(PLACES),
            "who": lambda: self._names(PEOPLE),
            "firm": lambda: self._names(FIRMS),
            "n": self._counts,
        }
        self._sources = {kind: make() for kind, make in makers.items()}
        self._waiting: dict[str, list[str]] = {kind: [] for kind in makers}

    def deal(self, kind: str, used: set[str]) -> str:
        """A name of a place, a person or a firm, or a number, that is not among those used."""
        waiting = self._waiting[kind]
        if len(waiting) >= FRESH:
            place = self._draw.randrange(len(waiting))
            if waiting[place] not in used:
                waiting[place], waiting[-1] = waiting[-1], waiting[place]
                return waiting.pop()
        made = next(each for each in self._sources[kind] if each not in used)
        waiting.append(made)
        return made

    def _names(self, endings: str) -> Iterator[str]:
        while True:
            name = invent(endings, self._draw)
            unfit = any(part in name.lower() for part in UNFIT.split())
            if not unfit and name.lower() not in self._taken:
                self._taken.add(name.lower())
                yield name

    def _counts(self) -> Iterator[str]:
        while True:
            for number in self._draw.sample(self._numbers, len(self._numbers)):
                yield f"{number:,}"
