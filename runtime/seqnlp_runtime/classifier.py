"""Models that answer with one label of K."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp_runtime.answers import Answer
from seqnlp_runtime.errors import FolderError, RunnerError
from seqnlp_runtime.evidence import Evidence
from seqnlp_runtime.folder import DESCRIPTION, Folder
from seqnlp_runtime.model import Model, Stream
from seqnlp_runtime.pipeline import PAD, UNK

Feed: TypeAlias = dict[str, NDArray[Any]]
WINDOW = 4096
"""Texts that are sorted by length together, so that batches carry little padding."""


class ClassifierModel(Model):
    """Answers with a label and the probabilities of all.

    labels: in the order of the graph's output.

    Args:
        folder: of kind "classifier".

    Raises:
        FolderError: it is damaged.
    """

    def __init__(self, folder: Folder) -> None:
        described = folder.description
        try:
            self.task: str = described["task"]
            self.labels: tuple[str, ...] = tuple(described["labels"])
            self.pipeline = folder.pipelines["text"]
            self._max_tokens = int(described["max_tokens"])
            self._chunks = described["long_documents"] == "chunk"
            self._evidence = _read_evidence(folder)
        except (KeyError, TypeError, ValueError) as error:
            raise FolderError(f"{folder.path / DESCRIPTION}: damaged: {error}") from error
        self._graph = folder.graph("classifier")
        self._folder = folder

    def __call__(self, text: str) -> Answer:
        return self._answer_one(self.pipeline.tokens(text))

    def predict(self, texts: Iterable[str], *, batch_size: int = 64) -> Iterator[Answer]:
        return self.predict_tokens(map(self.pipeline.tokens, texts), batch_size=batch_size)

    def predict_tokens(
        self, documents: Iterable[Sequence[str]], *, batch_size: int = 64
    ) -> Iterator[Answer]:
        if batch_size < 1:
            raise RunnerError(f"batch_size = {batch_size}: expected 1 or more")
        return self._predict(iter(documents), batch_size)

    def _predict(self, documents: Iterator[Sequence[str]], batch_size: int) -> Iterator[Answer]:
        while block := list(islice(documents, WINDOW)):
            if len(block) == 1:
                yield self._answer_one(block[0])
            else:
                yield from self._answer(block, batch_size)

    def _answer_one(self, tokens: Sequence[str]) -> Answer:
        """What `_answer` gives for one text, only sooner where it is not a long one."""
        if len(tokens) > self._max_tokens:
            return self._answer([tokens], 16)[0]
        ids = self.pipeline.ids(tokens) or [UNK]
        feed = {"ids": np.array([ids]), "lengths": np.array([len(ids)])}
        if self.pipeline.hasher is not None:
            feed |= self._grams([tokens], [ids], len(ids))
        if self._evidence is not None:
            feed["evidence"] = self._evidence(tokens)[None]
        return self.decide(self._graph(feed)[0][0].tolist())

    def decide(self, logs: Sequence[float]) -> Answer:
        """The answer of K log-probabilities."""
        shares = [math.exp(value) for value in logs]
        total = sum(shares)
        shares = [share / total for share in shares]
        return Answer(
            output=self.labels[shares.index(max(shares))],
            probabilities=dict(zip(self.labels, shares, strict=True)),
        )

    def _answer(self, documents: Sequence[Sequence[str]], batch_size: int) -> list[Answer]:
        """Chunks of a long document are combined by the geometric mean of their probabilities."""
        rows = [
            (place, chunk) for place, tokens in enumerate(documents) for chunk in self._cut(tokens)
        ]
        evidence = None
        if self._evidence is not None:
            evidence = np.stack([self._evidence(tokens) for tokens in documents])
        sums = np.zeros((len(documents), len(self.labels)))
        counts = np.zeros(len(documents))
        order = sorted(range(len(rows)), key=lambda row: len(rows[row][1]))
        for begin in range(0, len(order), batch_size):
            places, chunks = zip(
                *(rows[row] for row in order[begin : begin + batch_size]), strict=True
            )
            feed = self._batch(chunks)
            if evidence is not None:
                feed["evidence"] = evidence[list(places)]
            np.add.at(sums, places, self._graph(feed)[0])
            np.add.at(counts, places, 1)
        logs = sums / counts[:, None]
        # Chunks that contradict each other leave every label too small for exp.
        logs -= logs.max(1, keepdims=True)
        return [self.decide(row) for row in logs.tolist()]

    def _cut(self, tokens: Sequence[str]) -> Iterator[Sequence[str]]:
        """As few rows of nearly equal length as it takes, or the beginning alone."""
        if not self._chunks:
            yield tokens[: self._max_tokens]
            return
        parts = max(-(-len(tokens) // self._max_tokens), 1)
        for part in range(parts):
            yield tokens[part * len(tokens) // parts : (part + 1) * len(tokens) // parts]

    def _batch(self, rows: Sequence[Sequence[str]]) -> Feed:
        numbers = [self.pipeline.ids(tokens) or [UNK] for tokens in rows]
        lengths = [len(ids) for ids in numbers]
        width = max(lengths)
        feed: Feed = {
            "ids": np.array([ids + [PAD] * (width - len(ids)) for ids in numbers]),
            "lengths": np.array(lengths),
        }
        if self.pipeline.hasher is not None:
            feed |= self._grams(rows, numbers, width)
        return feed

    def _grams(
        self, rows: Sequence[Sequence[str]], numbers: Sequence[Sequence[int]], width: int
    ) -> Mapping[str, NDArray[np.int64]]:
        """The n-grams of tokens that the vocabulary does not have, and where each token stands."""
        hasher = self.pipeline.hasher
        assert hasher is not None
        grams: list[int] = []
        positions: list[int] = []
        for row, (tokens, ids) in enumerate(zip(rows, numbers, strict=True)):
            for place, token in enumerate(tokens):
                if ids[place] == UNK:
                    found = hasher.ids(token)
                    grams += found
                    positions += [row * width + place] * len(found)
        return {
            "grams": np.array(grams, dtype=np.int64),
            "gram_positions": np.array(positions, dtype=np.int64),
        }

    def stream(self) -> Stream:
        raise RunnerError("not yet")


def _read_evidence(folder: Folder) -> Evidence | None:
    described = folder.description["evidence"]
    if described is None:
        return None
    tables: Mapping[str, Any] = folder.tables
    return Evidence(
        keys=tables["evidence_keys"],
        weights=tables["evidence_weights"],
        squares=tables["evidence_squares"] if described["normalized"] else None,
        bias=tables["evidence_bias"],
    )
