"""Where the commands write for people."""

from __future__ import annotations

import sys

from rich.console import Console

FILE_WIDTH = 160
"""Columns where the output is no terminal: rich's 80 would break the tables."""


def open_screen(*, error: bool = False) -> Console:
    """Standard output, or standard error, which keeps the former clean for data."""
    terminal = (sys.stderr if error else sys.stdout).isatty()
    return Console(stderr=error, highlight=False, width=None if terminal else FILE_WIDTH)
