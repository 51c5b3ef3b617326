"""Classifiers as programs of torch that need nothing of this toolkit: for Python and for C++.

`torch.export` records the network for any number of texts of any length; AOTInductor compiles that
into a library that C++ loads, beside which no Python is needed. A cell becomes a loop over its own
step, torch's `scan`.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from seqnlp.bundle import Model
from seqnlp.errors import InputError, SeqnlpError
from seqnlp.files import write_bytes
from seqnlp.integrations.onnx.classifier import text_module
from seqnlp.nn.encoder import Encoder
from seqnlp.nn.engines.exporting import exporting
from seqnlp.nn.modes import in_mode
from seqnlp.tasks.sentiment import SentimentTask

INPUTS = "inputs.json"
"""Beside the program in its file: what it takes, and the labels of what it gives."""


class _Encoder(nn.Module):
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(x, lengths)
        return encoded.states, encoded.summary


class _Classifier(nn.Module):
    """Inputs by position, whatever the network takes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        logs: Tensor = self.network(*inputs)
        return logs


def export_encoder(encoder: Encoder) -> ExportedProgram:
    """An encoder as a program: float [B, T, input_size] and int64 [B], lengths of 1 to T, to the
    states [B, T, output_size], zero on padding, and the summary [B, output_size].

    Raises:
        InputError: the encoder cannot be recorded for any length.
    """
    like = next(encoder.parameters(), torch.zeros(()))
    x, lengths = like.new_zeros(2, 3, encoder.input_size), torch.tensor([3, 1])
    batch, time = Dim("batch"), Dim("time")
    shapes = {0: batch, 1: time}, {0: batch}
    return _record(_Encoder(encoder), (x, lengths), shapes, type(encoder).__name__)


def export_classifier(model: Model) -> tuple[ExportedProgram, dict[str, Any]]:
    """A classifier as a program, and what it takes and gives.

    The program maps ids int64 [B, T] and lengths int64 [B], each at least 1, to log-probabilities
    float [B, K]. Behind these it takes, where the model has them, the n-grams of unknown tokens and
    evidence; see `seqnlp.integrations.onnx.classifier.classifier_graphs`.

    Raises:
        InputError: another task, or a network that cannot be recorded for any length.
    """
    task = model.task
    if not isinstance(task, SentimentTask):
        raise InputError(
            f"the task {task.settings.task!r} cannot be exported as a program of torch; "
            "sentiment can"
        )
    network = text_module(task)
    inputs = list(network.text_inputs())
    dims = {name: Dim(name) for each in inputs for name in each.axes.values()}
    shapes = tuple({axis: dims[name] for axis, name in each.axes.items()} for each in inputs)
    settings = task.settings.model
    what = f"the encoder {settings.encoder!r} with the cell {settings.cell!r}"
    examples = tuple(each.example for each in inputs)
    program = _record(_Classifier(network), (examples,), (shapes,), what)
    vocabulary = task.pipeline.vocabulary
    assert vocabulary is not None
    return program, {
        "inputs": [each.name for each in inputs],
        "labels": list(task.labels),
        "tokens": [*vocabulary.specials, *vocabulary.tokens],
    }


def save_program(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a classifier as a file that `torch.export.load` reads, a .pt2.

    Raises:
        InputError: see `export_classifier`, or the file cannot be written.
    """
    program, described = export_classifier(model)
    more = {INPUTS: json.dumps(described, ensure_ascii=False)}
    _write(Path(path), lambda file: torch.export.save(program, file, extra_files=more))


def compile_program(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a classifier as a package that AOTInductor has compiled for this kind of processor.

    `torch._inductor.aoti_load_package` runs it in Python, and `AOTIModelPackageLoader` in C++; it
    takes a compiler of C++ and a minute or more.

    Raises:
        InputError: see `export_classifier`; torch cannot compile it, or the file not be written.
    """
    program, described = export_classifier(model)
    metadata = {"aot_inductor.metadata": {INPUTS: json.dumps(described, ensure_ascii=False)}}

    def make(file: str) -> None:
        try:
            with _quiet():
                torch._inductor.aoti_compile_and_package(
                    program, package_path=file, inductor_configs=metadata
                )
        except Exception as error:
            line = " ".join(str(error).split())[:400]
            raise InputError(f"torch cannot compile the model: {line}") from error

    _write(Path(path), make)


def _write(path: Path, make: Callable[[str], object]) -> None:
    # What writes it wants a path of its own; and nothing of a file may stand there for the whole.
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "program.pt2"
        make(str(file))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, file.read_bytes())
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error


def _record(
    module: nn.Module, inputs: tuple[Any, ...], shapes: tuple[Any, ...], what: str
) -> ExportedProgram:
    with torch.no_grad(), in_mode(module, training=False), exporting("torch"), _quiet():
        try:
            return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
        except SeqnlpError:
            raise
        except Exception as error:
            line = " ".join(str(error).split())[:400]
            raise InputError(
                f"{what} cannot be recorded for texts of any length: {line}"
            ) from error


def _quiet() -> warnings.catch_warnings:
    """What torch warns of its own code is not for the reader."""
    return warnings.catch_warnings(action="ignore")


__all__ = ["INPUTS", "compile_program", "export_classifier", "export_encoder", "save_program"]
