"""`seqnlp compare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqnlp.cli.decoding import check_decoding, decoding_options, set_decoding
from seqnlp.cli.options import SpreadingCommand, device_name
from seqnlp.cli.run_options import SHORT, RunRequest, setting_options, settings_of
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.comparison.measuring import Exam
    from seqnlp.comparison.runs import System
    from seqnlp.comparison.wanted import Wanted

_MEASURING = ("--corpus", "--columns", "--batch-size", "--device", "--engine")
"""Options of a training that are of a measurement, too."""


@click.command(cls=SpreadingCommand, short_help="Compare runs, seeds and cells.")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@click.option("--seeds", type=click.IntRange(1), help="Train each with so many seeds.")
@click.option("--cells", metavar="A,B,...", help="Train with each of these cells, and compare.")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=A,B,...",
    help="Train with each value of a setting: head.attention=default,additive.",
)
@click.option(
    "--against",
    type=click.Choice(["first", "best"]),
    default="first",
    show_default=True,
    help="What the others are compared with; best is by validation.",
)
@click.option("--plot", type=click.Path(path_type=Path), help="A picture of the learning curves.")
@click.option(
    "--output", type=click.Path(path_type=Path),
    help="A folder for the runs of --cells and --vary.  [default: one in runs/]",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Trainings at a time."
)
@click.option("--split", help="The split to compare on.  [default: test, or the only one]")
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress display.")
@decoding_options
@setting_options
def command(
    request: RunRequest,
    runs: tuple[Path, ...],
    seeds: int | None,
    cells: str | None,
    vary: tuple[str, ...],
    against: str,
    plot: Path | None,
    output: Path | None,
    workers: int,
    split: str | None,
    as_json: bool,
    quiet: bool,
    decoding: dict[str, object],
) -> int:
    """Compare saved models on the same texts, or train with several cells and compare.

    \b
    seqnlp compare runs/a runs/b
    seqnlp compare runs/a runs/b runs/c --seeds 5 --plot curves.png
    seqnlp compare --cells rnn,lstm,gru,mingru --corpus sst2 --seeds 3
    seqnlp compare recipes/sst2.toml --vary train.lr=0.001,0.002 --vary cell=lstm,gru
    Two runs are compared by paired bootstrap resampling of the texts (Koehn 2004), runs of several
    seeds by a paired permutation test over the seeds. Runs that differ in nothing but their seeds
    are one system. What has been trained before is not trained again.
    """  # noqa: D301 - \b keeps the lines apart
    trains = cells is not None or bool(vary)
    if plot is not None:
        from seqnlp.plotting import check_picture

        check_picture(plot, "--plot")
    wanted = (
        _variants(request, runs, cells, vary, seeds or 1, output)
        if trains
        else _named(request, runs, seeds, output)
    )
    from seqnlp.cli.compare_training import train_missing
    from seqnlp.cli.evaluate import choose_split
    from seqnlp.comparison.measuring import Exam
    from seqnlp.comparison.runs import check_comparable

    short = request.short
    # Of variants, all these are of the training.
    exam = Exam(
        corpus=None if trains else short["corpus"],
        columns={} if trains else dict(request.columns),
        batch_size=None if trains else short["batch_size"],
        device=device_name(short["device"] or "auto", None),
        engine=None if trains else short["engine"],
        prepare=lambda task: set_decoding(task, decoding),
    )
    check_comparable([run for each in wanted for run in each.runs], corpus=exam.corpus)
    # What cannot be measured is not worth a training.
    for each in wanted:
        check_decoding(each.settings, decoding)
    corpus = exam.corpus_for(wanted[0].settings)
    split = choose_split(corpus, split)
    corpus.split(split)
    systems, complete = train_missing(wanted, workers=workers, quiet=quiet)
    _compare(systems, exam, corpus.name, split, against, plot, as_json=as_json)
    return 0 if complete else 1


def _named(
    request: RunRequest, folders: Sequence[Path], seeds: int | None, output: Path | None
) -> list[Wanted]:
    """The runs in folders, and what is missing of their seeds."""
    from seqnlp.comparison.runs import Run, systems_of
    from seqnlp.comparison.wanted import Wanted, more_seeds

    given = [*request.given(), *(["--output"] if output is not None else [])]
    if others := [word for word in given if word not in _MEASURING]:
        raise click.UsageError(f"{others[0]} is for trainings by --cells or --vary")
    if len(folders) < (2 if seeds is None else 1):
        raise click.UsageError("name two runs at least, or --cells to train some")
    systems = systems_of([Run.read(folder) for folder in folders], apart=seeds is None)
    if seeds is not None:
        return [more_seeds(system, seeds) for system in systems]
    return [Wanted(name=each.name, runs=each.runs) for each in systems]


def _variants(
    request: RunRequest,
    recipes: Sequence[Path],
    cells: str | None,
    vary: Sequence[str],
    seeds: int,
    output: Path | None,
) -> list[Wanted]:
    """All variants of one run that are to be trained."""
    from seqnlp.comparison.variants import parse_axis, variants_of
    from seqnlp.comparison.wanted import wanted_variants

    if len(recipes) > 1:
        raise click.UsageError(
            f"--cells and --vary train from one recipe; {recipes[1]} is one too many"
        )
    axes = [parse_axis(f"model.cell={cells}", option="--cells")] if cells is not None else []
    axes += [parse_axis(text, SHORT) for text in vary]
    for axis in axes:
        options = [name for name, key in SHORT.items() if key == axis.key]
        set_too = any(each.partition("=")[0].strip() == axis.key for each in request.overrides)
        if set_too or any(request.short[name] is not None for name in options):
            raise InputError(f"{axis.key} is set to one value and varied too")
    recipe = str(recipes[0]) if recipes else None
    made = []
    for variant in variants_of(axes):
        overrides = (*variant.overrides, *request.overrides)
        settings, _ = settings_of(replace(request, recipe=recipe, overrides=overrides))
        made.append((variant.name, settings))
    return wanted_variants(made, [axis.key for axis in axes], seeds, output)


def _compare(
    systems: Sequence[System],
    exam: Exam,
    corpus: str,
    split: str,
    against: str,
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    from seqnlp.cli import compare_tables as tables
    from seqnlp.comparison.curves import draw, monitored
    from seqnlp.comparison.differences import best_by_validation, differences
    from seqnlp.comparison.measuring import Measured

    measured: dict[str, list[Measured]] = {}
    judge: Any = None
    for system in systems:
        for run in system.runs:
            if run.metrics.get("interrupted"):
                note = f"note: {run.folder} was interrupted in its training"
                open_screen(error=True).print(note, markup=False, soft_wrap=True)
        found = [exam.measure(run, split) for run in system.runs]
        judge = judge or found[0][1]
        measured[system.name] = [each for each, _ in found]
    base = best_by_validation(systems) if against == "best" else 0
    pairs = [(base, other) for other in range(len(systems)) if other != base]
    made = differences(systems, measured, pairs, judge, split)
    outcome = tables.Outcome(
        corpus=corpus,
        split=split,
        systems=systems,
        measured=measured,
        differences=made,
        figure=monitored(systems),
        task=judge,
    )
    if plot is not None:
        draw(systems, outcome.figure, plot)
    if as_json:
        click.echo(json.dumps(tables.record(outcome)))
        return
    screen = open_screen()
    tables.show(screen, outcome)
    if plot is not None:
        screen.print(f"learning curves in {plot}", markup=False, soft_wrap=True)
