"""`seqnlp plugin`."""

from __future__ import annotations

import click

from seqnlp.cli.lazy import LazyGroup

COMMANDS = {
    "new": ("plugin_new", "Write the package of a new part."),
    "check": ("plugin_check", "Say whether a part does what is expected of its kind."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    short_help="Write a plugin, and check it.",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Write the package of a part of your own, and check that the part is right."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
