"""`seqnlp train`."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import click

from seqnlp.cli.options import SpreadingCommand
from seqnlp.cli.run_options import RunRequest, run_options, settings_of
from seqnlp.config import Settings
from seqnlp.errors import OtherFailedError, SeqnlpError


@click.command(cls=SpreadingCommand, short_help="Train a model and save it with its figures.")
@run_options
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The model's folder.  [default: a new one in runs/]",
)
@click.option("--force", is_flag=True, help="Replace a model that is in the output folder.")
@click.option(
    "--resume",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Go on with a run that was broken off, with its own settings.",
)
@click.option(
    "--continue",
    "goes_on",
    is_flag=True,
    help="Go on with the run in the output folder, if one was begun there; else begin it.",
)
@click.option("--diagnose", is_flag=True, help="Watch the gradient's way through time.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    request: RunRequest,
    output: Path | None,
    force: bool,
    resume: Path | None,
    goes_on: bool,
    diagnose: bool,
    quiet: bool,
) -> int:
    """Train a model: from a RECIPE (a TOML file), from options, or both.

    \b
    seqnlp train --task sentiment
    seqnlp train --task sentiment --corpus sst2 --cell gru --attention additive
    seqnlp train recipes/sst2.toml --set train.epochs=8 --seed 3 --ensemble 3
    seqnlp train --resume runs/sst2-lstm
    Without a recipe, a corpus that one is shipped for is trained with it; options change it.
    """  # noqa: D301 - \b keeps the lines apart
    if resume is not None:
        flags = {
            "--output": output,
            "--force": force,
            "--continue": goes_on,
            "--diagnose": diagnose,
        }
        _check_alone(request, [name for name, given in flags.items() if given])
        return _resume(resume, quiet=quiet)
    if diagnose:
        request = request.with_override("hooks.diagnose={}")
    try:
        settings, path = settings_of(request)
    except SeqnlpError as error:
        # The process that torchrun has started beside this one says the same.
        if os.environ.get("LOCAL_RANK", "0") != "0":
            raise OtherFailedError(error.exit_status) from error
        raise
    if goes_on and output is None:
        raise click.UsageError("--continue goes on with the run in --output FOLDER; name it")
    if goes_on and force:
        raise click.UsageError("--continue goes on with a run, --force begins it anew; give one")
    # torchrun starts all processes anew, with the same words, where one has died.
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
    folder = output or _new_folder(settings, restarted=restarted)
    if goes_on and _is_complete(folder, settings):
        return _say_complete(folder)
    return _train(
        settings, folder, path, force=force and not restarted, resume=goes_on or restarted,
        quiet=quiet,
    )  # fmt: skip


def _train(
    settings: Settings,
    folder: Path,
    recipe: Path | None,
    *,
    force: bool = False,
    resume: bool = False,
    quiet: bool,
) -> int:
    from seqnlp.cli import report
    from seqnlp.cli.progress import ProgressHook
    from seqnlp.cli.screen import open_screen
    from seqnlp.training.distributed import is_main
    from seqnlp.training.run import train

    if not is_main():
        model = train(settings, folder, force=force, resume=resume)
        return 130 if model.metrics["interrupted"] else 0
    screen = open_screen(error=True)
    report.announce(screen, settings, recipe)
    hooks = [] if quiet else [ProgressHook(screen, settings)]
    model = train(settings, folder, force=force, resume=resume, hooks=hooks,
                  notify=report.notifier(screen))  # fmt: skip
    report.training(screen, model, folder)
    return 130 if model.metrics["interrupted"] else 0


def _resume(folder: Path, *, quiet: bool) -> int:
    from seqnlp.bundle import MANIFEST
    from seqnlp.training.record import begun, settings_of

    if not begun(folder) and (folder / MANIFEST).is_file():
        return _say_complete(folder)
    return _train(settings_of(folder), folder, None, resume=True, quiet=quiet)


def _say_complete(folder: Path) -> int:
    from seqnlp.training.record import forget

    # Whoever was killed as it took the checkpoints away has left some.
    forget(folder)
    click.echo(f"{folder} is complete: there is nothing left to do", err=True)
    return 0


def _check_alone(request: RunRequest, flags: list[str]) -> None:
    """Raise a UsageError where --resume, which takes the settings of its run, is not alone."""
    if others := [*request.given(), *flags]:
        raise click.UsageError(
            f"--resume goes on with the settings that its run was begun with; leave out {others[0]}"
        )


def _is_complete(folder: Path, settings: Settings) -> bool:
    """Whether the folder holds the model that these settings would end with."""
    from seqnlp.bundle import MANIFEST
    from seqnlp.config import read_toml, settings_from
    from seqnlp.training.preparation import complete
    from seqnlp.training.record import begun

    if begun(folder) or not (folder / MANIFEST).is_file():
        return False
    path = folder / "config.toml"
    return settings_from(read_toml(path), str(path)) == complete(settings)


def _new_folder(settings: Settings, *, restarted: bool) -> Path:
    """`runs/<corpus>-<network>`, with a number where that holds a model or anything else.

    Where the run was begun before, it is the folder that it was begun in.
    """
    from seqnlp.training.preparation import in_use
    from seqnlp.training.record import begun

    corpus = re.sub(r"[^\w.-]+", "-", Path(settings.corpus.name).name).strip("-") or "corpus"
    model, decoder = settings.model, settings.head.get("decoder", "recurrent")
    network = model.cell if model.encoder == "recurrent" else model.encoder
    network += "" if decoder in ("recurrent", network) else f"-{decoder}"
    base = Path("runs") / f"{corpus}-{network}"
    numbered = (base.with_name(f"{base.name}-{n}") for n in itertools.count(2))
    return next(
        path
        for path in itertools.chain([base], numbered)
        if not in_use(path) or (restarted and begun(path))
    )
