"""What a kind of report is, and what may stand in a report of any kind.

A text has choices, "(one|other)", one in another where need be, and slots, "{place}". The slots
`place`, `who`, `firm` and `n`, with or without a digit, are names and numbers that are invented for
a report; those of `WORDS` are drawn anew wherever they stand; a kind's own come with its variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of report.

    headlines: the summary and two other references, of 5 to 10 words. told: ways to tell what the
    headlines say, each in sentences that stand in this order. beside: sentences about something
    else of the kind, told so that it cannot be taken for what happened; their names and numbers
    are what a wrong headline would have. variants: values of the kind's own slots.
    """

    name: str
    headlines: tuple[str, str, str]
    told: tuple[tuple[str, ...], ...]
    beside: tuple[str, ...]
    variants: tuple[Mapping[str, str], ...] = ({},)


def variants(names: str, *rows: str) -> tuple[Mapping[str, str], ...]:
    """Variants from a table: names between spaces, values between semicolons.

    >>> variants("what how", "a bus; late")
    ({'what': 'a bus', 'how': 'late'},)
    """
    keys = names.split()
    cells = [[cell.strip() for cell in row.split(";")] for row in rows]
    return tuple(dict(zip(keys, row, strict=True)) for row in cells)


WORDS: Mapping[str, tuple[str, ...]] = {
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "month": ("January", "March", "April", "May", "July", "September", "October", "December"),
    "past": ("last year", "two years ago", "last winter", "three summers ago", "in the spring"),
    "few": ("two", "three", "four", "five", "six", "seven"),
}
"""Words that a report draws anew for every place."""

ANYWHERE = (
    "(Nobody|No one) (wanted|was ready) to say more (about it|on {day}).",
    "{who7}, who (lives|works) nearby, (called it a surprise|had heard about it on the radio).",
    "{who7}, a (baker|nurse|driver|teacher) from "
    "{place7}, (talked of nothing else|was not surprised).",
    "A {place7} (radio station|newspaper) (had the news first|sent a reporter).",
    "The (office|town hall) (answered {n7} calls|got {n7} letters) (about it|in {few} days).",
    "(It rained all day|The sun was out|It was a cold morning).",
    "(More is to be known|There will be more news) (on {day}|by the end of the week).",
    "The road (to|from) {place7} was (busy|closed) for {few} hours.",
    "{who7} will (write about it|take pictures) for the {place7} paper.",
    "Some {n7} people (followed|watched) it (online|on a screen in {place7}).",
)
"""Sentences that a report of any kind may have."""
