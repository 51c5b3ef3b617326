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
    if not _is_record(found):
        raise InputError(
            f"{where}: expected a diagnosis with seed, epoch, step, layers and weights"
        )
    return dict(found)


def _is_record(found: Any) -> bool:
    """Whether it has all that is shown of a course."""
    try:
        numbers = [found[key] for key in ("seed", "epoch", "step")]
        numbers += [each["flow"]["carry"][-1] for each in found["layers"]]
        numbers += [each["update"] for each in found["weights"]]
        names = [each[key] for each in found["layers"] for key in ("path", "name")]
        names += [each["name"] for each in found["weights"]]
    except (KeyError, IndexError, TypeError):
        return False
    known = all(isinstance(each, int | float | None) for each in numbers)
    return known and all(isinstance(each, str) for each in names)


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
