"""How outputs are searched for: the options `decoding` of a model, and those of a call."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from seqnlp_runtime.errors import RunnerError

_LARGEST = 2**31 - 1
_WHOLE: Mapping[str, tuple[int, int]] = {
    "beam": (1, 1000),
    "n_best": (1, 1000),
    "min_length": (0, _LARGEST),
    "max_length": (1, _LARGEST),
    "max_words": (1, _LARGEST),
    "max_extra": (0, _LARGEST),
    "top_k": (0, _LARGEST),
    "seed": (0, 2**32 - 1),
    "diverse_groups": (1, 1000),
    "no_repeat_ngram": (0, _LARGEST),
    "neighbors": (0, 1000),
}
_MOST: Mapping[str, float] = {
    "length_penalty": 10,
    "coverage_penalty": 100,
    "length_prior": 1000,
    "length_ratio": 1000,
    "max_ratio": 1000,
    "temperature": 1000,
    "top_p": 1,
    "diversity": 1000,
    "mbr_temperature": 1000,
    "neighbor_weight": 1000,
}
_OVER_ZERO = frozenset({"length_ratio", "temperature", "top_p", "mbr_temperature"})
_OPTIONAL = frozenset({"length_ratio", "max_length", "max_words"})
_FLAGS = ("sample", "tidy", "mbr")


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The keys of `head.decoding` in seqnlp, of the same names and meanings.

    `mbr` and `neighbors`, which choose among outputs by what seqnlp measures them with, are refused
    unless they are off.

    Raises:
        RunnerError: a value that none of them can have, or values that do not suit each other.
    """

    beam: int = 1
    sample: bool = False
    n_best: int = 1
    length_penalty: float = 1.0
    coverage_penalty: float = 0.0
    length_prior: float = 0.0
    length_ratio: float | None = None
    min_length: int = 0
    max_length: int | None = None
    max_words: int | None = None
    max_ratio: float = 2.0
    max_extra: int = 10
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    diverse_groups: int = 1
    diversity: float = 0.5
    no_repeat_ngram: int = 0
    prefix: str = ""
    constraints: tuple[str, ...] = ()
    tidy: bool = False
    replace_unknown: str = "none"
    mbr: bool = False
    mbr_temperature: float = 2.0
    neighbors: int = 0
    neighbor_weight: float = 2.0

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each.name, getattr(self, each.name))
        if self.replace_unknown not in ("none", "attention"):
            raise _error("replace_unknown", "'none' or 'attention'", self.replace_unknown)
        if self.mbr:
            raise RunnerError(
                "decoding.mbr: a choice by risk needs seqnlp's own measures; give mbr=False here"
            )
        self._check_together()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options by their names.

        Raises:
            RunnerError: an unknown name, or see the class.
        """
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
                raise RunnerError(f"decoding: no option is named {name!r}; {hint}")
        texts = values.get("constraints", ())
        several = tuple(texts) if isinstance(texts, list | tuple) else (texts,)
        return cls(**{**values, "constraints": several})

    def _check_together(self) -> None:
        """What depends on more than one option."""
        if self.sample and self.beam > 1:
            raise _error("sample", f"false where beam is over 1 (it is {self.beam})", True)
        if not self.sample and self.n_best > self.beam:
            raise _error("n_best", f"at most beam, which is {self.beam}", self.n_best)
        if self.length_ratio is not None and not self.length_prior:
            raise _error("length_ratio", "none without length_prior", self.length_ratio)
        if self.max_length is not None and self.max_length < self.min_length:
            least = f"at least min_length, which is {self.min_length}"
            raise _error("max_length", least, self.max_length)
        for name, usual in (("temperature", 1.0), ("top_k", 0), ("top_p", 1.0), ("seed", 0)):
            if not self.sample and getattr(self, name) != usual:
                expected = f"the default, {usual}, without sample = true"
                raise _error(name, expected, getattr(self, name))
        if self.beam % self.diverse_groups:
            raise _error(
                "diverse_groups", f"a divisor of beam, which is {self.beam}", self.diverse_groups
            )
        if self.diversity != 0.5 and self.diverse_groups == 1:
            raise _error("diversity", "the default, 0.5, without diverse_groups", self.diversity)
        if self.neighbors:
            raise _error("neighbors", "0 without mbr = true", self.neighbors)
        if self.constraints and (self.sample or self.diverse_groups > 1):
            other = "sample = true" if self.sample else "diverse_groups"
            raise _error("constraints", f"none with {other}", list(self.constraints))


def _check(name: str, value: Any) -> None:
    """Refuse a value of another type, or out of bounds."""
    if value is None and name in _OPTIONAL:
        return
    if name in _WHOLE or name in _MOST:
        expected, fits = _number(name, value)
    elif name in _FLAGS:
        expected, fits = "true or false", isinstance(value, bool)
    elif name == "constraints":
        expected, fits, value = "texts", all(isinstance(each, str) for each in value), list(value)
    else:
        expected, fits = "a text", isinstance(value, str)
    if not fits:
        raise _error(name, expected, value)


def _number(name: str, value: Any) -> tuple[str, bool]:
    """What is expected of a number, and whether this is one."""
    least, most = _WHOLE[name] if name in _WHOLE else (0, _MOST[name])
    strict = name in _OVER_ZERO
    noun, kind = ("a whole number", int) if name in _WHOLE else ("a number", (int, float))
    known = isinstance(value, kind) and not isinstance(value, bool)
    fits = known and least <= value <= most and not (strict and value == 0)
    low = "over 0" if strict else f"of {least} or more"
    return f"{noun} {low}, at most {most}", fits


def _error(name: str, expected: str, found: object) -> RunnerError:
    return RunnerError(f"decoding.{name}: expected {expected}; found {found!r}")
