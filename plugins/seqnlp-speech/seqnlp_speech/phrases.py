"""What is said in a corpus that is made: numbers digit by digit, and short commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from numpy.random import Generator

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PLACES = ("kitchen", "bedroom", "garage", "garden", "office", "hall")
THINGS = ("light", "lamp", "radio", "heater", "fan", "music", "door", "window")
COUNTS = ("one", "two", "three", "five", "ten", "twenty", "thirty")
UNITS = ("seconds", "minutes", "hours")
WAYS = ("left", "right", "up", "down", "forward", "back")
SHORT = ("yes", "no", "stop", "go", "help", "cancel", "repeat", "louder", "quieter", "thank you")


def digits(random: Generator, most: int) -> str:
    """One to `most` digits, each as likely as the next."""
    return " ".join(_pick(random, DIGITS) for _ in range(random.integers(1, most + 1)))


def commands(random: Generator, most: int) -> str:
    """An order to a house or a machine, of two to eight words, or one word; `most` is not heeded.

    282 sentences of 67 words, by a grammar of ten patterns.
    """
    thing, place = _pick(random, THINGS), _pick(random, PLACES)
    patterns: tuple[Callable[[], str], ...] = (
        lambda: f"turn {_pick(random, ('on', 'off'))} the {thing}",
        lambda: f"turn {_pick(random, ('on', 'off'))} the {thing} in the {place}",
        lambda: (
            f"{_pick(random, ('open', 'close', 'lock'))} the {place} "
            f"{_pick(random, ('door', 'window'))}"
        ),
        lambda: f"set a timer for {_pick(random, COUNTS)} {_pick(random, UNITS)}",
        lambda: f"move {_pick(random, WAYS)}",
        lambda: f"go {_pick(random, WAYS)} {_pick(random, COUNTS)} steps",
        lambda: f"play {_pick(random, ('the next', 'the last', 'another'))} song",
        lambda: f"is the {thing} on in the {place}",
        lambda: f"make it {_pick(random, ('warmer', 'colder', 'brighter', 'darker'))}",
        lambda: _pick(random, SHORT),
    )
    return patterns[random.integers(len(patterns))]()


PHRASES: Mapping[str, Callable[[Generator, int], str]] = {"digits": digits, "commands": commands}


def _pick(random: Generator, words: tuple[str, ...]) -> str:
    return words[random.integers(len(words))]
