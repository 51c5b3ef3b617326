"""What a training took: its time, by what it was spent on, its speed and its memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from seqnlp.cli.tables import plain_table


def show(screen: Console, courses: Iterable[Mapping[str, Any]]) -> None:
    """The table of the trainings of a run, and a line of where their time went.

    Args:
        courses: those of metrics.json; what is of an earlier version was not measured.
    """
    measured = [course for course in courses if course.get("measured")]
    if measured:
        screen.print(table(measured))
        screen.print(by_part(measured), markup=False, soft_wrap=True)
        screen.print()


def table(courses: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each training: seconds, speed, padding and memory."""
    shown = plain_table("training; speed without validation")
    memory = {"peak_memory_mb": "peak MB", "peak_gpu_memory_mb": "GPU MB"}
    there = [key for key in memory if any(key in course["measured"] for course in courses)]
    titles = ("seed", "epochs", "seconds", "examples/s", "tokens/s", "padding")
    for title in (*titles, *(memory[key] for key in there)):
        shown.add_column(title, justify="right", no_wrap=True)
    for course in courses:
        found = course["measured"]
        shown.add_row(
            str(course["seed"]),
            str(len(course["epochs"])),
            f"{sum(found['seconds_by_part'].values()):,.1f}",
            f"{found['examples_per_second']:,.0f}",
            f"{found['tokens_per_second']:,.0f}",
            f"{100 * found['padding']:.1f} %",
            *(f"{found[key]:,.0f}" if key in found else "" for key in there),
        )
    return shown


def by_part(courses: Iterable[Mapping[str, Any]]) -> str:
    """time: forward 41 %, backward 40 %, ..., the largest first, those under 1 % together."""
    spent: Counter[str] = Counter()
    for course in courses:
        spent.update(course["measured"]["seconds_by_part"])
    whole = spent.total() or 1.0
    large = {name: seconds / whole for name, seconds in spent.most_common()
             if name != "other" and seconds >= 0.01 * whole}  # fmt: skip
    shares = [f"{name} {100 * share:.0f} %" for name, share in large.items()]
    rest = 1 - sum(large.values())
    return "time: " + ", ".join([*shares, *([f"other {100 * rest:.0f} %"] if rest > 0.005 else [])])
