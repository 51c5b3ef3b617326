"""Weights and pipelines as the bytes of files."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from seqnlp.errors import BundleError
from seqnlp.manifest import read
from seqnlp.tasks.base import Task
from seqnlp.text.pipeline import PIPELINE_FILES, TokenPipeline


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


def unpack(task: Task, path: Path) -> None:
    """Give a task the weights of a file that `pack` has filled.

    Raises:
        BundleError: it is damaged, or its weights are not those of the task.
    """
    data = read(path)
    try:
        tensors = load_tensors(data)
        # A safetensors file begins with the size of its JSON header.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        for name, original in dict(json.loads(header["__metadata__"]["tied"])).items():
            tensors[name] = tensors[original]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: damaged: {error}") from error
    try:
        task.load_state_dict(tensors)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise BundleError(f"{path}: the weights do not fit config.toml: {detail}") from error
