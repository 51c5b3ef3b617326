"""Series as a person types them: numbers between spaces or commas, perhaps a time before them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from seqnlp.errors import InputError
from seqnlp_timeseries.corpus import Part
from seqnlp_timeseries.layout import is_missing
from seqnlp_timeseries.reader import Series
from seqnlp_timeseries.timeline import Step, Timeline, parse_time

MOST_SHOWN = 40


def read_numbers(text: str) -> tuple[np.datetime64 | None, list[float]]:
    """The time of the first value, where the text begins with one, and the values, NaN if missing.

    Times are told from numbers by a "-" or a ":": 2024-05-31T10:00 1.5 2 nan 4.

    Raises:
        InputError: a word that is neither.
    """
    words = re.split(r"[\s,;]+", text.strip())
    words = [word for word in words if word]
    start = None
    if words and re.match(r"\d{4}-", words[0]):
        if len(words) > 1 and re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", words[1]):
            words[:2] = [f"{words[0]}T{words[1].zfill(5)}"]
        try:
            start = parse_time(words[0])
        except ValueError:
            raise InputError(
                f"{words[0]!r} is no time; expected one such as 2024-05-31T10:00 before the values"
            ) from None
        words = words[1:]
    return start, [_number(word, place) for place, word in enumerate(words, start=1)]


def _number(word: str, place: int) -> float:
    if is_missing(word):
        return math.nan
    try:
        value = float(word)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise InputError(
            f"value {place}: {word!r} is no number; expected numbers between spaces, such as "
            "1 2.5 nan 4"
        )
    return value


def part_of_text(text: str, number: int, *, step: str, calendar: bool) -> Part:
    """A series from a text, all of which is read and none a target.

    Args:
        number: of the text, from 1, for messages.
        step: of the series that the model was trained on.
        calendar: whether the model reads it, and so needs a time.

    Raises:
        InputError: no value, a word that is no number, or no time where one is needed.
    """
    try:
        start, values = read_numbers(text)
        if not values or all(map(math.isnan, values)):
            raise InputError("no value in it; expected numbers between spaces, such as 1 2.5 nan 4")
        if calendar and start is None:
            raise InputError(
                "this model reads the calendar: begin with the time of the first value, such as "
                "2024-05-31T10:00 1 2 3"
            )
    except InputError as error:
        shown = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
        raise InputError(f"input {number} ({shown!r}): {error}") from error
    timeline = Timeline(start=start, step=Step.parse(step))
    return Part(
        series=Series(name="", values=np.array(values), timeline=timeline), first=len(values)
    )


def show(values: Sequence[float]) -> str:
    """Numbers as they are typed, to four digits."""
    return " ".join("nan" if math.isnan(value) else f"{value:.4g}" for value in values)
