"""Inputs to try a model on."""

from __future__ import annotations

from collections.abc import Iterable


def short_example(texts: Iterable[str], *, most: int = 60) -> str:
    """The first short text, to try a model on; else the beginning of one, in whole words."""
    lines = (" ".join(text.split()) for text in texts)
    line = min(lines, key=lambda line: (not line, len(line) > most), default="")
    return line if len(line) <= most else line[: most + 1].rpartition(" ")[0] or line[:most]
