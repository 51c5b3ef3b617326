"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from seqnlp.errors import InputError

F = TypeVar("F", bound=Callable[..., Any])


def _pairs(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for value in values:
        field, sign, column = value.partition("=")
        if not sign or not field or not column:
            raise click.BadParameter(f"{value!r} is not FIELD=COLUMN, such as text=review")
        if field in dict(pairs):
            raise click.BadParameter(f"the field {field!r} is named twice")
        pairs.append((field, column))
    return tuple(pairs)


def columns_option(function: F) -> F:
    """`--columns text=review label=stars`, as pairs (field, column)."""
    return click.option(
        "--columns",
        multiple=True,
        metavar="FIELD=COLUMN ...",
        callback=_pairs,
        help="Where a column has an unusual name: text=review label=stars.",
    )(function)


def spread_columns(words: Sequence[str]) -> list[str]:
    """Let one --columns take several pairs: `--columns text=review label=stars`."""
    result: list[str] = []
    taking = False
    for word in words:
        if word == "--columns":
            taking = True
            result.append(word)
            continue
        if taking and result[-1] != "--columns":
            if "=" in word and not word.startswith("-"):
                result.append("--columns")
            else:
                taking = False
        result.append(word)
    return result


class SpreadingCommand(click.Command):
    """A command whose `--columns` takes any number of pairs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread_columns(args))


def quantize_option(function: F) -> F:
    """`--quantize int8`."""
    return click.option(
        "--quantize",
        type=click.Choice(["int8"]),
        help="Recurrent weights as int8, for this run: faster on a CPU, and a little less exact.",
    )(function)


def device_name(device: str, quantize: str | None) -> str:
    """The device that `--device` means, which with `--quantize` is the CPU.

    Raises:
        InputError: no such device, or not the CPU.
    """
    if quantize is None:
        from seqnlp.training.preparation import choose_device

        return str(choose_device(device))
    if device not in ("auto", "cpu"):
        raise InputError(f"--quantize {quantize} is for the CPU, not for --device {device}")
    return "cpu"


def model_argument(function: F) -> F:
    """The folder of a saved model, or hf:owner/name."""
    return click.argument("model", type=click.Path(path_type=Path))(function)


def engine_option(function: F) -> F:
    """`--engine native`, for this run only."""
    return click.option(
        "--engine", help="What runs the recurrences this time; `seqnlp list engines`."
    )(function)
