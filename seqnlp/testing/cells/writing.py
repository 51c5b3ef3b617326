"""Checks of what a user reads and types: the docstring and the options."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from seqnlp.testing.cells.subject import CellSubject, D, H, draw
from seqnlp.testing.contract import Part, Skip, Violation
from seqnlp.testing.signature import check_options


def check_docstring(subject: CellSubject) -> None:
    """A first line that `seqnlp list` shows, and where the formula is from."""
    text = inspect.cleandoc(vars(subject.part.factory).get("__doc__") or "")
    if not text:
        raise Violation(
            "the class has no docstring of its own",
            'begin the class with """One line of what it is, which `seqnlp list` shows."""',
        )
    if not text.splitlines()[0].strip():
        raise Violation("the docstring begins with an empty line", "say in one line what it is")
    if not re.search(r"\bSource:\s*\S", text):
        raise Violation(
            "the docstring does not say where the formula is from",
            'add a line such as "Source: Cho et al. 2014, arXiv:1406.1078", or "Source: own."',
        )


def check_typed(subject: CellSubject) -> str | None:
    """Options are keywords with types and defaults, and a misspelled one is refused."""
    part = subject.part
    remark = check_options(part, "input_size", "hidden_size", **_sizes())
    hints = _hints(part)
    for name, parameter in _options(part).items():
        _check_default(name, parameter, hints[name])
    return remark


def check_choices(subject: CellSubject) -> str:
    """With each value of an option that has few a step works."""
    part = subject.part
    hints = _hints(part)
    tried = []
    for name, parameter in _options(part).items():
        for value in _values(hints[name]):
            if value != parameter.default:
                _try(part, name, value)
                tried.append(f"{name}={value}")
    if not tried:
        raise Skip("no option is a bool or a Literal")
    return ", ".join(tried)


def _options(part: Part) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(part.factory).parameters
    return {name: each for name, each in parameters.items() if name not in _sizes()}


def _hints(part: Part) -> dict[str, Any]:
    return get_type_hints(part.factory.__init__)


def _values(hint: object) -> tuple[object, ...]:
    return (True, False) if hint is bool else get_args(hint) if get_origin(hint) is Literal else ()


def _check_default(name: str, parameter: inspect.Parameter, hint: Any) -> None:
    if parameter.default is parameter.empty:
        return
    try:
        TypeAdapter(hint).validate_python(parameter.default)
    except ValidationError as error:
        raise Violation(
            f"the default of the option {name!r}, {parameter.default!r}, is none of its type",
            f"correct the annotation or the default: {error.errors()[0]['msg']}",
        ) from error


def _try(part: Part, name: str, value: object) -> None:
    torch.manual_seed(0)
    cell = replace(part, options={**part.options, name: value}).make(**_sizes())
    try:
        with torch.no_grad():
            cell(draw(2, D, dtype=torch.float32), cell.initial_state(2))
    except Exception as error:
        raise Violation(
            f"with {name}={value!r} a step fails: {type(error).__name__}: {error}",
            f"make {name}={value!r} work, or leave it out of the type of {name}",
        ) from error


def _sizes() -> dict[str, object]:
    return {"input_size": D, "hidden_size": H}
