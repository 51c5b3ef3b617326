"""A model of an exported folder, whatever its task."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from seqnlp_runtime.answers import Answer
from seqnlp_runtime.errors import FolderError, RunnerError
from seqnlp_runtime.folder import DESCRIPTION, Folder

__all__ = ["Answer", "Model", "Stream", "load"]


class Stream(ABC):
    """Answers a text while it arrives.

    A text is its pieces, joined by single spaces; after each piece the answer is that to the text
    so far, to rounding.
    """

    @abstractmethod
    def push(self, piece: str) -> Answer:
        """Read the next piece; the answer to the text so far."""

    @abstractmethod
    def reset(self) -> None:
        """Begin another text."""


class Model(ABC):
    """A trained model that answers texts.

    task: the name of its task in seqnlp.
    """

    task: str

    def __call__(self, text: str) -> Answer:
        """Answer one text."""
        return next(self.predict([text], batch_size=1))

    @abstractmethod
    def predict(self, texts: Iterable[str], *, batch_size: int = 64) -> Iterator[Answer]:
        """Answer texts in their order, lazily, in constant memory."""

    @abstractmethod
    def predict_tokens(
        self, documents: Iterable[Sequence[str]], *, batch_size: int = 64
    ) -> Iterator[Answer]:
        """Answer texts that are normalized and split into tokens already."""

    def search_by(self, decoding: Mapping[str, object]) -> None:
        """Search for outputs from now on by these options, where they differ from the model's own.

        Raises:
            RunnerError: the model does not search, or cannot so.
        """
        raise RunnerError(f"a model of the task {self.task!r} does not search for its answers")

    def stream(self) -> Stream:
        """Answer texts while they arrive.

        Raises:
            RunnerError: the model reads whole texts only.
        """
        raise RunnerError(f"a model of the task {self.task!r} cannot stream: it reads whole texts")


def load(folder: str | os.PathLike[str], *, threads: int = 1, int8: bool = False) -> Model:
    """Load what `seqnlp export --format onnx` wrote.

    Args:
        folder: that it was written to.
        threads: of the CPU.
        int8: whether to take int8 weights, which `--quantize int8` writes.

    Raises:
        FolderError: no exported model there, a damaged one, or one of a newer format.
        MissingPackageError: its tokenizer needs a package that is not installed.
    """
    opened = Folder(Path(folder), threads=threads, int8=int8)
    kind = opened.description["kind"]
    if kind == "classifier":
        from seqnlp_runtime.classifier import ClassifierModel

        return ClassifierModel(opened)
    if kind == "writer":
        from seqnlp_runtime.writing import WriterModel

        return WriterModel(opened)
    raise FolderError(
        f"{opened.path / DESCRIPTION}: damaged: kind: expected classifier or writer, found {kind!r}"
    )
