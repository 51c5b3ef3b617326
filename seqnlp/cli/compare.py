"""`seqnlp compare`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from seqnlp.cli.decoding import decoding_options, set_decoding
from seqnlp.cli.options import SpreadingCommand, columns_option, device_name, engine_option
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.bundle import Model
    from seqnlp.data.corpus import Corpus
    from seqnlp.types import Prediction

LEVEL = 0.05
"""What is called significant."""


@click.command(cls=SpreadingCommand, short_help="Say whether one saved model is better.")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--split", help="The split to compare on.  [default: test, or the only one]")
@click.option("--corpus", help="Another corpus than the first model's own.")
@columns_option
@decoding_options
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@engine_option
@click.option("--json", "as_json", is_flag=True, help="All figures as one JSON object.")
def command(
    first: Path,
    second: Path,
    split: str | None,
    corpus: str | None,
    columns: tuple[tuple[str, str], ...],
    decoding: dict[str, object],
    batch_size: int,
    device: str,
    engine: str | None,
    as_json: bool,
) -> None:
    """Compare the models in the folders FIRST and SECOND on the same texts.

    Both answer every text of the split; paired bootstrap resampling (Koehn 2004) then tells how
    far their figures would differ by the choice of those texts alone.
    """
    from seqnlp.bundle import load
    from seqnlp.cli.evaluate import choose_split

    models = [
        load(each, device=device_name(device, None), engine=engine) for each in (first, second)
    ]
    _check(models, (first, second))
    for model in models:
        set_decoding(model.task, decoding)
    chosen = models[0].corpus(corpus, dict(columns))
    split = choose_split(chosen, split)
    one, other = (_answers(model, chosen, split, batch_size) for model in models)
    task = models[0].task
    compared = task.compare(one, other, task.references(chosen.split(split)))
    if as_json:
        record = {"corpus": chosen.name, "split": split, "examples": len(one)}
        click.echo(json.dumps({**record, "figures": compared}))
        return
    screen = open_screen()
    names = f"{first}", f"{second}"
    where = f"{chosen.name} {split} ({len(one):,})"
    screen.print(_table(compared, names, where))
    for line in _verdicts(compared, names):
        screen.print(line, markup=False, soft_wrap=True)


def _check(models: Sequence[Model], folders: Sequence[Path]) -> None:
    """Raise an InputError, unless both models answer the same question."""
    one, other = (type(model.task) for model in models)
    # Summaries are compared, whether they are written or picked.
    if one.compare is not other.compare:
        tasks = [model.settings.task for model in models]
        raise InputError(
            f"{folders[0]} is for {tasks[0]} and {folders[1]} for {tasks[1]}: models are compared "
            "in one task"
        )
    pairs = [(m.settings.corpus.source, m.settings.corpus.target) for m in models]
    if None not in (*pairs[0], *pairs[1]) and pairs[0] != pairs[1]:
        told = " and ".join(
            f"{folder} translates {source} to {target}"
            for folder, (source, target) in zip(folders, pairs, strict=True)
        )
        raise InputError(f"{told}: models are compared in one direction")


def _answers(model: Model, corpus: Corpus, split: str, batch_size: int) -> list[Prediction]:
    rows = model.task.read(corpus.split(split))
    return model.task.answer(rows, batch_size=batch_size)


def _table(compared: Mapping[str, Any], names: tuple[str, str], where: str) -> Table:
    from seqnlp.cli.report import interval
    from seqnlp.cli.tables import plain_table
    from seqnlp.tasks.metrics import digits_of, heading, scale_of

    table = plain_table(f"{where}: {names[1]} against {names[0]}, by paired bootstrap")
    table.add_column("figure")
    for title in ("first", "second", "difference, 95 %", "second better in", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, each in compared.items():
        scale, digits = scale_of(each), digits_of(each) + 1
        table.add_row(
            heading(name, each),
            f"{scale * each['first']:.{digits}f}",
            f"{scale * each['second']:.{digits}f}",
            interval({**each["difference"], "unit": each.get("unit")}, signed=True),
            f"{100 * each['wins']:.1f} %",
            f"{each['p_value']:.3f}",
        )
    return table


def _verdicts(compared: Mapping[str, Any], names: tuple[str, str]) -> list[str]:
    from seqnlp.tasks.metrics import heading

    lines = []
    for name, each in compared.items():
        better = names[(each["difference"]["value"] > 0) != (each.get("better") == "lower")]
        if each["p_value"] < LEVEL:
            told = f"{better} is better; p < {LEVEL}"
        else:
            told = f"the difference may be chance; p = {each['p_value']:.2f}"
        lines.append(f"{heading(name, each)}: {told}")
    return lines
