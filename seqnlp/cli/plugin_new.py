"""`seqnlp plugin new`."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("new", short_help="Write the package of a new part.")
@click.argument("name")
@click.option(
    "--kind",
    default="cell",
    show_default=True,
    help="cell, linear-cell, encoder, decoder, attention, tokenizer, corpus, task, hook.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="The folder to make.  [default: seqnlp-NAME]",
)
def command(name: str, kind: str, folder: Path | None) -> None:
    """Write a complete package of a part called NAME: code, tests, README, license, CI.

    \b
    seqnlp plugin new my-cell
    seqnlp plugin new my-words --kind tokenizer
    It can be installed and used at once; then change the formula in it.
    """  # noqa: D301 - \b keeps the lines apart
    from seqnlp.workshop.create import create

    made = create(name, kind=kind, folder=folder)
    click.echo(f"wrote {made.folder}, {len(made.files)} files; in {made.part} {made.edit}")
    click.echo("next:")
    for line in (f"cd {shlex.quote(str(made.folder))}", *made.commands):
        click.echo(f"  {line}")
