"""What every part owes before it runs: a first line that says what it is, and typed options."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from seqnlp.errors import SettingsError
from seqnlp.testing.contract import Part, Violation
from seqnlp.testing.requiring import require


def check_described(part: Part, *, source: bool = False) -> str | None:
    """The docstring has a first line, which `seqnlp list` shows.

    Args:
        part: that is checked.
        source: whether a paper or equation is expected, of whose absence a remark tells.
    """
    # inspect.getdoc would give the docstring of a base.
    text = part.factory.__doc__
    require(
        bool(text and text.strip()),
        f"{part.name} has no docstring",
        "say in its first line what it is, which `seqnlp list` shows, and by 'Source: ...' where "
        "it is from",
    )
    if source and "source:" not in (text or "").lower():
        return "the docstring names no source, such as 'Source: Author et al. 2015, equation 8'"
    return None


def check_options(part: Part, *given: str, **made_with: object) -> str | None:
    """Options are keywords with types and defaults, and a misspelled one is refused.

    Args:
        part: that is checked.
        given: names of the arguments that the toolkit hands over.
        made_with: what it hands over, for a try; without it nothing is made.
    """
    factory = part.factory
    parameters = inspect.signature(factory).parameters
    hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else "*"
            raise Violation(
                f"its signature has {stars}{name}, which would swallow a misspelled option",
                "name each option: def __init__(self, size: int, *, scale: float = 1.0)",
            )
    missing = [name for name in given if name not in parameters]
    require(
        not missing,
        f"its signature lacks {', '.join(missing)}, which it is called with",
        f"begin it with ({', '.join(given)}, *, ...), by these names",
    )
    for name, parameter in parameters.items():
        if name in given:
            continue
        require(
            name in hints,
            f"the option {name!r} has no type",
            f"annotate it, so that what a user writes is checked: {name}: float = 1.0",
        )
        require(
            parameter.default is not parameter.empty or name in part.options,
            f"the option {name!r} has no default",
            "give it one, so that the part can be used by its name alone",
        )
    if made_with:
        _refuses_misspelled(part, made_with)
    options = [name for name in parameters if name not in given]
    return f"options: {', '.join(options)}" if options else "no options"


def _refuses_misspelled(part: Part, made_with: dict[str, object]) -> None:
    wrong: dict[str, Any] = {**part.options, "no_such_option": 1}
    try:
        Part(kind=part.kind, name=part.name, factory=part.factory, options=wrong).make(**made_with)
    except SettingsError:
        return
    raise Violation(
        "an option that it does not have, no_such_option, is accepted",
        "take no **kwargs and pop nothing from a mapping: name each option in the signature",
    )
