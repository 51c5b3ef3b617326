"""Checks of what a user reads and types: the docstring and the options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

from seqnlp.errors import SettingsError
from seqnlp.testing.cells.subject import CellSubject, D, H, draw
from seqnlp.testing.contract import Part, Violation
from seqnlp.validation import build

_SIZES = ("input_size", "hidden_size")


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


def check_options(subject: CellSubject) -> str | None:
    """Options are keywords with types and defaults, and a misspelled one is refused."""
    part = subject.part
    parameters = dict(inspect.signature(part.factory).parameters)
    for name in _SIZES:
        if parameters.pop(name, None) is None:
            raise Violation(
                f"__init__ does not take {name!r}",
                "write def __init__(self, input_size: int, hidden_size: int, *, ...)",
            )
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else "*"
            raise Violation(
                f"__init__ takes {stars}{name}, which swallows an option that is misspelled",
                "name each option: def __init__(self, input_size: int, hidden_size: int, *, "
                "scale: float = 1.0)",
            )
        if parameter.annotation is parameter.empty:
            raise Violation(
                f"the option {name!r} has no type, so that nothing checks what a user writes",
                f"annotate it: {name}: float = ...",
            )
    hints = get_type_hints(part.factory.__init__)
    for name, parameter in parameters.items():
        _check_default(name, parameter, hints[name], set(part.options))
    for name in parameters or ["nothing"]:
        try:
            build(part.factory, {**part.options, f"{name}_x": 1}, where=part.name, **_sizes())
        except SettingsError:
            continue
        raise Violation(f"an option {name}_x is taken", "name each option in __init__")
    tried = list(_variants(hints, parameters))
    for name, value in tried:
        _try(part, name, value)
    return None if not parameters else f"options: {', '.join(parameters)}"


def _check_default(name: str, parameter: inspect.Parameter, hint: Any, given: set[str]) -> None:
    if parameter.default is parameter.empty:
        if name not in given:
            raise Violation(
                f"the option {name!r} has no default, so that the cell cannot be made by its name",
                f"give it one: {name}: ... = ...",
            )
        return
    try:
        TypeAdapter(hint).validate_python(parameter.default)
    except ValidationError as error:
        raise Violation(
            f"the default of the option {name!r}, {parameter.default!r}, is none of its type",
            f"correct the annotation or the default: {error.errors()[0]['msg']}",
        ) from error


def _variants(
    hints: dict[str, Any], parameters: dict[str, inspect.Parameter]
) -> Iterator[tuple[str, object]]:
    """The other values of options that have few."""
    for name, parameter in parameters.items():
        hint = hints[name]
        values = get_args(hint) if get_origin(hint) is Literal else ()
        values = (True, False) if hint is bool else values
        yield from ((name, value) for value in values if value != parameter.default)


def _try(part: Part, name: str, value: object) -> None:
    torch.manual_seed(0)
    cell = build(part.factory, {**part.options, name: value}, where=part.name, **_sizes())
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
