"""How far a command has come with many texts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seqnlp.cli.inputs import count_lines


@contextmanager
def following(
    inputs: tuple[str, ...], *, shown: bool, whole: bool = False
) -> Iterator[Callable[[int], None]]:
    """Yield what is told of every few answers; standard error shows it, where it is a terminal."""
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from seqnlp.cli.screen import open_screen

    screen, done, started = open_screen(error=True), 0, time.perf_counter()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(compact=True),
        console=screen,
        transient=True,
        refresh_per_second=4,
    ) as progress:
        bar = progress.add_task("answers", total=count_lines(inputs, whole=whole), speed="")

        def advance(answers: int) -> None:
            nonlocal done
            done += answers
            speed = f"{done / (time.perf_counter() - started):,.0f} a second"
            progress.update(bar, completed=done, speed=speed)

        yield advance
    seconds = time.perf_counter() - started
    screen.print(f"{done:,} answers in {seconds:.1f} s, {done / seconds:,.0f} a second")
