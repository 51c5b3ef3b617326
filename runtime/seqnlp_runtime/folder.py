"""An exported folder: its description and graphs, checked before anything of it runs."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqnlp_runtime.errors import FolderError, RunnerError
from seqnlp_runtime.pipeline import Pipeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
"""The newest that is read."""
DESCRIPTION = "seqnlp.json"

_PLAIN_NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


class Graph:
    """A graph that onnxruntime runs.

    Args:
        data: an ONNX file.
        name: for messages.
        threads: of the CPU.

    name: as given. inputs, outputs: of the graph, by name. shapes: of the outputs, axes of any
    length by name.
    """

    def __init__(self, data: bytes, name: str, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Waiting threads that spin take the core from whoever calls.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # What goes wrong is raised; nothing is to be written beside it.
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base
            raise FolderError(f"{name}: {' '.join(str(error).split())}") from error
        self.name = name
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        self.outputs = tuple(node.name for node in self._session.get_outputs())
        self.shapes = {node.name: tuple(node.shape) for node in self._session.get_outputs()}

    def __call__(self, feed: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """The outputs, in the order of `outputs`.

        Raises:
            RunnerError: what is fed is not what the graph reads.
        """
        try:
            found: Sequence[NDArray[Any]] = self._session.run(None, feed)
        except Exception as error:  # its exceptions share no base
            raise RunnerError(f"{self.name}: {' '.join(str(error).split())}") from error
        return found


class Folder:
    """What `seqnlp export --format onnx` wrote.

    Args:
        path: of the folder.
        threads: of the CPU, for each graph.
        int8: whether graphs with int8 weights are taken, where there are such.

    Raises:
        FolderError: none, a damaged one, or one of a newer format.
    """

    def __init__(self, path: Path, *, threads: int = 1, int8: bool = False) -> None:
        if threads < 1:
            raise RunnerError(f"threads = {threads}: expected 1 or more")
        self.path, self._threads, self._int8 = path, threads, int8
        self.description = _describe(path)

    @cached_property
    def pipelines(self) -> Mapping[str, Pipeline]:
        """By name, in their order."""
        with self.describing():
            described = self.description["pipelines"]
            return {name: Pipeline.read(each) for name, each in described.items()}

    @contextmanager
    def describing(self) -> Iterator[None]:
        """Let what is wrong with the description be said with the name of its file."""
        try:
            yield
        except FolderError as error:
            raise FolderError(f"{self.path / DESCRIPTION}: {error}") from error

    @property
    def graphs(self) -> frozenset[str]:
        """The names of all graphs, those with int8 weights under their own."""
        return frozenset(self.description["graphs"])

    def graph(self, name: str) -> Graph:
        """A graph by its name; that of int8 weights, where they are asked for.

        Raises:
            FolderError: there is none, or it is damaged.
        """
        if self._int8:
            if f"{name}.int8" in self.graphs:
                name = f"{name}.int8"
            elif not any(known.endswith(".int8") for known in self.graphs):
                raise FolderError(
                    f"{self.path}: has no int8 weights; export it with --quantize int8"
                )
        if name not in self.graphs:
            raise FolderError(f"{self.path / DESCRIPTION}: damaged: no graph is named {name!r}")
        entry = self.description["graphs"][name]
        return Graph(self._read(entry), str(self.path / entry["file"]), self._threads)

    @cached_property
    def tables(self) -> Mapping[str, NDArray[np.generic]]:
        """The arrays beside the graphs.

        Raises:
            FolderError: they are damaged.
        """
        from zipfile import BadZipFile

        import numpy as np

        entry = self.description.get("tables")
        if entry is None:
            return {}
        data = self._read(entry)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return dict(arrays)
        except (ValueError, TypeError, OSError, EOFError, BadZipFile) as error:
            raise FolderError(f"{self.path / entry['file']}: damaged: {error}") from error

    def _read(self, entry: Mapping[str, str]) -> bytes:
        """A file of the folder, if it is that of which the description speaks."""
        try:
            name, expected = entry["file"], entry["sha256"]
            plain = _PLAIN_NAME.fullmatch(name) is not None
        except (KeyError, TypeError) as error:
            raise FolderError(f"{self.path / DESCRIPTION}: damaged: {error}") from error
        if not plain:
            raise FolderError(f"{self.path / DESCRIPTION}: damaged: {name!r} is no name of a file")
        data = _bytes(self.path / name)
        if hashlib.sha256(data).hexdigest() != expected:
            raise FolderError(
                f"{self.path / name}: damaged: its checksum differs from {DESCRIPTION}"
            )
        return data


def _describe(path: Path) -> Mapping[str, Any]:
    if not path.is_dir():
        raise FolderError(f"{path}: no such folder")
    if not (path / DESCRIPTION).is_file():
        hint = (
            f"; it is a trained model: seqnlp export {path} --format onnx --output FOLDER"
            if (path / "bundle.json").is_file()
            else ""
        )
        raise FolderError(f"{path}: not an exported model: it has no {DESCRIPTION}{hint}")
    where = path / DESCRIPTION
    try:
        data: Any = json.loads(_bytes(where))
    except (ValueError, RecursionError) as error:
        raise FolderError(f"{where}: damaged: not JSON") from error
    number = data.get("format") if isinstance(data, dict) else None
    if type(number) is not int:
        raise FolderError(f"{where}: damaged: not the description of a model")
    if number > FORMAT:
        raise FolderError(
            f"{path}: exported by seqnlp {str(data.get('seqnlp'))[:20]} in format {number}; this "
            f"seqnlp-runtime reads up to format {FORMAT}: upgrade seqnlp-runtime"
        )
    for key, kind in (("task", str), ("kind", str), ("pipelines", dict), ("graphs", dict)):
        if not isinstance(data.get(key), kind):
            raise FolderError(f"{where}: damaged: {key}: expected a {kind.__name__}")
    described: Mapping[str, Any] = data
    return described


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FolderError(f"{path}: {error.strerror}") from error
