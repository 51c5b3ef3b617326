"""What a diagnosis finds, as values that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from seqnlp.diagnosis.gates import Block, GateUse
from seqnlp.diagnosis.through_time import Flow

Character = Literal["carries", "fades", "vanishes", "grows", "explodes", "unknown"]
FADED, GROWN = 1e-2, 1e2
"""What is left of a gradient that has faded, and of one that has grown."""
STEADY = 0.1
"""What the second half of the way leaves of a gradient, where it is carried."""


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One direction of a recurrent layer.

    name: "encoder layer 1 forward". path: of the module in the task. cell: the class of the cell.
    remembers: whether it has a forget gate. units: of its output. dead_units: of them, those that
    hardly vary. rows: that it read. median_steps: of the rows.
    """

    name: str
    path: str
    cell: str
    remembers: bool
    units: int
    dead_units: int
    rows: int
    median_steps: int
    flow: Flow
    gates: tuple[GateUse, ...]
    blocks: tuple[Block, ...]

    @property
    def character(self) -> Character:
        """What the recurrence alone makes of a gradient over the steps that were measured."""
        flow = self.flow
        if flow.steps == 0 or not all(math.isfinite(each) for each in flow.carry):
            return "unknown"
        if flow.explodes_at is not None:
            return "explodes"
        if flow.vanishes_at is not None:
            return "vanishes"
        last = flow.carry[-1]
        if last < FADED:
            # What is lost at once, as by a saturated output, is not lost in time.
            return "fades" if last < STEADY * flow.carry[flow.steps // 2] else "carries"
        return "grows" if last > GROWN else "carries"


@dataclass(frozen=True, kw_only=True)
class WeightReport:
    """A trained parameter.

    gradient: norm of the mean loss's gradient over the norm of the weight. update: norm of the last
    step's change over that norm; None outside of training.
    """

    name: str
    norm: float
    gradient: float
    update: float | None = None


@dataclass(frozen=True, kw_only=True)
class Clipping:
    """What the hook `clip` has done since the last look.

    limit: of the norm. steps: that were taken. cut: of them, how many gradients were longer. kept:
    the mean share of their norm that these kept; 1 where there is none.
    """

    limit: float
    steps: int
    cut: int
    kept: float

    @property
    def share(self) -> float:
        """Of the steps that were cut."""
        return self.cut / self.steps if self.steps else 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A finding in a sentence, and what to type against it.

    kind: "vanishes", "dead units", ... level: "good", "note" or "warning". where: the layer or the
    part. remedy: flags of `seqnlp train` in a sentence; empty where nothing need be done.
    """

    kind: str
    level: Literal["good", "note", "warning"]
    where: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was measured in one batch.

    split: that it is from. rows: of the batch. loss: mean, in nats a unit. epoch, step: of the
    training, where it was in one.
    """

    split: str
    rows: int
    loss: float
    layers: tuple[LayerReport, ...]
    weights: tuple[WeightReport, ...]
    verdicts: tuple[Verdict, ...]
    clipping: Clipping | None = None
    epoch: int | None = None
    step: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON values; what is not finite is None."""
        found = asdict(self)
        for layer, values in zip(self.layers, found["layers"], strict=True):
            flow = layer.flow
            values["character"] = layer.character
            values["flow"] |= {
                "steps": flow.steps,
                "factor": flow.factor,
                "half_life": flow.half_life,
                "vanishes_at": flow.vanishes_at,
                "explodes_at": flow.explodes_at,
            }
        if self.clipping is not None:
            found["clipping"]["share"] = self.clipping.share
        plain: dict[str, Any] = _plain(found)
        return plain


def _plain(value: Any) -> Any:
    """Numbers to five digits, tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def short(value: float, digits: int = 2) -> str:
    """A number to so many decimals; one of many digits as 1.2e+30."""
    return f"{value:.{digits}f}" if abs(value) < 1e4 else f"{value:.1e}"


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """What people call layers: "members.0.encoder.layers.1" is "encoder layer 2".

    Parts that all have in common at the front, such as the only member of an ensemble, are left
    out, but for the last that says something.
    """
    words = {path: _words(path) for path in paths}
    first = next(iter(words.values()))
    if first[0].startswith("member ") and all(each[0] == first[0] for each in words.values()):
        words = {path: each[1:] for path, each in words.items()}
    return {path: " ".join(each) for path, each in words.items()}


def _words(path: str) -> list[str]:
    found: list[str] = []
    for part in path.split("."):
        if part.isdigit() and found:
            found[-1] = f"{found[-1].removesuffix('s')} {int(part) + 1}"
        else:
            found.append(part)
    return found
