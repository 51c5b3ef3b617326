"""Models that answer with one label of K."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from seqnlp_runtime.answers import Answer
from seqnlp_runtime.described import count, entry, strings
from seqnlp_runtime.errors import FolderError, RunnerError
from seqnlp_runtime.evidence import Evidence
from seqnlp_runtime.folder import DESCRIPTION, Folder, Graph
from seqnlp_runtime.model import Model, Stream
from seqnlp_runtime.pipeline import PAD, UNK
from seqnlp_runtime.streaming import FIRST, LabelStream

Feed: TypeAlias = dict[str, NDArray[Any]]
GRAMS = ("grams", "gram_positions")
WINDOW = 4096
"""Texts that are sorted by length together, so that batches carry little padding."""


class ClassifierModel(Model):
    """Answers with a label and the probabilities of all.

    labels: in the order of the graph's output. max_tokens: the most of a text in a row; chunks:
    whether a longer one becomes several rows, or is cut.

    Args:
        folder: of kind "classifier".

    Raises:
        FolderError: it is damaged.
    """

    def __init__(self, folder: Folder) -> None:
        described = folder.description
        with folder.describing():
            self.task = entry(described, "task", str)
            self.labels = tuple(strings(described, "labels"))
            self.max_tokens = count(described, "max_tokens")
            self.chunks = entry(described, "long_documents", str) == "chunk"
            evidence = described.get("evidence")
            normalized = evidence is not None and entry(evidence, "normalized", bool)
        if "text" not in folder.pipelines:
            raise FolderError(f"{folder.path / DESCRIPTION}: damaged: it has no pipeline 'text'")
        self.pipeline = folder.pipelines["text"]
        self.evidence = None if evidence is None else _read_evidence(folder, normalized)
        self._graph = folder.graph("classifier")
        self._check(folder)
        self._folder = folder

    def _check(self, folder: Folder) -> None:
        """See that the graph reads what the description says, and gives so many labels."""
        grams = GRAMS if self.pipeline.hasher is not None else ()
        expected = ["ids", "lengths", *grams, *(["evidence"] if self.evidence is not None else [])]
        found, classes = self._graph.inputs, self._graph.shapes.get("log_probabilities", (0,))[-1]
        where = f"{folder.path / DESCRIPTION}: damaged"
        if sorted(found) != sorted(expected):
            raise FolderError(f"{where}: the graph reads {', '.join(found)}")
        if classes != len(self.labels):
            raise FolderError(f"{where}: {len(self.labels)} labels for a graph of {classes}")

    def __call__(self, text: str) -> Answer:
        return self.answer(self.pipeline.tokens(text))

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
                yield self.answer(block[0])
            else:
                yield from self._answer_all(block, batch_size)

    def answer(self, tokens: Sequence[str]) -> Answer:
        """The answer to one text of those tokens."""
        if len(tokens) > self.max_tokens:
            return self._answer_all([tokens], 16)[0]
        feed = self.feed([tokens])
        if self.evidence is not None:
            feed["evidence"] = self.evidence(tokens)[None]
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

    def _answer_all(self, documents: Sequence[Sequence[str]], batch_size: int) -> list[Answer]:
        """Chunks of a long document are combined by the geometric mean of their probabilities."""
        parts = [list(self._cut(tokens)) for tokens in documents]
        rows = [row for each in parts for row in each]
        places = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
        evidence = None
        if self.evidence is not None:
            evidence = np.stack([self.evidence(tokens) for tokens in documents])
        logs = np.empty((len(rows), len(self.labels)))
        order = np.argsort([len(row) for row in rows], kind="stable")
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            feed = self.feed([rows[row] for row in chosen])
            if evidence is not None:
                feed["evidence"] = evidence[places[chosen]]
            logs[chosen] = self._graph(feed)[0]
        if len(rows) != len(parts):
            sums = np.zeros((len(parts), len(self.labels)))
            np.add.at(sums, places, logs)
            logs = sums / np.bincount(places)[:, None]
        # Chunks that contradict each other leave every label too small for exp.
        logs -= logs.max(1, keepdims=True)
        return [self.decide(row) for row in logs.tolist()]

    def _cut(self, tokens: Sequence[str]) -> Iterator[Sequence[str]]:
        """As few rows of nearly equal length as it takes, or the beginning alone."""
        if not self.chunks:
            yield tokens[: self.max_tokens]
            return
        parts = max(-(-len(tokens) // self.max_tokens), 1)
        for part in range(parts):
            yield tokens[part * len(tokens) // parts : (part + 1) * len(tokens) // parts]

    def feed(self, rows: Sequence[Sequence[str]]) -> Feed:
        """What the graphs read of rows of tokens, but for evidence."""
        numbers = [self.pipeline.ids(tokens) or [UNK] for tokens in rows]
        lengths = [len(ids) for ids in numbers]
        width = max(lengths)
        feed: Feed = {
            "ids": np.array([ids + [PAD] * (width - len(ids)) for ids in numbers], dtype=np.int64),
            "lengths": np.array(lengths, dtype=np.int64),
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
            GRAMS[0]: np.array(grams, dtype=np.int64),
            GRAMS[1]: np.array(positions, dtype=np.int64),
        }

    def stream(self) -> Stream:
        if "stream" not in self._folder.graphs:
            raise RunnerError(
                "the model reads whole texts only; one that reads in one direction "
                "(model.bidirectional = false) can stream"
            )
        first = {
            name.removeprefix(FIRST): state
            for name, state in self._folder.tables.items()
            if name.startswith(FIRST)
        }
        return LabelStream(self, self._stream, first)

    @cached_property
    def _stream(self) -> Graph:
        return self._folder.graph("stream")


def _read_evidence(folder: Folder, normalized: bool) -> Evidence:
    tables: Mapping[str, Any] = folder.tables
    names = ("keys", "weights", "bias", *(["squares"] if normalized else []))
    for name in names:
        if f"evidence_{name}" not in tables:
            raise FolderError(f"{folder.path}: damaged: the table evidence_{name} is missing")
    found = {name: tables[f"evidence_{name}"] for name in names}
    return Evidence(**{"squares": None, **found})
