"""Words to readable text: which spaces a text of English, German, French or the like has.

The rules are those of typesetting, in a few tables. What cannot be known from the words, such as
whether a dash stood between spaces, is decided as most texts have it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

_APOSTROPHES = frozenset("'’")
_ENDINGS = frozenset({"s", "d", "m", "ll", "re", "ve"})
_SPLIT_ENDINGS = _ENDINGS | {"t"}  # where the apostrophe is a token by itself
_CONTRACTIONS = {"n't", "n’t"}.union(a + ending for a in _APOSTROPHES for ending in _ENDINGS)
_CLOSING = frozenset(".,!?;:%)]}…°")
_OPENING = frozenset("([{$£¿¡#@")
_FRENCH = frozenset("!?;:")  # have a space before them in French
_BETWEEN = frozenset("-/‐‑")
_SUSPENDED = frozenset({"und", "oder", "bzw", "bzw.", "sowie", "bis", "&"})  # Nord- und Ostsee
# What begins a quotation, and all that may end it; of « and », what comes first begins.
_QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“ ”", "‘": "’", "‚": "‘ ’", "`": "'", "``": "''"}
_QUOTES |= {"«": "»", "»": "«", "‹": "›", "›": "‹", "''": "''"}
QUOTE_ENDS = {begin: tuple(ends.split()) for begin, ends in _QUOTES.items()}
# Words that end in an apostrophe, all French but the last three: l'eau, o'clock, ma'am, y'all.
_ELIDED = {"l", "d", "j", "m", "t", "s", "c", "n", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu"}
_ELIDED |= {"quelqu", "presqu", "aujourd", "entr", "o", "ma", "y"}
_SHORTENED = frozenset({"em", "til", "n", "cause", "bout", "tis", "twas", "cos", "round"})  # 'em
_DECADE = re.compile(r"\d\ds?\b")
_QUOTATION = 100  # tokens between single quotes, at most
_DEPTH = 8  # of quotations in one another
_CONTEXT = 6  # tokens before a place on which a tokenizer's decision there may depend

Sides = tuple[bool, bool]
"""Whether a token is joined to the one before it, and to the one behind it."""


def join_words(
    tokens: Sequence[str],
    tokenize: Callable[[str], list[str]] | None = None,
    *,
    language: str | None = None,
    hyphens: bool = True,
) -> str:
    """Join words and punctuation marks as a text has them.

    Args:
        tokens: words and punctuation marks.
        tokenize: where given, a space stays where the text would be split another way without it.
        language: French, "fr", has spaces before some marks and inside its quotes.
        hyphens: whether hyphens within words are tokens; else one between two words is a dash.

    >>> join_words(["(", "It", "is", "n't", "bad", ",", "is", "it", "?", ")"])
    "(It isn't bad, is it?)"
    >>> join_words("the blue - eyed girls ' team ; l ' homme".split())
    "the blue-eyed girls' team; l'homme"
    """
    sides = list(_sides(tokens, language, hyphens))
    joined = [left or before for (left, _), (_, before) in zip(sides[1:], sides, strict=False)]
    text = _text(tokens, joined)
    if tokenize is None or tokenize(text) == list(tokens):
        return text
    run = list(tokens[:1])
    for place, token in enumerate(tokens[1:]):
        near = [*run[-_CONTEXT:], token]
        joined[place] = joined[place] and tokenize("".join(near)) == near
        run = [*near] if joined[place] else [token]
    return _text(tokens, joined)


def _text(tokens: Sequence[str], joined: Sequence[bool]) -> str:
    spaces = ("" if close else " " for close in (True, *joined))
    return "".join(space + token for space, token in zip(spaces, tokens, strict=False))


def _sides(tokens: Sequence[str], language: str | None, hyphens: bool) -> Iterator[Sides]:
    open_quotes: list[tuple[str, ...]] = []  # what may end each, the innermost last
    for place, token in enumerate(tokens):
        before = tokens[place - 1] if place else ""
        behind = tokens[place + 1] if place + 1 < len(tokens) else ""
        if token in _APOSTROPHES and before[-1:].isalnum() and behind.lower() in _SPLIT_ENDINGS:
            yield True, True
        elif inner := [depth for depth, ends in enumerate(open_quotes) if token in ends]:
            del open_quotes[inner[-1] :]
            yield _french_quote(token, language) or (True, False)
        elif token in _APOSTROPHES:
            sides = _apostrophe(before, behind, token, tokens[place + 1 : place + 1 + _QUOTATION])
            if sides is None:
                open_quotes = [*open_quotes[-_DEPTH:], (token,)]
            yield sides or (False, True)
        elif token in QUOTE_ENDS:
            open_quotes = [*open_quotes[-_DEPTH:], QUOTE_ENDS[token]]
            yield _french_quote(token, language) or (False, True)
        elif token in _BETWEEN:
            dash = not hyphens and token != "/" and before[-1:].isalnum() and behind[:1].isalnum()
            yield (False, False) if dash and behind not in _SUSPENDED else _between(before, behind)
        elif before in _QUOTES and token[:1] in _BETWEEN and token[1:2].isalpha():
            yield True, False  # "Stop"-Schild, of a tokenizer that makes -Schild one token
        elif token == ":" and before.isdigit() and behind.isdigit() and len(behind) == 2:
            yield True, True  # 10:45
        elif token.lower() in _CONTRACTIONS:
            yield True, False
        elif token in _CLOSING or not token.strip(".!?"):
            yield not (language == "fr" and token[:1] in _FRENCH), False
        elif len(token) == 1 and token.isupper() and before == "." and place > 1:
            yield len(initial := tokens[place - 2]) == 1 and initial.isupper(), False  # U.S.
        elif token in _OPENING or (token[-1:] in _APOSTROPHES and token[:-1].lower() in _ELIDED):
            yield False, True
        elif token == "–":
            yield (before[-1:].isdigit() and behind[:1].isdigit(),) * 2  # 1914–1918
        else:
            yield False, False


def _french_quote(token: str, language: str | None) -> Sides | None:
    return (False, False) if language == "fr" and token in "«»" else None


def _between(before: str, behind: str) -> Sides:
    """A hyphen or slash: blue-green, Nord- und Ostsee, Eingang und -ausgang, and/or, "x"-ray."""
    if before in _BETWEEN or behind in _BETWEEN:  # a dash of two hyphens
        return before in _BETWEEN, behind in _BETWEEN
    word_before = before[-1:].isalnum() or before in _QUOTES or before in _APOSTROPHES
    word_behind = behind[:1].isalnum()
    if before.lower() in _SUSPENDED and word_behind:
        return False, True
    if behind.lower() in _SUSPENDED or not word_behind:
        return word_before, False
    return word_before, word_before


def _apostrophe(before: str, behind: str, token: str, rest: Sequence[str]) -> Sides | None:
    """An apostrophe's sides; None where it begins a quotation."""
    if before.lower() in _ELIDED and behind[:1].isalnum():
        return True, True
    if _DECADE.match(behind) or behind.lower() in _SHORTENED:
        return False, True
    others = [
        rest[place - 1]
        for place in range(1, len(rest))
        if rest[place] == token
        and rest[place - 1].lower() not in _ELIDED
        and (place + 1 == len(rest) or rest[place + 1].lower() not in _SPLIT_ENDINGS)
    ]
    # Quotes come in pairs; without one of them it is the boys' or Andreas' own.
    owner = before[-1:] in set("sxzSXZ") and (len(others) % 2 == 0 or others[0][-1:] in "sS")
    if owner or not others:
        return before[-1:].isalnum(), False
    return None
