"""What a normalizer owes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from seqnlp.testing.contract import Contract, Part, Violation
from seqnlp.testing.requiring import borrowed, require
from seqnlp.testing.signature import check_described
from seqnlp.testing.texts import PROSE, TEXTS

check_normalizer: Contract[Any] = Contract("normalizers", lambda part: part)
"""The contract of a normalizer: a function from text to text, which has no options."""


@check_normalizer.check("is a function of one text", required=True)
def _is_a_function(part: Part) -> str | None:
    require(not part.options, "a normalizer takes no options", "register one for each use")
    require(
        not inspect.isclass(part.factory),
        f"{part.name} is a class, and normalizers are called as they are registered",
        "register a function: def my_normalizer(text: str) -> str",
    )
    parameters = list(inspect.signature(part.factory).parameters.values())
    needed = [each for each in parameters if each.default is each.empty]
    require(
        len(needed) == 1 and len(parameters) >= 1 and needed[0] is parameters[0],
        f"it takes {', '.join(map(str, parameters)) or 'nothing'}, not one text",
        "write def my_normalizer(text: str) -> str",
    )
    return check_described(part)


@check_normalizer.check("every text gives a text")
def _texts(part: Part) -> str | None:
    for what, text in TEXTS.items():
        found = part.factory(text)
        require(
            isinstance(found, str),
            f"of {what} it makes {type(found).__name__}, not str",
            "return the changed text: strings cannot be changed in place",
        )
    return None


@check_normalizer.check("a text always gives the same")
def _repeats(part: Part) -> str | None:
    first = {what: part.factory(text) for what, text in TEXTS.items()}
    for what, text in reversed(list(TEXTS.items())):
        require(
            part.factory(text) == first[what],
            f"{what} gives {part.factory(text)[:40]!r} after other texts and "
            f"{first[what][:40]!r} before",
            "let the result depend on the text alone: nothing counted, drawn or kept",
        )
    return _idempotence(part.factory)


def _idempotence(function: Callable[[str], str]) -> str | None:
    """A remark on texts that change again: no fault, but seldom meant."""
    for what, text in TEXTS.items():
        once = function(text)
        if function(once) != once:
            return f"applied twice it changes {what} again"
    return None


@check_normalizer.check("works in a pipeline")
def _in_a_pipeline(part: Part) -> str | None:
    from seqnlp.text import RegexTokenizer, TokenPipeline

    with borrowed(part) as name:
        pipeline = TokenPipeline(normalizers=(name,), tokenizer=RegexTokenizer()).fit(PROSE)
        for text in PROSE:
            expected = RegexTokenizer().tokenize(part.factory(text))
            if pipeline.tokens(text) != expected:
                raise Violation(
                    f"in a pipeline {text!r} is {pipeline.tokens(text)}, not {expected}",
                    "keep no state between calls",
                )
    return None
