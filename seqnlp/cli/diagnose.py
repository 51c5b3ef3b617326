"""`seqnlp diagnose`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seqnlp.cli.options import (
    SpreadingCommand,
    columns_option,
    engine_option,
    model_argument,
)
from seqnlp.cli.screen import open_screen


@click.command(cls=SpreadingCommand, short_help="Say how gradients flow through a saved model.")
@model_argument
@click.option("--split", default="train", show_default=True, help="The split to take rows of.")
@click.option("--corpus", help="Another corpus than the model's own.")
@columns_option
@click.option(
    "--examples", type=click.IntRange(1), default=32, show_default=True, help="Rows to look at."
)
@click.option(
    "--span", type=click.IntRange(1), default=1000, show_default=True,
    help="The most steps back from the last of a row.",
)  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), help="A picture: FILE.png, .svg or .pdf.")
@click.option("--html", type=click.Path(path_type=Path), help="A page with all figures: FILE.html.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@engine_option
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON object.")
def command(
    model: Path,
    split: str,
    corpus: str | None,
    columns: tuple[tuple[str, str], ...],
    examples: int,
    span: int,
    plot: Path | None,
    html: Path | None,
    device: str,
    engine: str | None,
    as_json: bool,
) -> None:
    """Say how gradients flow through the MODEL in a folder, and what to do about it.

    \b
    seqnlp diagnose runs/reviews
    seqnlp diagnose runs/reviews --plot flow.png --html flow.html
    What a training was like is shown where it was run with --diagnose.
    """  # noqa: D301 - \b keeps the lines apart
    from seqnlp import plotting
    from seqnlp.bundle import load
    from seqnlp.cli.inputs import check_outputs
    from seqnlp.diagnosis import diagnose
    from seqnlp.diagnosis.course import COURSE, read_course
    from seqnlp.files import write_text
    from seqnlp.training.preparation import choose_device

    if plot is not None:
        plotting.check_picture(plot, "--plot")
    if html is not None:
        check_page(html)
    loaded = load(model, device=str(choose_device(device)), engine=engine)
    own = tuple(str(each) for each in model.iterdir() if each.is_file())
    check_outputs(own, {"--plot": plot, "--html": html})
    course = read_course(model)
    chosen = loaded.corpus(corpus, dict(columns))
    found = diagnose(loaded, chosen, split=split, examples=examples, span=span)
    if plot is not None:
        from seqnlp.diagnosis.pictures import draw

        plotting.save_figure(draw(found, course), plot)
    if html is not None:
        from seqnlp.diagnosis.page import page

        write_text(html, page(found, name=model.name, course=course))
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    from seqnlp.cli import diagnosis_report

    screen = open_screen()
    diagnosis_report.show(screen, found, name=str(model), corpus=chosen.name, course=course)
    if not course:
        screen.print(f"no {COURSE} here: train with --diagnose to see the course", soft_wrap=True)
    for path in (plot, html):
        if path is not None:
            screen.print(f"wrote {path}", markup=False, soft_wrap=True)


def check_page(path: Path) -> None:
    """See that a page can be written, before the work that it shows.

    Raises:
        InputError: no ending of a page, or no such folder.
        MissingPackageError: matplotlib is not installed.
    """
    from seqnlp.errors import InputError
    from seqnlp.plotting import require_matplotlib

    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {path}: a page ends in .html")
    if not path.parent.is_dir():
        raise InputError(f"--html {path}: no folder {path.parent}")
    require_matplotlib(f"--html {path}: a page")
