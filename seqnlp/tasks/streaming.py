"""Labels for a text that arrives piece by piece: every token is read once, by the recurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqnlp.data.tokens import TokenizedText
from seqnlp.tasks.base import Stream
from seqnlp.tasks.classifier import Classifier, mean_log_probabilities
from seqnlp.tasks.rows import single_row
from seqnlp.types import Encoded, Prediction, TokenBatch

if TYPE_CHECKING:
    from seqnlp.tasks.sentiment import SentimentTask

BATCH_SIZE = 16
"""Chunks of a long text that are read at once."""


class LabelStream(Stream):
    """See `Stream`.

    The text is tokenized anew with each piece, which is cheap beside the network, so that any
    tokenizer and normalizer may join what the pieces cut. Where the last tokens turn out otherwise
    than before, the recurrence goes back to the end of the last piece that still stands. Evidence
    and poolings are computed of the whole text so far.

    Args:
        task: its encoders read in one direction.

    Raises:
        InputError: an encoder cannot stream.
    """

    def __init__(self, task: SentimentTask) -> None:
        self._task = task
        self._readers = [_Reader(member) for member in task.members]  # type: ignore[arg-type]
        self.reset()

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._text: str | None = None
        self._tokens: list[str] = []
        self._ends = [0]
        self._rewind(1)

    def push(self, piece: str) -> Prediction:
        """See `Stream.push`."""
        self._text = piece if self._text is None else f"{self._text} {piece}"
        task, limits = self._task, self._task.settings.text
        tokens = task.pipeline.tokens(self._text)
        if not tokens or (len(tokens) > limits.max_tokens and limits.long_documents == "chunk"):
            # No token is answered as an unknown one. Chunks are of equal length, so each of them
            # changes when the text grows.
            return task.answer(task.read_tokens([tokens]), batch_size=BATCH_SIZE)[0]
        with task.evaluating(), torch.inference_mode():
            self._read(tokens[: limits.max_tokens])
            evidence = None
            if task.evidence is not None:
                found = task.evidence(TokenizedText.from_tokens([tokens]))
                evidence = torch.from_numpy(found).to(task.device)
            logits = [reader.logits(evidence) for reader in self._readers]
            return task.decide(mean_log_probabilities(logits))

    def _read(self, tokens: list[str]) -> None:
        """Bring the readers to the end of the tokens."""
        while self._tokens[: self._ends[-1]] != tokens[: self._ends[-1]]:
            self._ends.pop()
        self._rewind(len(self._ends))
        new = tokens[self._ends[-1] :]
        self._tokens = tokens
        if new:
            self._ends.append(len(tokens))
            batch = single_row(new, self._task.pipeline).to(self._task.device)
            for reader in self._readers:
                reader.advance(batch)

    def _rewind(self, marks: int) -> None:
        for reader in self._readers:
            reader.rewind(self._ends[marks - 1], marks)


class _Reader:
    """One network on its way through a text, with a mark after each piece."""

    def __init__(self, network: Classifier) -> None:
        self._network = network
        start = network.encoder.initial_state(1)
        self._marks = [start]
        self._states = start.summary.new_zeros(1, 0, network.encoder.output_size)

    def rewind(self, tokens: int, marks: int) -> None:
        """Forget all but so many tokens and marks."""
        del self._marks[marks:]
        self._states = self._states[:, :tokens]

    def advance(self, tokens: TokenBatch) -> None:
        """Read on, and set a mark."""
        network = self._network
        encoded, state = network.encoder.advance(network.embedding(tokens), None, self._marks[-1])
        self._marks.append(state)
        self._states = torch.cat([self._states, encoded.states], dim=1)

    def logits(self, evidence: Tensor | None) -> Tensor:
        """Float [1, K], of all that has been read."""
        mask = self._states.new_ones(self._states.shape[:2], dtype=torch.bool)
        summary = self._marks[-1].summary
        encoded = Encoded(states=self._states, mask=mask, summary=summary)
        return self._network.classify(encoded, evidence)
