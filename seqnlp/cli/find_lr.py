"""`seqnlp find-lr`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from seqnlp.cli.options import SpreadingCommand
from seqnlp.cli.run_options import RunRequest, run_options, settings_of

if TYPE_CHECKING:
    from seqnlp.tuning.range_test import RangeTest

WIDTH = 60


@click.command(cls=SpreadingCommand, short_help="Find a learning rate by letting it rise.")
@run_options
@click.option("--from", "low", type=float, default=1e-6, show_default=True, help="The first one.")
@click.option("--to", "high", type=float, default=1.0, show_default=True, help="The last one.")
@click.option("--steps", type=int, default=100, show_default=True, help="Batches between them.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the losses: a file ending in .png, .svg or .pdf.",
)
@click.option("--json", "as_json", is_flag=True, help="All losses as one JSON object.")
@click.option("--quiet", is_flag=True, help="No progress display.")
def command(
    request: RunRequest,
    low: float,
    high: float,
    steps: int,
    plot: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Let the learning rate rise from batch to batch, and read a good one off the loss.

    \b
    seqnlp find-lr --task sentiment
    seqnlp find-lr recipes/sst2.toml --cell gru --plot lr.svg
    The range test of Smith 2017. Nothing is saved but the plot.
    """  # noqa: D301 - \b keeps the lines apart
    settings, _ = settings_of(request)
    if plot is not None:
        from seqnlp.plotting import check_picture

        check_picture(plot, "--plot")
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from seqnlp.cli.screen import open_screen
    from seqnlp.tuning.range_test import picture, range_test

    screen = open_screen(error=True)
    with Progress(
        TextColumn("steps"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        console=screen,
        transient=True,
        disable=quiet or not screen.is_terminal,
    ) as progress:
        bar = progress.add_task("steps", total=steps, state="")

        def show(step: int, lr: float, loss: float) -> None:
            progress.update(bar, completed=step, state=f"lr {lr:.1e}  loss {loss:.3f}")

        test = range_test(settings, low=low, high=high, steps=steps, on_step=show)
    if plot is not None:
        from seqnlp.plotting import save_figure

        save_figure(picture(test), plot)
    if as_json:
        click.echo(json.dumps(test.as_dict()))
    else:
        _show(open_screen(), test, settings.train.lr)


def _show(screen: Console, test: RangeTest, lr: float) -> None:
    from seqnlp.plotting import sparkline

    if test.lrs:
        first, last = f"{test.lrs[0]:.0e}", f"{test.lrs[-1]:.0e}"
        # A loss that has gone up far would leave no bars for its fall.
        top = min(max(test.smoothed), 1.5 * test.smoothed[0])
        line = sparkline(test.smoothed, width=WIDTH, between=(min(test.smoothed), top))
        screen.print(f"loss  {line}")
        screen.print(f"lr    {first}{last:>{max(len(line) - len(first), 6)}}")
    for told in _verdict(test, lr):
        screen.print(told, soft_wrap=True)


def _verdict(test: RangeTest, lr: float) -> list[str]:
    """What the test says, and what to type."""
    end = "the loss diverged" if test.diverged else "the loss did not diverge"
    if test.suggestion is None:
        return [f"{end}, and neither fell nor rose before: no learning rate to suggest; try more "
                "--steps or a wider range"]  # fmt: skip
    if test.minimum is None:
        return [
            f"the loss did not fall in these few steps; above {test.limit:.2g} it rises",
            f"a third of that: --lr {test.suggestion:g} (the settings have {lr:g}); --steps "
            f"{10 * len(test.lrs)} would show more",
        ]
    return [
        f"least loss at {test.minimum:.2g}, steepest fall at {test.steepest:.2g}; {end}",
        f"a third of the former: --lr {test.suggestion:g} (the settings have {lr:g}); cautious, a "
        f"tenth: --lr {test.cautious:g}",
    ]
