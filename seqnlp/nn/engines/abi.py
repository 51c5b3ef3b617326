"""The structures of recurrence.h as ctypes sees them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Pointer = ctypes.c_void_p
Int = ctypes.c_int64


class Argument(ctypes.Structure):
    """See recurrence.h."""

    _fields_ = [("base", Pointer), ("stride", Int), ("place", Int)]


class RunOfGates(ctypes.Structure):
    """`Run` of recurrence.h."""

    _fields_ = [
        ("first", Int),
        ("count", Int),
        ("base", Pointer),
        ("stride", Int),
        ("added", Int),
        ("bias", Pointer),
    ]


class Strided(ctypes.Structure):
    """See recurrence.h."""

    _fields_ = [("base", Pointer), ("batch_stride", Int), ("time_stride", Int)]


_SIZES = "steps batch total input hidden gates threads runs arguments leaves scratch"
_INDICES = "running offset cuts batch_index time_index previous"
_LAST = "masked mask gradient_leaf gradient_weight_x gradient_weight_h gradient_bias"


class Call(ctypes.Structure):
    """See recurrence.h."""

    _fields_ = [
        *((name, Int) for name in _SIZES.split()),
        *((name, Pointer) for name in _INDICES.split()),
        ("x", Strided),
        ("gradient_x", Strided),
        ("outputs", Pointer),
        ("width", Int),
        *((name, Pointer) for name in ("weight_x", "weight_h", "bias", "gates_x")),
        ("run", Pointer),
        ("argument", Pointer),
        ("pointwise", Pointer),
        ("leaf", Pointer),
        *((name, Pointer) for name in _LAST.split()),
        ("gradient_bias_run", Pointer),
        ("team", Pointer),
    ]


def pointer(tensor: Tensor | None) -> int | None:
    """The address of a tensor's first element."""
    return None if tensor is None else tensor.data_ptr()


def pointers(tensors: Sequence[Tensor | None]) -> Any:
    """An array of such addresses."""
    return (Pointer * max(len(tensors), 1))(*map(pointer, tensors))


def strided(tensor: Tensor | None) -> Strided:
    """Rows of a tensor [B, T, D], whose features are adjacent."""
    if tensor is None:
        return Strided(None, 0, 0)
    return Strided(tensor.data_ptr(), tensor.stride(0), tensor.stride(1))


@cache
def team() -> int | None:
    """The address of `GOMP_parallel` of the OpenMP runtime that torch came with, if it is GNU's."""
    for path in Path(torch.__file__).parent.glob("lib/libgomp*"):
        found = ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, Pointer).value
        if found is not None:
            return found
    return None


@dataclass(frozen=True, kw_only=True)
class Library:
    """The loop over time, and the pointwise functions of a cell by name."""

    driver: Mapping[str, Any]
    functions: Mapping[str, int]


def load_driver(library: ctypes.CDLL) -> dict[str, Any]:
    """The functions of recurrence.cpp."""
    library.call_size.restype = Int
    assert library.call_size() == ctypes.sizeof(Call), "recurrence.cpp has another Call"
    found = {}
    for name in ("run_forward", "run_backward"):
        function = getattr(library, name)
        function.argtypes, function.restype = [ctypes.POINTER(Call)], ctypes.c_int
        found[name] = function
    return found


def load_cell(library: ctypes.CDLL) -> dict[str, int]:
    """The addresses of emitted functions."""
    found = {}
    for name in ("inference", "forward", "backward"):
        address = ctypes.cast(getattr(library, name), Pointer).value
        assert address is not None
        found[name] = address
    return found
