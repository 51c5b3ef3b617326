"""`seqnlp list`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from seqnlp.nn.engines import Engine

GAP = "  "
NARROW = 24
"""The least width of the last column, on however narrow a screen."""


@click.command("list", short_help="List what is registered: cells, tokenizers, corpora, ...")
@click.argument("kind", required=False)
@click.option(
    "--long",
    is_flag=True,
    help="Where each part comes from: package with version, module and file. Plugins are imported, "
    "so that all that is wrong with one shows.",
)
def command(kind: str | None, long: bool) -> None:
    """List every registered part of a KIND (cells, attentions, corpora, ...), or of all kinds.

    Name, the package that it comes from, and one line of what it is. No plugin is imported, but for
    `--long`, and for `list cells`, which makes a small cell of each and asks every engine whether
    it can run it. What cannot be used is listed as broken, with the reason.
    """
    from seqnlp.errors import UnknownNameError
    from seqnlp.registry import REGISTRIES

    if kind is not None and kind not in REGISTRIES:
        raise UnknownNameError("kind", kind, REGISTRIES)
    kinds = [kind] if kind is not None else list(REGISTRIES)
    if long:
        _print(("kind", "name", "from", "file", "what it is"), _long_rows(kinds))
        return
    engines, notes = _working_engines() if kind == "cells" else ({}, [])
    headings = ("kind", "name", "from", *(["engines"] if engines else []), "what it is")
    _print(headings, _rows(kinds, engines))
    for line in notes:
        click.echo(f"note: {line}")


def _rows(kinds: Sequence[str], engines: Mapping[str, Engine]) -> Iterator[Sequence[str]]:
    from seqnlp.registry import REGISTRIES

    for kind in kinds:
        registry = REGISTRIES[kind]
        broken = registry.broken()
        for name, package in registry.names().items():
            reason = broken.get(name)
            running = []
            if engines:
                runners, fault = ("", reason) if reason else _runners(name, engines)
                running, reason = [runners or "none"], fault
            what = f"broken: {reason}" if reason else registry.summary(name)
            yield kind, name, package, *running, what
        if kind == "corpora":
            for name in _found_corpora():
                yield kind, name, "SEQNLP_DATA", *([""] if engines else []), ""


def _long_rows(kinds: Sequence[str]) -> Iterator[Sequence[str]]:
    from seqnlp.outline import find_source
    from seqnlp.registry import REGISTRIES, THIS_PROCESS

    for kind in kinds:
        registry = REGISTRIES[kind]
        for name in registry.names():
            origins = registry.origins(name)
            plugin = any(each.distribution != "seqnlp" for each in origins)
            reason = registry.fault(name) if plugin else ""
            what = f"broken: {reason}" if reason else registry.summary(name)
            for each in origins:
                where = find_source(each.module) or each.value
                yield kind, name, each.package, where, what
            if not origins:
                yield kind, name, THIS_PROCESS, "", what
        if kind == "corpora":
            for name in _found_corpora():
                yield kind, name, "SEQNLP_DATA", "", ""


def _found_corpora() -> list[str]:
    """The corpora on SEQNLP_DATA; what looks for them is imported only where there can be any."""
    if not os.environ.get("SEQNLP_DATA"):
        return []
    from seqnlp.data.places import found_names

    return found_names()


def _print(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    """A table in columns; on a screen the last one is wrapped to its width.

    rich, which draws all other tables, takes longer to import than this command to answer.
    """
    table = [headings, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings) - 1)]
    indent = sum(widths) + len(GAP) * len(widths)
    room = max(NARROW, _columns() - indent) if sys.stdout.isatty() else 0
    lines = []
    for row in table:
        first, *more = _wrapped(row[-1], room)
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append(GAP.join([*cells, first]).rstrip())
        lines += [" " * indent + each for each in more]
    lines[0] = click.style(lines[0], bold=True)
    click.echo("\n".join(lines))


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _wrapped(text: str, width: int) -> list[str]:
    if not width or len(text) <= width:
        return [text]
    import textwrap

    return textwrap.wrap(text, width)


def _working_engines() -> tuple[dict[str, Engine], list[str]]:
    """The engines that can be asked, and what is wrong with the others."""
    from seqnlp import registry
    from seqnlp.nn import engines

    working, broken = {}, []
    for name in registry.engines.names():
        # A plugin that is broken must not hide the parts that are not.
        try:
            working[name] = engines.find(name)
        except Exception as error:
            broken.append(f"the engine {name!r} is left out: {type(error).__name__}: {error}")
    return working, broken


def _runners(name: str, engines: Mapping[str, Engine]) -> tuple[str, str]:
    """The engines that run a cell on this machine, and what is wrong with the cell."""
    import torch

    from seqnlp import registry
    from seqnlp.errors import SeqnlpError
    from seqnlp.missteps import advise

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    try:
        cell = registry.cells.get(name)(input_size=4, hidden_size=4)
        found = [
            engine_name
            for engine_name, engine in engines.items()
            if any(
                engine.supports(cell.to(device), torch.zeros(1, 2, 4, device=device))
                for device in devices
            )
        ]
    except SeqnlpError as error:
        return "", str(error)
    except Exception as error:
        return "", advise(error)
    return ", ".join(found), ""
