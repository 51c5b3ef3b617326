"""Models that write texts: translation and summarization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seqnlp_runtime.answers import Answer
from seqnlp_runtime.folder import Folder
from seqnlp_runtime.model import Model


class WriterModel(Model):
    """Writes an answer to each text.

    Args:
        folder: of kind "writer".
    """

    def __init__(self, folder: Folder) -> None:
        self.task = folder.description["task"]

    def predict(self, texts: Iterable[str], *, batch_size: int = 64) -> Iterator[Answer]:
        raise NotImplementedError

    def predict_tokens(
        self, documents: Iterable[Sequence[str]], *, batch_size: int = 64
    ) -> Iterator[Answer]:
        raise NotImplementedError
