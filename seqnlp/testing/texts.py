"""Texts that a part which reads texts must cope with, by what they are."""

from __future__ import annotations

from collections.abc import Mapping

PROSE = (
    "It isn't Ann's, it's $9.50!",
    "The quick brown fox jumps over the lazy dog.",
    "A well-made film: funny, sad and -- above all -- short (88 minutes).",
    "The dog jumps. The fox is quick, and the dog is brown and lazy.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
)
"""Ordinary texts."""

ODD: Mapping[str, str] = {
    "the empty text": "",
    "white space": " \t\n  ",
    "emoji": "so good 👍🏽👨‍👩‍👧!",
    "combining marks": "cafe\u0301 n\u0303o",
    "scripts without spaces": "我喜欢这部电影。とても良い",
    "scripts that join": "किताब पढ़ो",
    "right to left": "הסרט היה טוב",
    "control characters": "a\x00b\u200bc\ufeffd\u2028e",
    "half a surrogate pair": "broken \ud83d here",
    "one long word": "ab" * 4000,
    "what looks like a special token": "<pad> <unk> </s>",
    "a very long text": "the dog and the fox . " * 2000,
}
"""Texts that users have, and authors forget."""

TEXTS: Mapping[str, str] = {**{repr(text): text for text in PROSE}, **ODD}
"""All of them."""
