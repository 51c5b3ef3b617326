"""A trained model as a folder of ONNX graphs, with all that seqnlp-runtime needs beside them.

seqnlp.json        tokenization, labels, limits; names, checksums, inputs and outputs of the graphs
classifier.onnx    ids and lengths to log-probabilities; stream.onnx the same piece by piece
encoder.onnx, ...  of translation and summarization
*.int8.onnx        the same with int8 weights
tables.npz         arrays that are no part of a graph
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from seqnlp.errors import InputError
from seqnlp.files import write_together
from seqnlp.integrations.onnx.description import FORMAT, classifier_tables, describe_classifier
from seqnlp.manifest import digest
from seqnlp.text.storage import dump_json

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

    from seqnlp.bundle import Model

DESCRIPTION = "seqnlp.json"
TABLES = "tables.npz"
TASKS = ("sentiment", "summarization", "translation")
"""What can be exported."""


def export_onnx(
    model: Model, folder: str | os.PathLike[str], *, quantize: Literal["int8"] | None = None
) -> Path:
    """Write a model as ONNX graphs that run without torch, in a folder of their own.

    Args:
        model: of sentiment, translation or summarization.
        folder: it is made; an earlier export in it is replaced when the new one is whole.
        quantize: also write the graphs with int8 weights.

    Returns:
        The folder.

    Raises:
        InputError: a model that cannot be exported, or a folder that cannot be written to or has
            other things in it.
        MissingPackageError: the packages that write ONNX are not installed.
    """
    from seqnlp.integrations.onnx.recording import require_packages

    require_packages()
    path = Path(folder)
    check_folder(path)
    files = exported_files(model, quantize=quantize)
    replace_folder(path, files)
    return path


def exported_files(model: Model, *, quantize: Literal["int8"] | None = None) -> dict[str, bytes]:
    """The files of an export by their names, the description last; see `export_onnx`."""
    if model.quantized is not None:
        raise InputError(
            f"an {model.quantized} model cannot be exported: export the float one with quantize="
            f"{model.quantized!r}"
        )
    description, graphs, tables = _parts(model.task)
    if quantize is not None:
        from seqnlp.integrations.onnx.quantize import quantize_graph

        graphs |= {f"{name}.int8": quantize_graph(graph) for name, graph in graphs.items()}
    told = dump_json(description)
    files: dict[str, bytes] = {}
    entries: dict[str, Any] = {}
    for name, graph in graphs.items():
        graph.metadata_props.add(key="seqnlp", value=told)
        files[f"{name}.onnx"] = data = graph.SerializeToString(deterministic=True)
        entries[name] = {
            "file": f"{name}.onnx",
            "sha256": digest(data),
            "inputs": _shapes(graph.graph, "input"),
            "outputs": _shapes(graph.graph, "output"),
        }
    description |= {"graphs": entries, "tables": None}
    if tables:
        files[TABLES] = _pack(tables)
        description["tables"] = {"file": TABLES, "sha256": digest(files[TABLES])}
    files[DESCRIPTION] = (dump_json(description, indent=0) + "\n").encode()
    return files


def _parts(task: Any) -> tuple[dict[str, Any], dict[str, ModelProto], dict[str, Any]]:
    """Description, graphs and tables of a task."""
    from seqnlp.tasks.sentiment import SentimentTask
    from seqnlp.tasks.writing_task import WritingTask

    head = {"format": FORMAT, "seqnlp": version("seqnlp")}
    if isinstance(task, SentimentTask):
        from seqnlp.integrations.onnx.graphs import classifier_graphs

        description = head | describe_classifier(task)
        return description, classifier_graphs(task), classifier_tables(task)
    if isinstance(task, WritingTask):
        from seqnlp.integrations.onnx.generation import describe_writer, writer_graphs

        return head | describe_writer(task), writer_graphs(task), {}
    raise InputError(
        f"a model of the task {task.settings.task!r} cannot be exported to ONNX; those of "
        f"{', '.join(TASKS)} can"
    )


def check_folder(path: Path, description: str = DESCRIPTION) -> None:
    """See that an export can be written, before the work that it takes.

    Raises:
        InputError: the folder has other things in it than an export, is none, or cannot be made.
    """
    if path.is_dir():
        names = {each.name for each in path.iterdir()}
        others = sorted(name for name in names if not _is_exported(name))
        if others or (names and description not in names):
            raise InputError(
                f"{path}: has {(others or sorted(names))[0]} in it, which is no part of an export; "
                "name another folder"
            )
    elif path.exists():
        raise InputError(f"{path}: is no folder")
    # A link to a folder stays one; what it leads to is replaced.
    real = path.resolve()
    if os.path.ismount(real):
        raise InputError(
            f"{path}: is where a disk is mounted, which cannot be replaced; name a folder in it"
        )
    above = next(each for each in real.parents if each.exists())
    if not above.is_dir():
        raise InputError(f"cannot write {path}: {above} is no folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {path}: {above} may not be written to")


def _is_exported(name: str) -> bool:
    return name in (DESCRIPTION, TABLES) or name.endswith((".onnx", ".onnx.data"))


def replace_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder of these files in the place of what is there; a reader sees one or the other.

    Raises:
        InputError: it cannot be written.
    """
    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(".half", f".{path.name}.", path.parent))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    try:
        fresh, old = scratch / "new", scratch / "old"
        fresh.mkdir()
        write_together(fresh, files)
        if path.exists():
            path.rename(old)
        try:
            fresh.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _shapes(graph: GraphProto, side: Literal["input", "output"]) -> dict[str, Any]:
    """Name to type and shape, axes of any size by their names."""
    from onnx import TensorProto

    found: dict[str, Any] = {}
    for value in getattr(graph, side):
        tensor = value.type.tensor_type
        kind = TensorProto.DataType.Name(tensor.elem_type).lower()
        axes = [axis.dim_param or axis.dim_value for axis in tensor.shape.dim]
        found[value.name] = {"type": kind, "shape": axes}
    return found


def _pack(tables: Mapping[str, Any]) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, **tables)
    return buffer.getvalue()
