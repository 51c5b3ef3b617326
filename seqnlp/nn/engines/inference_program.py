"""The compiled loop for inference, of float and of int8 weights; see kernels/inference.h."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import torch

from seqnlp.nn.engines import abi, build
from seqnlp.nn.engines.abi import Int, Pointer
from seqnlp.nn.engines.emit import sources
from seqnlp.nn.engines.plan import Place, Plan

_X_GATES, _H_GATES, _BEFORE, _AFTER, _FIXED = range(5)


class Weight(ctypes.Structure):
    """`Weight` of codes.h and of inference.cpp."""

    _fields_ = (("numbers", Pointer), ("scales", Pointer), ("sums", Pointer))


_SIZES = "steps batch input hidden gates separate threads runs slots leaves scratch reverse"
_INDICES = "running offset cuts batch_index time_index order"


class Inference(ctypes.Structure):
    """`Inference` of inference.h."""

    _fields_ = (
        *((name, Int) for name in _SIZES.split()),
        *((name, Pointer) for name in _INDICES.split()),
        ("x", Pointer), ("x_batch_stride", Int), ("x_time_stride", Int),
        ("outputs", Pointer), ("output_batch_stride", Int), ("output_time_stride", Int),
        ("initial", Pointer), ("final", Pointer),
        ("weight_x", Weight), ("weight_h", Weight),
        *((name, Pointer) for name in ("bias", "bias_h", "run", "slot", "fixed")),
        ("pointwise", Pointer), ("team", Pointer),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Program:
    """What runs a kind of cell, whatever the numbers.

    panel: rows of a weight that lie side by side; 0 of codes. slots: kinds and indices, in pairs.
    parameters: the names of what is fixed, in order.
    """

    run: Any
    pointwise: int
    panel: int
    slots: tuple[int, ...]
    parameters: tuple[str, ...]


def load_program(plan: Plan, kind: str) -> Program | None:
    """That of a plan, "float" or "int8"; None where nothing can be compiled."""
    if kind not in plan.programs:
        plan.programs[kind] = _load(plan, kind)
    found: Program | None = plan.programs[kind]
    return found


def _load(plan: Plan, kind: str) -> Program | None:
    name = "quantized" if kind == "int8" else "inference"
    driver = build.load(sources(f"{name}.cpp", torch.float32))
    emitted = None if driver is None else build.load(plan.source(torch.float32))
    if driver is None or emitted is None:
        return None
    slots: list[int] = []
    parameters: list[str] = []
    for slot in plan.inference.slots:
        if slot.place is Place.FIXED:
            slots += [_FIXED, len(parameters)]
            parameters.append(slot.array.removeprefix("p_"))
        elif slot.place is Place.STEP:
            slots += [_X_GATES if slot.array == "x_gates" else _H_GATES, slot.column]
        else:
            place = _BEFORE if slot.place is Place.PREVIOUS else _AFTER
            slots += [place, int(slot.array.removeprefix("state"))]
    function = getattr(driver, f"run_{name}")
    function.argtypes, function.restype = [ctypes.POINTER(Inference)], ctypes.c_int
    panel = 0
    if kind == "float":
        driver.panel_rows.restype = Int
        panel = driver.panel_rows()
    return Program(
        run=function,
        pointwise=abi.load_cell(emitted)["inference"],
        panel=panel,
        slots=tuple(slots),
        parameters=tuple(parameters),
    )
