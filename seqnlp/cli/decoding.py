"""Options of how a model's outputs are searched for."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.config import Settings
    from seqnlp.tasks.base import Task
    from seqnlp.tasks.decoding import Decoding
    from seqnlp.tasks.extraction_options import Selection

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "beam": ({"type": int}, "Hypotheses kept at each step; 1 is greedy search."),
    "n_best": ({"type": int}, "Hypotheses given for each text, with their scores."),
    "length_penalty": ({"type": float}, "0 prefers short outputs; 1 is about the mean by token."),
    "length_prior": ({"type": float}, "How much it costs to be longer or shorter than usual."),
    "coverage_penalty": ({"type": float}, "How much it costs to leave parts of a text out."),
    "min_length": ({"type": int}, "Tokens of an output at the least."),
    "max_length": ({"type": int}, "Tokens of an output at the most."),
    "max_words": ({"type": int}, "Words of an output at the most."),
    "no_repeat_ngram": ({"type": int}, "No run of so many tokens occurs twice in an output."),
    "sample": ({"is_flag": True, "default": None}, "Draw the outputs instead of searching."),
    "temperature": ({"type": float}, "Of the draws; below 1 they are less various."),
    "top_k": ({"type": int}, "Draw from so many most probable tokens."),
    "top_p": ({"type": float}, "Draw from the fewest tokens that have this probability together."),
    "mbr": (
        {"is_flag": True, "default": None},
        "Of all that the beam has found, give what is most like the rest of it.",
    ),
    "neighbors": ({"type": int}, "Outputs of so many training examples choose with --mbr, too."),
    "prefix": ({}, "What every output begins with."),
    "constraints": ({"multiple": True}, "A phrase that must occur; may be given several times."),
    "replace_unknown": (
        {"is_flag": True, "default": None},
        "Put the source token that is attended to in the place of an unknown one.",
    ),
}
_NAMES = {"constraints": "--constrain"}


def decoding_options(function: F) -> F:
    """`--beam 5`, ..., and `--decode KEY=VALUE`, gathered as the argument `decoding`.

    Those that were not given are not in it.
    """

    @functools.wraps(function)
    def gathered(*arguments: Any, decode: dict[str, object], **options: Any) -> Any:
        named = {key: options.pop(key) for key in _OPTIONS}
        if named["replace_unknown"]:
            named["replace_unknown"] = "attention"
        given = {key: value for key, value in named.items() if value not in (None, ())}
        return function(*arguments, decoding={**given, **decode}, **options)

    command: Any = click.option(
        "--decode",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_pairs,
        help="Any key of head.decoding: max_ratio=0.5, diverse_groups=2.",
    )(gathered)
    for key, (kind, text) in reversed(_OPTIONS.items()):
        name = _NAMES.get(key, f"--{key.replace('_', '-')}")
        command = click.option(name, key, help=text, **kind)(command)
    made: F = command
    return made


def set_decoding(task: Task, given: dict[str, object]) -> None:
    """Let a task decode as the options say, in place of what its settings say.

    Raises:
        InputError: the task does not decode.
        SettingsError: an option that there is not, or a value that it cannot have.
    """
    if given:
        task.decoding = _changed(task.decoding, given, task.settings.task)


def check_decoding(settings: Settings, given: dict[str, object]) -> None:
    """See that `set_decoding` will do for a model of these settings.

    Raises:
        InputError, SettingsError: as `set_decoding`.
    """
    from seqnlp import registry
    from seqnlp.config import validate_section

    if given:
        options = registry.tasks.get(settings.task).Options
        head: Any = validate_section(options, settings.head, "head")
        _changed(head.decoding if "decoding" in options.model_fields else None, given,
                 settings.task)  # fmt: skip


def _changed(found: Decoding | Selection | None, given: dict[str, object], task: str) -> Any:
    from seqnlp.config import validate_section

    if found is None:
        raise InputError(
            f"the task {task!r} writes no texts, so there is nothing to set by {', '.join(given)}"
        )
    return validate_section(type(found), {**found.model_dump(), **given}, "decoding")


def describe(decoding: Decoding | Selection) -> str:
    """How outputs are found, in a few words: "beam 5, length_penalty 0.6"."""
    usual = type(decoding)()
    changed = {
        key: value
        for key, value in decoding.model_dump().items()
        if key not in ("beam", "sample") and value != getattr(usual, key)
    }
    told = (key if value is True else f"{key} {value}" for key, value in changed.items())
    return ", ".join([decoding.method, *told])


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for value in values:
        key, sign, text = value.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE, such as no_repeat_ngram=3")
        try:
            pairs[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            pairs[key] = text
    return pairs
