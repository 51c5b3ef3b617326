"""Weights of attention for the eye: a grid in the terminal, or a picture."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text

from seqnlp.cli.screen import open_screen
from seqnlp.errors import InputError, MissingPackageError
from seqnlp.files import new_file
from seqnlp.types import Prediction

END = "<eos>"
"""What stands for the end of the output."""
PICTURES = (".png", ".svg", ".pdf")
MOST_PICTURES = 100
_BLOCKS = " ░▒▓█"
_LONGEST = 14
"""Cells of a token that are shown."""
_LONG = 100
"""Tokens of a side above which a map has no room for all of them."""
_LEAST = 0.05
"""The weight below which a cell is empty."""

Floats = NDArray[np.float32]


class MapPrinter:
    """Shows the map of each answer's best output: on standard error, or in files.

    Args:
        path: of the first picture; further ones get a number. None for the terminal.

    labels: how a token of the source and one of the target are shown; as they are, unless set.

    Raises:
        InputError: a format that there is not.
        MissingPackageError: matplotlib is not installed.
    """

    labels: tuple[Callable[[str], str], Callable[[str], str]] = (str, str)

    def __init__(self, path: Path | None) -> None:
        self.path, self.number = path, 0
        self.screen = open_screen(error=True)
        if path is None:
            return
        if path.suffix.lower() not in PICTURES:
            raise InputError(f"--attention {path}: a picture ends in {', '.join(PICTURES)}")
        if find_spec("matplotlib") is None:
            raise MissingPackageError(
                f"--attention {path}: a picture needs the package matplotlib; pip install "
                "'seqnlp[plot]', or give --attention without a file for a map in the terminal"
            )

    def show(self, answer: Prediction) -> None:
        """Show the next answer, if it is of more than an empty text.

        Raises:
            InputError: the output has no attention, or the picture cannot be written.
        """
        if not answer.hypotheses:
            return
        best = answer.hypotheses[0]
        if best.attention is None:
            raise InputError(
                "no attention to show is known of a text that the model has not written, or has "
                "read in very many parts, nor with a decoder that gives no weights"
            )
        self.number += 1
        source = [self.labels[0](token) for token in answer.source_tokens]
        target = [self.labels[1](token) for token in best.tokens]
        if self.path is None:
            width = self.screen.width
            for line in draw(source, target, best.attention, width=width):
                self.screen.print(line, no_wrap=True, overflow="crop")
        elif self.number <= MOST_PICTURES:
            path = self.path
            if self.number > 1:
                path = path.with_stem(f"{path.stem}-{self.number}")
            save_picture(path, source, target, best.attention)
        elif self.number == MOST_PICTURES + 1:
            self.screen.print(f"note: no more than {MOST_PICTURES} pictures are drawn")


def draw(
    source: Sequence[str], target: Sequence[str], weights: Floats, *, width: int
) -> Iterator[Text]:
    """Lines of a grid: target tokens beside the rows, source tokens written down the columns.

    A cell is its weight in % where that fits the width, and a block of its shade otherwise; more
    columns than fit are drawn below. Of a long source, columns without any cell are left out.

    Args:
        source: S tokens. target: T of them, or T - 1 and the end. weights: float [T, S].
        width: cells of the screen.
    """
    if len(source) > _LONG:
        kept = np.flatnonzero((weights >= _LEAST).any(axis=0)).tolist()
        yield Text(f"{len(kept):,} of {len(source):,} source tokens have a weight of 5 % or more")
        source, weights = [source[place] for place in kept], weights[:, kept]
    columns = [_shown(token) for token in source]
    labels = ["".join(_shown(token)) for token in [*target, END][: len(weights)]]
    margin = max(map(cell_len, labels)) + 1
    narrow = max((cell_len(letter) for token in columns for letter in token), default=1)
    room = max(width - margin, 8)
    size = next((n for n in (3, 2) if n * len(columns) <= room), narrow)
    step = max(1, room // size)
    for begin in range(0, len(columns), step):
        if begin:
            yield Text()
        inside = slice(begin, begin + step)
        yield from _header(columns[inside], margin, size)
        for label, values in zip(labels, weights[:, inside], strict=True):
            line = Text(" " * (margin - 1 - cell_len(label)) + label + " ")
            for value in values:
                line.append(_cell(float(value), size), _shade(float(value)))
            yield line


def save_picture(path: Path, source: Sequence[str], target: Sequence[str], weights: Floats) -> None:
    """Draw a map into a file, by matplotlib, in the format of its ending; see `draw`.

    Of many tokens every n-th has its label, and there is no grid: these take more time and room
    than the weights.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure

    columns, rows = list(source), [*target, END][: len(weights)]
    figure = Figure(
        figsize=(min(1.6 + 0.32 * len(columns), 60), min(1.4 + 0.28 * len(rows), 60)),
        layout="constrained",
    )
    axes = figure.add_subplot()
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    aslant: dict[str, Any] = {"rotation": 60, "ha": "left", "rotation_mode": "anchor"}
    across, down = (slice(None, None, -(-len(names) // _LONG)) for names in (columns, rows))
    axes.set_xticks(range(len(columns))[across], columns[across], parse_math=False, **aslant)
    axes.set_yticks(range(len(rows))[down], rows[down], parse_math=False)
    axes.xaxis.tick_top()
    if max(len(columns), len(rows)) <= _LONG:
        axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="weight", fraction=0.03, pad=0.02)
    bar.outline.set_visible(False)
    with new_file(path) as file, warnings.catch_warnings():
        # A glyph that the font lacks is drawn as a box; that is told by the picture.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=150)


def _shown(token: str) -> list[str]:
    """The letters of a token with their accents, nothing invisible, no longer than fits."""
    letters: list[str] = []
    for character in token:
        if unicodedata.combining(character) and letters:
            letters[-1] += character
        elif character == " ":
            letters.append("␣")
        else:
            letters.append(character if character.isprintable() else "·")
    if sum(map(cell_len, letters)) <= _LONGEST:
        return letters
    return [*set_cell_size("".join(letters), _LONGEST - 1).rstrip(), "…"]


def _header(columns: Sequence[Sequence[str]], margin: int, size: int) -> Iterator[Text]:
    height = max(map(len, columns))
    for line in range(height):
        cells = []
        for letters in columns:
            place = line - (height - len(letters))
            letter = letters[place] if place >= 0 else ""
            cells.append(" " * (size - cell_len(letter)) + letter)
        yield Text(" " * margin + "".join(cells))


def _cell(weight: float, size: int) -> str:
    if size < 3:
        return _BLOCKS[sum(weight >= edge for edge in (0.05, 0.2, 0.4, 0.7))] * size
    percent = min(99, round(100 * weight)) if weight >= _LEAST else 0
    return f"{percent:>3}" if percent else "  ·"


def _shade(weight: float) -> Style:
    """From the screen's own color to blue."""
    if weight < _LEAST:
        return Style(dim=True)
    light = round(235 - 190 * min(1.0, weight))
    return Style.parse(f"{'white' if weight > 0.45 else 'black'} on rgb({light - 40},{light},255)")
