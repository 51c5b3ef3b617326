"""`seqnlp show`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from seqnlp.cli.options import model_argument
from seqnlp.cli.screen import open_screen


@click.command(short_help="Describe a saved model.")
@model_argument
def command(model: Path) -> None:
    """Describe the MODEL in a folder: settings, sizes, figures, vocabulary, size on disk."""
    from seqnlp.bundle import load, read_manifest
    from seqnlp.cli.report import figures

    screen = open_screen()
    loaded = load(model)
    manifest = read_manifest(model)
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
    vocabulary = loaded.task.pipeline.vocabulary
    assert vocabulary is not None
    first = ", ".join(vocabulary.tokens[:12])
    screen.print(f"vocabulary: {len(vocabulary):,} tokens: {first}, ...", markup=False)
    on_disk = sum(path.stat().st_size for path in model.iterdir() if path.is_file())
    screen.print(f"on disk: {on_disk / 1e6:.1f} MB")
    screen.print("\nsettings (config.toml):")
    screen.print(loaded.settings.to_toml(), markup=False)


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
