"""What of an answer was copied and from where: lines in the terminal, or a page of HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from seqnlp.cli.copy_page import FOOT, HEAD, article
from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError
from seqnlp.files import new_file
from seqnlp.tasks.copying import CopyExplanation, WrittenWord, explain_copies
from seqnlp.text.pipeline import TokenPipeline
from seqnlp.types import Prediction

PAGES = (".html", ".htm")
MOST_TEXTS = 1000
"""Of a page."""
_LONGEST = 20
"""Cells of a word that are shown."""
_LEAST = 0.05
"""The probability below which a source word has no line."""
_MOST = 3
"""Lines of a word."""
_COPIED = Style(color="blue", bold=True)
_HERE = Style(reverse=True)


class CopyPrinter:
    """Explains each answer's best output: on standard error, or in a page.

    Args:
        path: of the page; None for the terminal.
        pipelines: of source and target, in this order.
        open_: closes the page, which is there only then.

    Raises:
        InputError: a file that is no page, or cannot be written.
    """

    def __init__(
        self, path: Path | None, pipelines: Mapping[str, TokenPipeline], open_: ExitStack
    ) -> None:
        self.pipelines = pipelines
        self.screen = open_screen(error=True)
        self._number = 0
        self._page: BinaryIO | None = None
        if path is not None:
            if path.suffix.lower() not in PAGES:
                raise InputError(f"--explain copy {path}: a page ends in {' or '.join(PAGES)}")
            self._page = open_.enter_context(new_file(path))
            self._page.write(HEAD.encode())
            open_.callback(self._page.write, FOOT.encode())

    def show(self, answer: Prediction) -> None:
        """Explain the next answer, if it is of more than an empty text."""
        self._number += 1
        found = explain_copies(answer, self.pipelines)
        if self._page is None:
            self._print(answer, found)
        elif self._number <= MOST_TEXTS:
            self._page.write(article(self._number, answer.output, found).encode())
        elif self._number == MOST_TEXTS + 1:
            self.screen.print(f"note: the page has the first {MOST_TEXTS:,} texts")

    def _print(self, answer: Prediction, found: CopyExplanation | None) -> None:
        if found is None:
            if answer.output:
                self.screen.print(Text(f"{answer.output}\n  taken whole from a training example"))
            return
        for line in lines(found, width=self.screen.width):
            self.screen.print(line, no_wrap=True, overflow="crop")


def lines(found: CopyExplanation, *, width: int) -> Iterator[Text]:
    """A word to a line, and where it came from: the source word's number, from 1, in its context.

    Args:
        found: of an output.
        width: cells of the screen.
    """
    names = [_fitting(word.text, _LONGEST) for word in found.words]
    margin = max(map(cell_len, names), default=0)
    digits = len(str(len(found.source)))
    for name, word in zip(names, found.words, strict=True):
        copied = word.copied >= 0.5
        share = word.copied if copied else 1 - word.copied
        kind = "copied   " if copied else "generated"
        line = Text(name + " " * (margin - cell_len(name)), _COPIED if copied else Style())
        line.append(f"  {kind} {percent(share)}", Style(bold=False))
        yield from _origins(word, line, found.source, digits=digits, width=width)


def _origins(
    word: WrittenWord, line: Text, source: Sequence[str], *, digits: int, width: int
) -> Iterator[Text]:
    begin = line.cell_len
    shown = [each for each in word.origins[:_MOST] if each.probability >= _LEAST]
    if not shown:
        yield line
    for origin in shown:
        place = f"  word {origin.place + 1:>{digits}} {percent(origin.probability)}  "
        line.append(place, Style(dim=True))
        line.append_text(context(source, origin.place, room=width - line.cell_len))
        yield line
        line = Text(" " * begin)


def context(source: Sequence[str], place: int, *, room: int) -> Text:
    """A source word in brackets, between as many of its neighbors as there is room for.

    Args:
        source: the words.
        place: of the word.
        room: cells.
    """
    word = f"[{_fitting(source[place], max(room - 6, 2))}]"
    before, behind = place, place + 1
    left = room - cell_len(word) - 4  # what shows on each side that there is more
    grown = True
    while grown:
        grown = False
        if before > 0 and cell_len(source[before - 1]) + 1 <= left:
            before, grown = before - 1, True
            left -= cell_len(source[before]) + 1
        if behind < len(source) and cell_len(source[behind]) + 1 <= left:
            left -= cell_len(source[behind]) + 1
            behind, grown = behind + 1, True
    parts = Text(" ".join(["…"] * (before > 0) + list(source[before:place]) + [""]))
    parts.append(word, _HERE)
    parts.append(" ".join(["", *source[place + 1 : behind]] + ["…"] * (behind < len(source))))
    parts.truncate(room)
    return parts


def percent(share: float) -> str:
    """A share of 1 in five cells."""
    return f"{round(100 * share):>3} %"


def _fitting(word: str, room: int) -> str:
    return word if cell_len(word) <= room else set_cell_size(word, room - 1).rstrip() + "…"
