"""`seqnlp list`."""

from __future__ import annotations

import click
from rich.table import Table

from seqnlp.cli.screen import open_screen


@click.command("list", short_help="List what is registered: cells, tokenizers, corpora, ...")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """List every registered part of a KIND (cells, attentions, corpora, ...), or of all kinds.

    Name, the package that it comes from, and one line of what it is. No plugin is imported.
    """
    from seqnlp.data.corpus import found_names
    from seqnlp.errors import UnknownNameError
    from seqnlp.registry import REGISTRIES

    if kind is not None and kind not in REGISTRIES:
        raise UnknownNameError("kind", kind, REGISTRIES)
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "from", "what it is"):
        table.add_column(heading, overflow="fold")
    for each in [kind] if kind is not None else list(REGISTRIES):
        for name, package in REGISTRIES[each].names().items():
            table.add_row(each, name, package, REGISTRIES[each].summary(name))
        if each == "corpora":
            for name in found_names():
                table.add_row(each, name, "SEQNLP_DATA", "")
    open_screen().print(table)
