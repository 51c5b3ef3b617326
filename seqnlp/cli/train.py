"""`seqnlp train`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import click

from seqnlp.cli.options import SpreadingCommand
from seqnlp.cli.run_options import RunRequest, run_options, settings_of
from seqnlp.config import Settings


@click.command(cls=SpreadingCommand, short_help="Train a model and save it with its figures.")
@run_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The model's folder.  [default: a new one in runs/]",
)
@click.option("--force", is_flag=True, help="Replace a model that is in the output folder.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(request: RunRequest, output: Path | None, force: bool, quiet: bool) -> int:
    """Train a model: from a RECIPE (a TOML file), from options, or both.

    \b
    seqnlp train --task sentiment
    seqnlp train --task sentiment --corpus sst2 --cell gru --attention additive
    seqnlp train recipes/sst2.toml --set train.epochs=8 --seed 3 --ensemble 3
    Without a recipe, a corpus that one is shipped for is trained with it; options change it.
    """  # noqa: D301 - \b keeps the lines apart
    settings, path = settings_of(request)
    from seqnlp.cli import report
    from seqnlp.cli.progress import ProgressHook
    from seqnlp.cli.screen import open_screen
    from seqnlp.training.preparation import in_use
    from seqnlp.training.run import train

    folder = output or _new_folder(settings, in_use)
    screen = open_screen(error=True)
    report.announce(screen, settings, path)
    hooks = [] if quiet else [ProgressHook(screen, settings)]
    model = train(settings, folder, force=force, hooks=hooks, notify=report.notifier(screen))
    report.training(screen, model, folder)
    return 130 if model.metrics["interrupted"] else 0


def _new_folder(settings: Settings, in_use: Callable[[Path], bool]) -> Path:
    """`runs/<corpus>-<network>`, with a number where that holds a model or anything else."""
    corpus = re.sub(r"[^\w.-]+", "-", Path(settings.corpus.name).name).strip("-") or "corpus"
    model, decoder = settings.model, settings.head.get("decoder", "recurrent")
    network = model.cell if model.encoder == "recurrent" else model.encoder
    network += "" if decoder in ("recurrent", network) else f"-{decoder}"
    base = Path("runs") / f"{corpus}-{network}"
    numbered = (base.with_name(f"{base.name}-{n}") for n in itertools.count(2))
    return next(path for path in itertools.chain([base], numbered) if not in_use(path))
