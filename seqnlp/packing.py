"""Weights and pipelines as the bytes of files."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqnlp.errors import BundleError
from seqnlp.manifest import read
from seqnlp.tasks.base import Task
from seqnlp.text.pipeline import PIPELINE_FILES, TokenPipeline

WEIGHTS = "weights.safetensors"
_LONGEST = 400  # characters of what others say of an error


def pipeline_files(pipelines: Mapping[str, TokenPipeline]) -> dict[str, bytes]:
    """What is saved of pipelines, by path; the first lies in the model's folder itself."""
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, pipeline) in enumerate(pipelines.items()):
            folder, prefix = Path(scratch) / name, f"{name}/" if number else ""
            pipeline.save(folder)
            files |= {f"{prefix}{file}": (folder / file).read_bytes() for file in PIPELINE_FILES}
    return files


def pack(task: Task) -> bytes:
    """Weights as safetensors; names that share one tensor are noted, the tensor stored once."""
    tensors, tied = {}, {}
    first: dict[tuple[int, int, tuple[int, ...], tuple[int, ...]], str] = {}
    for name, tensor in task.state_dict().items():
        key = (tensor.data_ptr(), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        original = first.setdefault(key, name) if tensor.numel() else name
        if original == name:
            tensors[name] = tensor.detach().cpu().contiguous()
        else:
            tied[name] = original
    return save_tensors(tensors, metadata={"tied": json.dumps(tied)})


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The weights in a model's folder, by name, tied ones under each of theirs.

    Raises:
        BundleError: the file is missing or damaged.
    """
    path, data = folder / WEIGHTS, read(folder, WEIGHTS)
    try:
        tensors = load_tensors(data)
        # A safetensors file begins with the size of its JSON header.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for name, original in dict(json.loads(header["__metadata__"]["tied"])).items():
            tensors[name] = tensors[original]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: damaged: {_line(error)}") from error
    return tensors


def fill(task: Task, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Give a task its weights.

    Raises:
        BundleError: they are not those of the task.
    """
    misfit = f"{folder / WEIGHTS}: the weights do not fit config.toml"
    if any(tensor.is_complex() for tensor in tensors.values()):
        raise BundleError(f"{misfit}: they are complex numbers")
    try:
        task.load_state_dict(tensors)
    except RuntimeError as error:
        raise BundleError(f"{misfit}: {_line(error)}") from error


class Bound(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Holds what is made in a block to the size of the weights that are to fill it.

    Settings that ask for more than the weights of a model are damaged; what they ask for may be
    more than the machine has.

    Args:
        tensors: the weights.

    Raises:
        RuntimeError: far larger tensors are made, or far more of them.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Weights are drawn before they are loaded, which takes some more of both.
        self.numbers = _SPARE + _TIMES * sum(tensor.numel() for tensor in tensors.values())
        self.calls = _SPARE_CALLS + _CALLS * len(tensors)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Count a call of torch, and then make it."""
        self.calls -= 1
        if func in _MAKERS:
            sizes = next((each for each in args if isinstance(each, list | tuple)), args)
            self.numbers -= math.prod(n for n in sizes if isinstance(n, int))
        if min(self.numbers, self.calls) < 0:
            raise RuntimeError("the settings ask for more weights than the model has")
        return func(*args, **(kwargs or {}))


_SPARE, _TIMES = 1 << 24, 16
_SPARE_CALLS, _CALLS = 5000, 200
_ATEN = torch.ops.aten
_MAKERS = {
    getattr(packet, name)
    for packet in (
        _ATEN.empty, _ATEN.zeros, _ATEN.ones, _ATEN.full, _ATEN.rand, _ATEN.randn, _ATEN.eye,
        _ATEN.new_empty, _ATEN.new_zeros, _ATEN.new_ones, _ATEN.new_full, _ATEN.empty_strided,
        _ATEN.arange, _ATEN.randperm, _ATEN.randint,
    )
    for name in packet.overloads()  # type: ignore[no-untyped-call]
}  # fmt: skip


def _line(error: Exception) -> str:
    """What an error says, in one line that can be read at a glance."""
    words = " ".join(str(error).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."
