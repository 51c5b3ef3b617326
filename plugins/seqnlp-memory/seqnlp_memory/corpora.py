"""Corpora that are made as they are opened: sequences, and what is to be recalled of them."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from seqnlp.config import build
from seqnlp.data import Corpus, CorpusRequest, Split, assemble
from seqnlp.errors import InputError
from seqnlp.types import Example
from seqnlp_memory.codes import MOST_BITS

Range = tuple[int, int]

HELD_OUT_SEED = 2014
"""Validation and test are the same sequences whatever the seed, so that models can be compared."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a corpus is to have.

    lengths, repeats: of training sequences, from and to. bits, or as many symbols as the alphabet
    has. train, validation: how many sequences. validation_lengths, validation_repeats: from and to.
    test_lengths, test_repeats: each of them with each, `each` sequences.
    """

    lengths: Range
    repeats: Range | None
    bits: int
    alphabet: str
    train: int
    validation: int
    validation_lengths: Range
    validation_repeats: Range | None
    test_lengths: tuple[int, ...]
    test_repeats: tuple[int, ...] | None
    each: int


def open_copy(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Random sequences to be written again: copy, copy:1-20, copy:1-20,bits=6,test=50/100

    The argument begins with the lengths of training sequences; see `plan_copy` for what may follow.
    Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 4.1.

    Raises:
        InputError: an argument that cannot be, or a task that reads other fields.
    """
    plan = build(plan_copy, _options(argument), where=_name("copy", argument))
    return _open("copy", argument, plan, request, "to be written again as they are")


def open_reverse(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Random sequences to be written from their end: reverse, reverse:1-20

    The argument is that of `copy`.
    Source: Grefenstette et al. 2015, arXiv:1506.02516, section 4.1.

    Raises:
        InputError: an argument that cannot be, or a task that reads other fields.
    """
    plan = build(plan_copy, _options(argument), where=_name("reverse", argument))
    return _open("reverse", argument, plan, request, "to be written from their end to their start")


def open_repeat_copy(argument: str | None, *, request: CorpusRequest) -> Corpus:
    """Random sequences to be written several times: repeat_copy, repeat_copy:1-10,repeats=1-4

    The argument begins with the lengths of training sequences; see `plan_repeat_copy`. How often is
    written behind the sequence: x3.
    Source: Graves, Wayne and Danihelka 2014, arXiv:1410.5401, section 4.2.

    Raises:
        InputError: an argument that cannot be, or a task that reads other fields.
    """
    where = _name("repeat_copy", argument)
    plan = build(plan_repeat_copy, _options(argument), where=where)
    return _open("repeat_copy", argument, plan, request, "to be written as often as they say")


def plan_copy(
    *,
    lengths: str = "1-20",
    bits: int = 8,
    symbols: int = 0,
    train: int = 16_000,
    validation: int = 256,
    validate: str = "",
    test: str = "",
    each: int = 64,
) -> Plan:
    """Read the argument of `copy` and `reverse`.

    Args:
        lengths: of training sequences, from and to: 1-20.
        bits: of a word.
        symbols: letters that a word is one of; 0 for words of bits.
        train: training sequences.
        validation: validation sequences.
        validate: their lengths; by default from one more than the longest in train to twice that.
        test: lengths of test sequences: 50/100; by default 1.5, 2.5, 5 and 6 times the longest.
        each: test sequences of each length.
    """
    shortest, longest = _range("lengths", lengths)
    _check(bits=bits, symbols=symbols, train=train, validation=validation, each=each)
    return Plan(
        lengths=(shortest, longest),
        repeats=None,
        bits=bits,
        alphabet=string.ascii_lowercase[:symbols],
        train=train,
        validation=validation,
        validation_lengths=_range("validate", validate or f"{longest + 1}-{2 * longest}"),
        validation_repeats=None,
        test_lengths=_several("test", test or _times(longest, 1.5, 2.5, 5, 6)),
        test_repeats=None,
        each=each,
    )


def plan_repeat_copy(
    *,
    lengths: str = "1-10",
    repeats: str = "1-4",
    bits: int = 8,
    symbols: int = 0,
    train: int = 16_000,
    validation: int = 256,
    validate: str = "",
    validate_repeats: str = "",
    test: str = "",
    test_repeats: str = "",
    each: int = 64,
) -> Plan:
    """Read the argument of `repeat_copy`.

    Args:
        lengths: of training sequences, from and to: 1-10.
        repeats: how often they are to be written: 1-4.
        bits: see `plan_copy`, and so are those that are not named here.
        symbols: letters.
        train: training sequences.
        validation: validation sequences.
        validate: their lengths; by default those of train, to one and a half times the longest.
        validate_repeats: theirs; by default those of train, to one and a half times the most.
        test: lengths of test sequences; by default the longest in train and twice that.
        test_repeats: theirs; by default the most in train, twice and four times that.
        each: test sequences of each length and number.
    """
    shortest, longest = _range("lengths", lengths)
    least, most = _range("repeats", repeats)
    _check(bits=bits, symbols=symbols, train=train, validation=validation, each=each)
    return Plan(
        lengths=(shortest, longest),
        repeats=(least, most),
        bits=bits,
        alphabet=string.ascii_lowercase[:symbols],
        train=train,
        validation=validation,
        validation_lengths=_range("validate", validate or f"{shortest}-{-(-3 * longest // 2)}"),
        validation_repeats=_range(
            "validate_repeats", validate_repeats or f"{least}-{-(-3 * most // 2)}"
        ),
        test_lengths=_several("test", test or _times(longest, 1, 2)),
        test_repeats=_several("test_repeats", test_repeats or _times(most, 1, 2, 4)),
        each=each,
    )


def _open(name: str, argument: str | None, plan: Plan, request: CorpusRequest, what: str) -> Corpus:
    fields = [field.name for field in request.fields if field.required]
    if fields != ["sequence", "answer"]:
        raise InputError(
            f"the corpus {name!r} has sequences and answers, for --task recall; "
            f"this task reads {' and '.join(fields)}"
        )
    full = _name(name, argument)
    train = np.random.default_rng([request.seed, 0])
    held_out = [np.random.default_rng([HELD_OUT_SEED, number]) for number in (1, 2)]
    test_repeats: Sequence[int | None] = plan.test_repeats or [None]
    made = {
        "train": _draw(name, plan, train, plan.train, plan.lengths, plan.repeats),
        "validation": _draw(name, plan, held_out[0], plan.validation, plan.validation_lengths,
                            plan.validation_repeats),
        "test": (
            example
            for length in plan.test_lengths
            for count in test_repeats
            for example in _draw(name, plan, held_out[1], plan.each, (length, length),
                                 None if count is None else (count, count))
        ),
    }  # fmt: skip
    return assemble(
        full,
        {
            split: Split.from_examples(split, examples, origin=f"{full} {split}")
            for split, examples in made.items()
        },
        request=request,
        license="none needed: made at random",
        description=f"Random sequences, {what}.",
    )


def _draw(
    name: str,
    plan: Plan,
    random: np.random.Generator,
    count: int,
    lengths: Range,
    repeats: Range | None,
) -> Iterator[Example]:
    for _ in range(count):
        length = int(random.integers(lengths[0], lengths[1] + 1))
        if plan.alphabet:
            words = [plan.alphabet[k] for k in random.integers(0, len(plan.alphabet), length)]
        else:
            rows = random.integers(0, 2, (length, plan.bits))
            words = ["".join(map(str, row)) for row in rows.tolist()]
        sequence, answer = " ".join(words), words
        if name == "reverse":
            answer = words[::-1]
        elif repeats is not None:
            times = int(random.integers(repeats[0], repeats[1] + 1))
            sequence, answer = f"{sequence} x{times}", words * times
        yield {"sequence": sequence, "answer": " ".join(answer)}


def _name(family: str, argument: str | None) -> str:
    return family if argument is None else f"{family}:{argument}"


def _options(argument: str | None) -> dict[str, object]:
    """The options that an argument writes: the lengths, then keys with values, between commas."""
    options: dict[str, object] = {}
    for number, part in enumerate((argument or "").split(",") if argument else []):
        key, sign, value = part.partition("=")
        if not sign and number:
            raise InputError(f"{argument!r}: {part!r} is no key=value, such as test=50/100")
        options |= {key.strip(): value.strip()} if sign else {"lengths": part.strip()}
    return options


def _check(*, bits: int, symbols: int, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if not 1 <= bits <= MOST_BITS:
        raise InputError(f"bits must be 1 to {MOST_BITS}, not {bits}")
    if not 0 <= symbols <= len(string.ascii_lowercase):
        raise InputError(f"symbols must be 0 to {len(string.ascii_lowercase)}, not {symbols}")


def _range(name: str, text: str) -> Range:
    """From and to of "1-20", or of "20" alone."""
    first, dash, last = text.partition("-")
    ends = (first, last if dash else first)
    if not all(end.isdecimal() and len(end) <= 4 for end in ends):
        raise InputError(f"{name} is {text!r}; expected such as 1-20")
    low, high = int(ends[0]), int(ends[1])
    if not 1 <= low <= high:
        raise InputError(f"{name} is {text!r}; expected from 1 upwards, the least first")
    return low, high


def _several(name: str, text: str) -> tuple[int, ...]:
    """The numbers of "50/100"."""
    parts = text.split("/")
    if not all(part.isdecimal() and 0 < int(part) < 10_000 for part in parts):
        raise InputError(f"{name} is {text!r}; expected such as 50/100")
    return tuple(map(int, parts))


def _times(longest: int, *factors: float) -> str:
    return "/".join(str(round(factor * longest)) for factor in factors)
