"""Problems that ask for a long memory, as corpora that are made as they are opened."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seqnlp.config import build
from seqnlp.data.corpus import Corpus, CorpusRequest, assemble
from seqnlp.data.shipped import for_another_task
from seqnlp.data.split import Split
from seqnlp.errors import InputError
from seqnlp.types import Example

HELD_OUT_SEED = 1997
"""Validation and test are the same sequences whatever the seed, so that models can be compared."""
MOST_STEPS = 50_000_000
"""Of all sequences of a corpus: what keeps a slip of the keyboard from filling the memory."""
THOUSANDTHS = tuple(f"{number / 1000:.3f}" for number in range(1001))

Draw = Callable[[np.random.Generator, int], Iterator[Example]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A problem to draw from.

    draw: so many examples from a generator. steps: of the longest sequence. train, validation,
    test: how many sequences.
    """

    draw: Draw
    steps: int
    train: int
    validation: int
    test: int


def open_adding(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Numbers of which two are marked, and their sum: adding, adding:200, adding:80-100,train=5000

    The argument begins with the length of the sequences; see `plan_adding` for what may follow.
    Source: Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", section 5.4, in the form of
    Le et al. 2015, arXiv:1504.00941, section 4.1: values in [0, 1], marks 0 or 1; one mark in each
    half, as Arjovsky et al. 2016, arXiv:1511.06464, section 5.2.

    Raises:
        InputError: an argument that cannot be, or a task that reads other fields.
    """
    problem = build(plan_adding, _options(argument, "length"), where=_name("adding", argument))
    what = "Random numbers of which two are marked, and the sum of these two"
    return _open("adding", argument, problem, request, what)


def open_copy_memory(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Ten symbols to be written after a long pause: copy_memory, copy_memory:200,symbols=5

    The argument begins with the delay; see `plan_copy_memory` for what may follow.
    Source: Arjovsky et al. 2016, arXiv:1511.06464, section 5.1.

    Raises:
        InputError: an argument that cannot be, or a task that reads other fields.
    """
    where = _name("copy_memory", argument)
    problem = build(plan_copy_memory, _options(argument, "delay"), where=where)
    return _open(
        "copy_memory", argument, problem, request, "Random symbols to be written after a pause"
    )


def plan_adding(
    *, length: str = "100", train: int = 20_000, validation: int = 1000, test: int = 1000
) -> Problem:
    """Read the argument of `adding`.

    Args:
        length: of a sequence, in steps: 100, or from and to, 80-100.
        train: training sequences.
        validation: validation sequences.
        test: test sequences.
    """
    shortest, longest = _range("length", length, least=2)

    def draw(random: np.random.Generator, count: int) -> Iterator[Example]:
        for size in random.integers(shortest, longest + 1, count).tolist():
            values = random.integers(0, len(THOUSANDTHS), size)
            marked = random.integers(0, size // 2), random.integers(size // 2, size)
            words = [THOUSANDTHS[value] for value in values]
            for place in marked:
                words[place] += "*"
            total = sum(int(values[place]) for place in marked)
            yield {"inputs": " ".join(words), "targets": f"{total / 1000:.3f}"}

    return _problem(draw, longest, train, validation, test)


def plan_copy_memory(
    *,
    delay: str = "100",
    symbols: int = 10,
    alphabet: int = 8,
    train: int = 20_000,
    validation: int = 1000,
    test: int = 1000,
) -> Problem:
    """Read the argument of `copy_memory`.

    Args:
        delay: T, steps from the last symbol to the mark: 100, or from and to. A sequence has
            T + 2 * symbols steps.
        symbols: how many are to be written again.
        alphabet: how many different ones there are.
        train: training sequences.
        validation: validation sequences.
        test: test sequences.
    """
    shortest, longest = _range("delay", delay, least=1)
    if symbols < 1:
        raise InputError(f"symbols must be at least 1, not {symbols}")
    letters = string.ascii_lowercase
    if not 2 <= alphabet <= len(letters):
        raise InputError(f"alphabet must be 2 to {len(letters)}, not {alphabet}")

    def draw(random: np.random.Generator, count: int) -> Iterator[Example]:
        for steps in random.integers(shortest, longest + 1, count).tolist():
            drawn = random.integers(0, alphabet, symbols)
            answer = " ".join(letters[number] for number in drawn)
            pause = f"-x{steps - 1} " if steps > 1 else ""
            yield {"inputs": f"{answer} {pause}?", "targets": answer}

    return _problem(draw, longest + 2 * symbols, train, validation, test)


def _problem(draw: Draw, steps: int, train: int, validation: int, test: int) -> Problem:
    for name, value in (("train", train), ("validation", validation), ("test", test)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if (total := steps * (train + validation + test)) > MOST_STEPS:
        raise InputError(
            f"{train + validation + test:,} sequences of up to {steps:,} steps are {total:,} "
            f"steps; expected at most {MOST_STEPS:,}: fewer sequences, as in train=1000"
        )
    return Problem(draw=draw, steps=steps, train=train, validation=validation, test=test)


def _open(
    name: str, argument: str | None, problem: Problem, request: CorpusRequest, what: str
) -> Corpus:
    if [field.name for field in request.fields if field.required] != ["inputs", "targets"]:
        raise for_another_task(name, "long_range", "sequences and what they ask for", request)
    if request.columns:
        raise InputError(f"{name} has no columns to choose among; leave out --columns")
    full = _name(name, argument)
    seeds = {
        "train": [request.seed, 0],
        "validation": [HELD_OUT_SEED, 1],
        "test": [HELD_OUT_SEED, 2],
    }
    counts = {"train": problem.train, "validation": problem.validation, "test": problem.test}
    splits = {
        split: Split.from_examples(
            split,
            problem.draw(np.random.default_rng(seed), counts[split]),
            origin=f"{full} {split}",
        )
        for split, seed in seeds.items()
    }
    return assemble(
        full, splits, request=request, license="none needed: made at random", description=f"{what}."
    )


def _name(family: str, argument: str | None) -> str:
    return family if argument is None else f"{family}:{argument}"


def _options(argument: str | None, first: str) -> dict[str, object]:
    """The options that an argument writes: a value for `first`, then keys with values."""
    options: dict[str, object] = {}
    for number, part in enumerate(argument.split(",") if argument else []):
        key, sign, value = (text.strip() for text in part.partition("="))
        if not sign and number:
            raise InputError(f"{argument!r}: {part!r} is no key=value, such as train=5000")
        if not sign:
            key, value = first, key
        if key in options:
            raise InputError(f"{argument!r}: {key} is given twice")
        options[key] = value
    return options


def _range(name: str, text: str, *, least: int) -> tuple[int, int]:
    """From and to of "80-100", or of "100" alone."""
    low, dash, high = text.partition("-")
    ends = (low, high if dash else low)
    if not all(end.isdecimal() and len(end) <= 7 for end in ends):
        raise InputError(f"{name} is {text!r}; expected such as 100 or 80-100")
    first, last = int(ends[0]), int(ends[1])
    if not least <= first <= last:
        raise InputError(f"{name} is {text!r}; expected from {least} upwards, the least first")
    return first, last
