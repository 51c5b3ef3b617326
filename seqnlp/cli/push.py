"""`seqnlp push`."""

from __future__ import annotations

from pathlib import Path

import click

from seqnlp.cli.options import model_argument


@click.command(short_help="Put a saved model on the Hugging Face Hub.")
@model_argument
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, default=None, help="Make a new repository a private one.")
@click.option("--revision", metavar="BRANCH", help="A branch, made if there is none.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
@click.option("--license", metavar="ID", help="Of the model, for its card: mit, cc-by-4.0, ...")
@click.option(
    "--language",
    "languages",
    metavar="CODE",
    multiple=True,
    help="For its card, where the corpus does not say it: en; may be given again.",
)
def command(
    model: Path,
    repository: str,
    private: bool | None,
    revision: str | None,
    message: str | None,
    license: str | None,
    languages: tuple[str, ...],
) -> None:
    """Make the MODEL in a folder that of the repository OWNER/NAME, from where anybody who may read
    it loads it by `hf:OWNER/NAME`.

    Who pushes is known by `hf auth login` or HF_TOKEN. Prints the address of the commit.
    """
    from seqnlp.bundle import load

    said = {} if message is None else {"commit_message": message}
    address = load(model).push_to_hub(
        repository,
        private=private,
        revision=revision,
        license=license,
        languages=languages,
        **said,
    )
    click.echo(address)
