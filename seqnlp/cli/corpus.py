"""`seqnlp corpus`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from seqnlp.cli.options import SpreadingCommand, columns_option
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError

if TYPE_CHECKING:
    from seqnlp.data.description import CorpusSummary

WIDTH = 100
"""Characters of an example that are shown."""


@click.group(short_help="Look at a corpus.")
def command() -> None:
    """Look at a corpus."""


@command.command("show", cls=SpreadingCommand)
@click.argument("corpus")
@columns_option
@click.option("--source", help="The language to read of a parallel corpus: de.")
@click.option("--target", help="The language to write: en.")
@click.option("--task", help="Whose columns to read.  [default: translation for languages, or "
              "else sentiment]")  # fmt: skip
@click.option("--examples", type=click.IntRange(0), default=3, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of the validation split, where it is cut off train.")  # fmt: skip
def show(
    corpus: str,
    columns: tuple[tuple[str, str], ...],
    source: str | None,
    target: str | None,
    task: str | None,
    examples: int,
    seed: int,
) -> None:
    """Show a CORPUS: splits, labels, lengths, examples, and texts that occur more than once."""
    from seqnlp import registry
    from seqnlp.data.corpus import open_corpus
    from seqnlp.data.description import describe
    from seqnlp.data.languages import is_parallel

    languages = source, target
    task = task or ("sentiment" if languages == (None, None) else "translation")
    fields = registry.tasks.get(task).fields
    if languages != (None, None) and not is_parallel(fields):
        raise InputError(f"--source and --target: the task {task!r} reads no pairs of texts")
    opened = open_corpus(
        corpus, fields=fields, columns=dict(columns), seed=seed, languages=languages
    )
    _print(open_screen(), describe(opened, fields=fields, examples=examples))


def _print(screen: Console, summary: CorpusSummary) -> None:
    screen.print(f"{summary.name}  (license: {summary.license})", style="bold", markup=False)
    if summary.description:
        screen.print(summary.description, markup=False)
    for note in summary.notes:
        screen.print(f"note: {note}", markup=False)
    sizes = Table(title="splits", title_justify="left")
    headings = (
        "split", "rows", "field", "words: mean", "median", "95 %", "max", "distinct",
        "not in train",
    )  # fmt: skip
    for heading in headings:
        sizes.add_column(heading, justify="left" if heading in ("split", "field") else "right")
    for name, split in summary.splits.items():
        for field, lengths in split.lengths.items():
            w = lengths.words
            cells = [f"{w.mean:.1f}", f"{w.median:.0f}", f"{w.p95:.0f}", f"{w.max:,}"]
            new = "" if lengths.unseen is None else f"{lengths.unseen:.1%}"
            cells += [f"{lengths.vocabulary:,}", new]
            sizes.add_row(name, f"{split.rows:,}", field, *cells)
    screen.print(sizes)
    if summary.pair and any(split.ratios is not None for split in summary.splits.values()):
        read, written = summary.pair
        title = f"words of the {written} for one of the {read}"
        ratios = Table(title=title, title_justify="left")
        for heading in ("split", "mean", "5 %", "95 %", "least", "most"):
            ratios.add_column(heading, justify="left" if heading == "split" else "right")
        for name, split in summary.splits.items():
            if (r := split.ratios) is not None:
                figures = (r.mean, r.p5, r.p95, r.min, r.max)
                ratios.add_row(name, *(f"{figure:.2f}" for figure in figures))
        screen.print(ratios)
    labels = list(dict.fromkeys(label for s in summary.splits.values() for label in s.labels))
    if labels:
        counts = Table(title="labels", title_justify="left")
        counts.add_column("label")
        for name in summary.splits:
            counts.add_column(name, justify="right")
        for label in labels:
            shares = (
                f"{split.labels.get(label, 0):,} ({split.labels.get(label, 0) / split.rows:.1%})"
                for split in summary.splits.values()
            )
            counts.add_row(label, *shares)
        screen.print(counts)
    for each in summary.duplicates:
        where = f"within {each.first}" if each.first == each.second else (
            f"of {each.second} also in {each.first}"
        )  # fmt: skip
        answers = {"target": "with another translation", "summary": "with another summary"}
        other = answers[summary.pair[1]] if summary.pair else "under another label"
        conflict = f", {each.conflicting:,} {other}" if each.conflicting else ""
        screen.print(f"duplicates: {each.rows:,} texts {where}{conflict}")
    for name, split in summary.splits.items():
        for row in split.examples:
            values = [_short(str(row[field])) for field in summary.pair or reversed([*row])]
            shown = (" -> " if summary.pair else "  ").join(values)
            screen.print(f"{name}: {shown}", markup=False, soft_wrap=True)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= WIDTH else flat[: WIDTH - 3] + "..."
