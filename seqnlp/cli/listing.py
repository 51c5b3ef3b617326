"""`seqnlp list`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from seqnlp.cli.screen import open_screen

if TYPE_CHECKING:
    from seqnlp.nn.engines import Engine


@click.command("list", short_help="List what is registered: cells, tokenizers, corpora, ...")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """List every registered part of a KIND (cells, attentions, corpora, ...), or of all kinds.

    Name, the package that it comes from, and one line of what it is. No plugin is imported, but for
    `list cells`, which makes a small cell of each and asks every engine whether it can run it.
    """
    from seqnlp.errors import UnknownNameError
    from seqnlp.registry import REGISTRIES

    if kind is not None and kind not in REGISTRIES:
        raise UnknownNameError("kind", kind, REGISTRIES)
    screen = open_screen()
    engines, broken = _working_engines() if kind == "cells" else ({}, [])
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "from", *(["engines"] if engines else []), "what it is"):
        table.add_column(heading, overflow="fold")
    for each in [kind] if kind is not None else list(REGISTRIES):
        for name, package in REGISTRIES[each].names().items():
            running = [escape(_runners(name, engines))] if engines else []
            table.add_row(each, name, package, *running, escape(REGISTRIES[each].summary(name)))
        if each == "corpora":
            from seqnlp.data.corpus import found_names

            for name in found_names():
                table.add_row(each, name, "SEQNLP_DATA", "")
    screen.print(table)
    for line in broken:
        screen.print(f"note: {line}", markup=False, soft_wrap=True)


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


def _runners(name: str, engines: Mapping[str, Engine]) -> str:
    """The engines that run a cell on this machine, or what is wrong with the cell."""
    import torch

    from seqnlp import registry

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
    except Exception as error:
        return f"none: {type(error).__name__}: {error}"
    return ", ".join(found)
