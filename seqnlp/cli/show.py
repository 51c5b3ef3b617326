"""`seqnlp show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from seqnlp.cli.options import model_argument
from seqnlp.cli.screen import open_screen

if TYPE_CHECKING:
    from seqnlp.bundle import Model

TOKENS = 30
"""Of the texts whose engines are shown."""


@click.command(short_help="Describe a saved model.")
@model_argument
def command(model: Path) -> None:
    """Describe the MODEL in a folder: settings, sizes, figures, vocabulary, size on disk."""
    from seqnlp.bundle import load, read_manifest
    from seqnlp.cli.report import figures
    from seqnlp.model_folder import find_folder

    screen = open_screen()
    folder = find_folder(model)
    loaded = load(folder)
    manifest = read_manifest(folder)
    screen.print(f"[bold]{model}[/]: saved by seqnlp {manifest.seqnlp}")
    metrics = loaded.metrics
    rows = [(name, "this model", metrics[name]) for name in ("validation", "test")
            if name in metrics]  # fmt: skip
    rows += [(metrics["baseline_split"], n, r) for n, r in metrics.get("baselines", {}).items()]
    screen.print(figures(rows))
    sizes = Table(title="parameters", title_justify="left")
    sizes.add_column("part")
    sizes.add_column("numbers", justify="right")
    total = 0
    for part, count in _sizes(loaded.task):
        sizes.add_row(part, f"{count:,}")
        total += count
    sizes.add_row("all", f"{total:,}")
    screen.print(sizes)
    screen.print(_engines(loaded))
    pipelines = loaded.task.pipelines
    for name, pipeline in pipelines.items():
        vocabulary = pipeline.vocabulary
        assert vocabulary is not None
        first = ", ".join(vocabulary.tokens[:12])
        of = f" of {name}" if len(pipelines) > 1 else ""
        screen.print(f"vocabulary{of}: {len(vocabulary):,} tokens: {first}, ...", markup=False)
    on_disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    screen.print(f"on disk: {on_disk / 1e6:.1f} MB")
    screen.print("\nsettings (config.toml):")
    screen.print(loaded.settings.to_toml(), markup=False)


def _engines(model: Model) -> Table | str:
    """What runs the recurrences on this machine, in training and afterwards."""
    from seqnlp.config import build
    from seqnlp.errors import InputError
    from seqnlp.nn import engines
    from seqnlp.nn.layer import explain_engines, ragged_lengths
    from seqnlp.registry import hooks
    from seqnlp.training.preparation import choose_device

    settings = model.settings
    try:
        asked = engines.describe(settings.model.engine)
    except InputError as error:
        return f"engine: {error}"
    device = choose_device("auto")
    task = model.task.to(device)
    size = settings.train.batch_size
    ragged = ragged_lengths(size, TOKENS)
    cases = {
        f"training, {size} texts of {TOKENS} tokens": (True, [TOKENS] * size),
        f"training, {size} texts of {min(ragged)} to {TOKENS} tokens": (True, ragged),
        f"one text of {TOKENS} tokens": (False, [TOKENS]),
    }
    table = Table(title=f"engine {asked}, on {device}", title_justify="left")
    for heading in ("to run", "engine", "why no faster one"):
        table.add_column(heading)
    # A saved model has no dropout, but in training it may rule an engine out.
    options = settings.hooks.get("dropout", False)
    dropout = build(
        hooks.get("dropout"), options if isinstance(options, dict) else {}, where="hooks.dropout"
    )
    dropout.set(task)
    for case, (training, lengths) in cases.items():
        try:
            chosen = explain_engines(task, lengths, training=training)
        except InputError as error:
            chosen = {"none": str(error)}
        for name, why in chosen.items():
            table.add_row(case, name, Text(why or ""))
    dropout.unset(task)
    return table if table.row_count else ""


def _sizes(task: object) -> list[tuple[str, int]]:
    """Numbers by part of one member, then of the other members together."""
    from seqnlp.tasks.base import Task

    assert isinstance(task, Task)
    counts: dict[str, int] = {}
    for name, weight in task.named_parameters():
        parts = name.split(".")
        if parts[0] == "members":
            parts = parts[2:] if parts[1] == "0" else ["further members"]
        counts[parts[0]] = counts.get(parts[0], 0) + weight.numel()
    return list(counts.items())
