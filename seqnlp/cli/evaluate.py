"""`seqnlp evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from seqnlp.cli.options import (
    SpreadingCommand,
    columns_option,
    device_name,
    engine_option,
    model_argument,
    quantize_option,
)
from seqnlp.cli.screen import open_screen


@click.command(cls=SpreadingCommand, short_help="Measure a saved model on a split of a corpus.")
@model_argument
@click.option("--split", help="The split to measure on.  [default: test, or the only one]")
@click.option("--corpus", help="Another corpus than the model's own.")
@columns_option
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

    loaded = load(model, device=device_name(device, quantize), engine=engine)
    chosen = loaded.corpus(corpus, dict(columns))
    if split is None:
        split = next(iter(chosen.splits)) if len(chosen.splits) == 1 else "test"
    if quantize is not None:
        from seqnlp.cli.quantized import compare

        compare(loaded, quantize, chosen, split, batch_size=batch_size, as_json=as_json)
        return
    report = loaded.evaluate(chosen, split, batch_size=batch_size)
    if as_json:
        click.echo(json.dumps({"corpus": chosen.name, "split": split, **report}))
        return
    from seqnlp.cli.report import confusion, figures

    screen = open_screen()
    screen.print(figures([(f"{chosen.name} {split}", model.name, report)]))
    if "confusion" in report:
        screen.print(confusion(report, f"confusion on {split}"))
