"""Where the sentences of a text end, by rules: in time linear in the text, with nothing to train.

The rules are for English and its relatives. A mark ends a sentence where white space and what may
begin another come behind it, unless the word before it is an abbreviation, an initial or the number
of an item. Lines and paragraphs end sentences, but for lines that were only wrapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CLOSING = "\"'”’»›)\\]}"
_OPENING = "\"'“‘„‚«‹(\\[{¿¡"
_END = re.compile(rf"(?<![.!?…])[.!?…]+[{_CLOSING}]*(?=\s+(\S))|[。！？]+[」』）”’]*")
_MARK = re.compile(rf"[.!?…。！？]+[{_CLOSING}]*\Z")
_BEFORE = re.compile(r"[^\s(\[{\"“‘«—/]*\Z")
_BEHIND = re.compile(rf"\s+[{_OPENING}]*([\w'’]*)")
_BLANK = re.compile(r"\n[^\S\n]*(?:\n\s*)+")
_ITEM = re.compile(r"\s*(?:[-*•·‣>#]|\(?(?:\d+|[a-zA-Z]|[ivx]+)[.)]\s)")
_LINES = re.compile(r"\r\n?|[\v\f\x85\u2028\u2029]")
_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]+)\.\)?")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_LAST = frozenset(".!?…:")
_WRAPPED = range(50, 101)
"""Characters of the longest line of a paragraph that may have been wrapped."""

_LONGEST = 24  # characters of an abbreviation, and of the word behind one

# Names and numbers stand behind these: no sentence ends there.
_BEFORE_NAMES = _words(
    "mr mrs ms mx dr prof rev fr hon gen col lt maj capt cpt cmdr adm sgt cpl pvt gov sen rep pres "
    "messrs mmes esq mgr supt det hr frau nr no nos art fig figs vol vols ch sec eq "
    "pp ed eds vs cf ca approx al e.g i.e eg ie viz z.b d.h u.a bzw bspw tel ext attn re"
)
# These stand inside a sentence or at its end: what is behind decides.
_ANYWHERE = _words(
    "st ste mt ft ave blvd rd hwy sq bldg apt etc inc co corp ltd llc bros jr sr dept univ assn "
    "est min max hrs hr mins ph.d b.a m.a a.m p.m am pm usw str abs mio mrd jan feb mar apr jun "
    "jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
# What begins a sentence and is part of no name.
_STARTERS = _words(
    "the a an this that these those there here he she it we they you i his her its our their my "
    "your in on at by for from with as if when while after before since until although though "
    "because but and or so yet however meanwhile then what which who why how where please thanks "
    "no not all some many most more one two three also both each every another such only now "
    "der die das ein eine er sie es wir ich und aber im am doch dann wenn als"
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text in their order, each with single spaces for its white space.

    No character but white space is lost or changed; what has neither letter nor digit, such as a
    line of dashes, stays with the sentence before it. A text without a letter is one sentence, a
    blank one has none.

    >>> split_sentences('Dr. J. Smith paid $2.50 at 9 a.m. on Monday. "Too much!" he said. Why?')
    ['Dr. J. Smith paid $2.50 at 9 a.m. on Monday.', '"Too much!" he said.', 'Why?']
    """
    cased = any(map(str.isupper, text))
    pieces = (
        " ".join(sentence.split())
        for paragraph in _BLANK.split(_LINES.sub("\n", text))
        for line in _unwrap(paragraph.split("\n"), cased)
        for sentence in _cut(line, cased)
    )
    return list(_with_words(piece for piece in pieces if piece))


def ends_sentence(token: str) -> bool:
    """Whether a token may be the last of a sentence: an end mark by itself or behind a word that is
    no abbreviation, or the end of a line. What stands before the word is how subwords are written.

    >>> [token for token in ("?!", "▁home.", "etc.", "U.S.", "3.5", ",") if ends_sentence(token)]
    ['?!', '▁home.']
    """
    mark = _MARK.search(token)
    if mark is None:
        return "\n" in token
    word = re.sub(r"^[\W_]+", "", token[: mark.start()]).casefold()
    known = word in _BEFORE_NAMES or word in _ANYWHERE or _INITIALS.fullmatch(word) is not None
    return mark[0] != "." or not known


def _with_words(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces, those without letters and digits joined to others."""
    held: list[str] = []  # a sentence, or what has no words and stands first
    spoken = False
    for piece in pieces:
        words = any(map(str.isalnum, piece))
        if words and spoken:
            yield " ".join(held)
            held.clear()
        held.append(piece)
        spoken = spoken or words
    if held:
        yield " ".join(held)


def _unwrap(lines: list[str], cased: bool) -> Iterator[str]:
    """The lines of a paragraph, joined where a line only ended for want of room."""
    longest = max(map(len, lines))
    held = [lines[0]]
    for before, line in pairwise(lines):
        first = "".join(line.split(maxsplit=1)[:1])
        full = longest in _WRAPPED and len(before) + 1 + len(first) > longest
        goes_on = cased and first[:1].islower() and before.rstrip()[-1:] not in _LAST
        if _ITEM.match(line) or not (full or goes_on):
            yield " ".join(held)
            held.clear()
        held.append(line)
    yield " ".join(held)


def _cut(line: str, cased: bool) -> Iterator[str]:
    begin = 0
    for mark in _END.finditer(line):
        if not mark[1] or _ends(line, begin, mark, cased):
            yield line[begin : mark.end()]
            begin = mark.end()
    yield line[begin:]


def _ends(line: str, begin: int, mark: re.Match[str], cased: bool) -> bool:
    """Whether a sentence that began at `begin` ends at the mark."""
    if _NUMBER.fullmatch(line, begin, mark.end()):
        return False
    behind = _BEHIND.match(line, mark.end(), mark.end() + _LONGEST)
    follower = behind[1] if behind else ""
    lower = mark[1].islower() or follower[:1].islower()
    if mark[0][0] in "!?":
        # "Stop!" he said.
        return not (lower and cased and mark[0][-1] not in "!?.…")
    if lower and cased:
        return False
    if mark[0][:2] in ("..", "…") or not mark[0].startswith("."):
        return True
    found = _BEFORE.search(line, max(begin, mark.start() - _LONGEST), mark.start())
    word = found[0].casefold() if found else ""
    if word in _BEFORE_NAMES and mark[0] == ".":
        return word == "no" and not follower[:1].isdigit()
    if word in _ANYWHERE or (found and _INITIALS.fullmatch(found[0])):
        # The end of a quotation or a bracket ends a sentence even behind an abbreviation.
        return mark[0] != "." or follower.casefold() in _STARTERS
    return True
