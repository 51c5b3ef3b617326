"""Tables of summaries: other references, likeness to train, what is new, copied and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from seqnlp.cli.tables import plain_table
from seqnlp.tasks.metrics import figures_of, heading

_ORDERS = ("1", "2", "3")


def by_similarity(report: Mapping[str, Any]) -> Table:
    """Figures of examples by how near their documents are to train."""
    shown = figures_of([report])
    table = plain_table("by similarity of the document to the nearest one in train")
    others = [name for name in ("mean", "best") if "others" in report]
    first = next(iter(shown))
    headings = [heading(*each) for each in shown.items()]
    titles = [f"{headings[0]}, {name} of others" for name in others]
    for title in ("cosine", "examples", *headings):
        table.add_column(title, justify="right", no_wrap=True)
    for title in titles:  # which may break: they are longer than what stands below
        table.add_column(title, justify="right")
    for bucket in report["similarity"]:
        last = bucket["to"]
        likeness = f"from {bucket['from']}" if last is None else f"{bucket['from']} to {last}"
        values = [f"{bucket[name]:.1f}" for name in shown]
        values += [
            f"{bucket['others'][name][first]:.1f}" if "others" in bucket else "" for name in others
        ]
        table.add_row(likeness, f"{bucket['examples']:,}", *values)
    return table


def originality(report: Mapping[str, Any]) -> Table:
    """What of the summaries and of their references is new, and what is copied."""
    table = plain_table("in % of the words, or of the distinct runs of words")
    table.add_column("", no_wrap=True)
    titles = [f"new {n}-grams" for n in _ORDERS]
    for title in (*titles, "copied", "words copied in a row"):
        table.add_column(title, justify="right")
    for name, prefix in (("summaries", ""), ("references", "reference_")):
        new, copied = report[f"{prefix}novelty"], report[f"{prefix}copied"]
        shares = [*(new[n] for n in _ORDERS), copied["rate"]]
        table.add_row(name, *(f"{100 * share:.1f}" for share in shares), f"{copied['length']:.1f}")
    return table


def repetition(report: Mapping[str, Any]) -> str:
    """A line on trigrams that stand in a summary twice."""
    found = report["repetition"]
    return (
        f"repeated trigrams: in {100 * found['summaries']:.2f} % of the summaries, "
        f"{100 * found['trigrams']:.2f} % of all trigrams"
    )
