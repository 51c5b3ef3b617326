"""`seqnlp tune`."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqnlp.cli.options import SpreadingCommand
from seqnlp.cli.run_options import RunRequest, run_options, settings_of
from seqnlp.config import Settings
from seqnlp.errors import InputError, TrainingError

if TYPE_CHECKING:
    from seqnlp.tuning import Tuning

DATABASE = "study.db"
OWN = (DATABASE, "best.toml", "report.html")
"""What a search writes."""


@click.command(cls=SpreadingCommand, short_help="Search for good settings.")
@run_options
@click.option(
    "--search",
    "searches",
    multiple=True,
    metavar="KEY=VALUES",
    help="What to look through: model.cell=rnn,lstm,gru, train.lr=log:1e-4..1e-1, "
    "model.hidden_size=int:32..256 or int:32..256:32, hooks.dropout.output=0..0.6.  "
    "[default: learning rate, size, cell and dropout]",
)
@click.option(
    "--sampler",
    type=click.Choice(["tpe", "random", "grid", "gp"]),
    default="tpe",
    show_default=True,
    help="How trials are drawn.",
)
@click.option(
    "--pruner",
    type=click.Choice(["halving", "median", "none"]),
    default="halving",
    show_default=True,
    help="Which trials end before their last epoch.",
)
@click.option(
    "--trials", type=click.IntRange(1), default=30, show_default=True, help="Trials of the study."
)
@click.option("--timeout", type=click.FloatRange(0), help="Seconds after which no trial begins.")
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Trials at once."
)
@click.option(
    "--storage",
    metavar="FILE|URL",
    help="Where the study is kept: a SQLite file or a database.  [default: study.db in the output]",
)
@click.option("--study", help="The name of the study.  [default: task-corpus]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The folder of best settings and report.  [default: runs/tune-CORPUS]",
)
@click.option("--json", "as_json", is_flag=True, help="All trials as one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    request: RunRequest,
    searches: tuple[str, ...],
    sampler: str,
    pruner: str,
    trials: int,
    timeout: float | None,
    workers: int,
    storage: str | None,
    study: str | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Search for settings that are better on validation than those of a RECIPE or the options.

    \b
    seqnlp tune --task sentiment
    seqnlp tune --search train.lr=log:1e-4..1e-1 --search model.cell=rnn,lstm,gru
    seqnlp tune recipes/sst2.toml --sampler gp --trials 60 --workers 2
    The first trial is of the settings as they are; the test split is not looked at. The same
    command again goes on with its study.
    """  # noqa: D301 - \b keeps the lines apart
    from seqnlp.tuning.storage import require_optuna

    require_optuna()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a search starts its own processes: --workers N, without torchrun")
    settings, _ = settings_of(request)
    from seqnlp.cli import tune_report
    from seqnlp.cli.screen import open_screen
    from seqnlp.tuning.defaults import default_space
    from seqnlp.tuning.search import tune
    from seqnlp.tuning.space import parse_space

    space = parse_space(searches) or default_space(settings)
    folder = output or _folder(settings)
    screen = open_screen(error=True)
    with _claimed(folder):
        lines = tune_report.heading(settings, space, sampler, pruner, trials)
        with tune_report.Display(screen, trials, lines, quiet=quiet) as display:
            found = tune(
                settings,
                space,
                output=folder,
                storage=storage or str(folder / DATABASE),
                study=study,
                sampler=sampler,
                pruner=pruner,
                trials=trials,
                timeout=timeout,
                workers=workers,
                watcher=display,
            )
    if found.best is None and not found.interrupted:
        raise TrainingError(_failure(found))
    from seqnlp.tuning.report import write_report

    page = write_report(found, folder)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        tune_report.result(open_screen(), found, folder, page)
    return 130 if found.interrupted else 0


def _folder(settings: Settings) -> Path:
    corpus = re.sub(r"[^\w.-]+", "-", Path(settings.corpus.name).name).strip("-") or "corpus"
    return Path("runs") / f"tune-{corpus}"


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Make the folder, and take it back where the search was refused before it began."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder")
    fresh = not folder.exists()
    if not fresh:
        for entry in folder.iterdir():
            if entry.name not in OWN and not entry.name.startswith(f"{DATABASE}-"):
                raise InputError(
                    f"{folder} is in use: it holds {entry.name}, which is of no search; "
                    "name another folder"
                )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    try:
        yield
    except InputError:
        if fresh:
            _take_back(folder)
        raise


def _take_back(folder: Path) -> None:
    """Remove a folder in which no trial has left anything but an empty study."""
    if not {entry.name for entry in folder.iterdir()} - {DATABASE}:
        (folder / DATABASE).unlink(missing_ok=True)
        folder.rmdir()


def _failure(found: Tuning) -> str:
    failed = [trial for trial in found.trials if trial.status == "failed"]
    if not failed:
        return "no trial was complete before the time was over; the same command goes on"
    return f"all {len(failed)} trials failed; the first one: {failed[0].reason}"
