"""`seqnlp evaluate`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seqnlp.cli.answers import one_line
from seqnlp.cli.decoding import decoding_options, describe, set_decoding
from seqnlp.cli.inputs import check_outputs
from seqnlp.cli.options import (
    SpreadingCommand,
    columns_option,
    device_name,
    engine_option,
    model_argument,
    quantize_option,
)
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError
from seqnlp.files import write_text

if TYPE_CHECKING:
    from seqnlp.data.corpus import Corpus


@click.command(cls=SpreadingCommand, short_help="Measure a saved model on a split of a corpus.")
@model_argument
@click.option("--split", help="The split to measure on.  [default: test, or the only one]")
@click.option("--corpus", help="Another corpus than the model's own.")
@columns_option
@decoding_options
@click.option(
    "--output", type=click.Path(path_type=Path), help="A file to save the answers in, one a line."
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@engine_option
@quantize_option
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON object.")
def command(
    model: Path,
    split: str | None,
    corpus: str | None,
    columns: tuple[tuple[str, str], ...],
    decoding: dict[str, object],
    output: Path | None,
    batch_size: int,
    device: str,
    engine: str | None,
    quantize: str | None,
    as_json: bool,
) -> None:
    """Measure the MODEL in a folder on a split of its corpus, or of another.

    With --quantize the float model and the quantized one are measured side by side: figures,
    answers, sizes and speed.
    """
    from seqnlp.bundle import load
    from seqnlp.cli import report

    loaded = load(model, device=device_name(device, quantize), engine=engine)
    task = loaded.task
    set_decoding(task, decoding)
    if quantize is not None and output is not None:
        raise InputError("--output saves the answers of one model; leave --quantize out")
    chosen = loaded.corpus(corpus, dict(columns))
    split = choose_split(chosen, split)
    if quantize is not None:
        from seqnlp.cli.quantized import compare

        compare(loaded, quantize, chosen, split, batch_size=batch_size, as_json=as_json)
        return
    examples = chosen.split(split)
    if output is not None:
        from seqnlp.data.provenance import files_of

        read = [*_files_of_model(model), *files_of(chosen, task.fields)]
        check_outputs(tuple(map(str, read)), {"--output": output})
    rows = task.read(examples)
    started = time.perf_counter()
    answers = task.answer(rows, batch_size=batch_size)
    seconds = time.perf_counter() - started
    if output is not None:
        write_text(output, "".join(f"{one_line(answer.output)}\n" for answer in answers))
    measured = task.report(answers, task.references_in(chosen, split))
    if as_json:
        record = {"corpus": chosen.name, "split": split, **measured}
        if task.decoding is not None:
            record["decoding"] = task.decoding.model_dump(mode="json")
        click.echo(json.dumps(record))
        return
    screen = open_screen()
    report.evaluation(screen, chosen.name, split, model.name, measured)
    if task.decoding is not None:
        screen.print(
            f"{describe(task.decoding)}: {len(answers):,} texts in {seconds:.1f} s, "
            f"{len(answers) / seconds:,.0f} a second",
            soft_wrap=True,
        )


def _files_of_model(folder: Path) -> list[Path]:
    from seqnlp.manifest import MANIFEST, read_manifest
    from seqnlp.training.hooks.reporting import LOG

    names = (MANIFEST, *read_manifest(folder).sha256, "metrics.json", "README.md", LOG)
    return [folder / name for name in names]


def choose_split(corpus: Corpus, name: str | None) -> str:
    """The split of that name, or else test, or the only one."""
    if name is not None:
        return name
    return next(iter(corpus.splits)) if len(corpus.splits) == 1 else "test"
