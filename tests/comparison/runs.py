"""Records of runs that nobody trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqnlp.comparison.runs import Run
from tests.toy_seeds import tiny


def made_up(
    folder: str, *overrides: str, epochs: Sequence[Mapping[str, Any]] = (), **metrics: Any
) -> Run:
    """A run that is nowhere, of one member."""
    settings = tiny(Path("toy"), *overrides)
    courses = {"training": [{"epochs": list(epochs)}], **metrics}
    return Run(folder=Path(folder), settings=settings, metrics=courses)
