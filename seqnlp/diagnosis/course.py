"""The diagnoses of a training, as the hook has written them down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqnlp.errors import InputError

COURSE = "diagnosis.jsonl"
"""A `Diagnosis` as JSON a line, with the seed beside it."""

Record = Mapping[str, Any]


def read_course(folder: Path) -> list[Record]:
    """The records of a run's first seed, in their order; none where it was not diagnosed.

    A last line without an end, as a killed process leaves it, does not count.

    Raises:
        InputError: a line that is none of a diagnosis, by file and number.
    """
    path = folder / COURSE
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    records = [
        _record(line, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.endswith("\n")
    ]
    return [record for record in records if record["seed"] == records[0]["seed"]]


def _record(line: str, where: str) -> Record:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from error
    if not isinstance(found, dict) or not {"seed", "epoch", "step", "layers"} <= found.keys():
        raise InputError(f"{where}: expected a diagnosis with seed, epoch, step and layers")
    return found


def layer_course(records: Sequence[Record], path: str, name: str) -> list[tuple[int, Record]]:
    """Of one layer and direction: the step of each record, and what it says of the layer.

    Args:
        records: as `read_course` gives them.
        path: of the layer's module. name: of the layer.
    """
    return [
        (record["step"], layer)
        for record in records
        for layer in record["layers"]
        if layer["path"] == path and layer["name"] == name
    ]
