"""Labels for a text that arrives piece by piece: every token is read once, by the recurrence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from seqnlp_runtime.answers import Answer
from seqnlp_runtime.folder import Graph
from seqnlp_runtime.model import Stream

if TYPE_CHECKING:
    from seqnlp_runtime.classifier import ClassifierModel

FIRST = "first_"
"""What the names of states begin with in the tables, as they are before the first token."""
_NEXT = "next_"
_PAST = "past_"

States: TypeAlias = Mapping[str, NDArray[Any]]


class LabelStream(Stream):
    """See `Stream`.

    The text is tokenized anew with each piece, so that any tokenizer and normalizer may join what
    the pieces cut. Where the last tokens turn out otherwise than before, the recurrence goes back
    to the end of the last piece that still stands.

    Args:
        model: of the same folder as the graph.
        graph: takes what comes next with states, and gives the states after it.
        first: the states before the first token.
    """

    def __init__(self, model: ClassifierModel, graph: Graph, first: States) -> None:
        self._model, self._graph = model, graph
        self._first = {name: state for name, state in first.items() if not name.startswith(_PAST)}
        self._nothing = {name: state for name, state in first.items() if name.startswith(_PAST)}
        self.reset()

    def reset(self) -> None:
        """See `Stream.reset`."""
        self._text: str | None = None
        self._tokens: Sequence[str] = []
        # The end of each piece, in tokens, the states and the answer there.
        self._marks: list[tuple[int, States, Sequence[float]]] = [(0, self._first, [])]
        self._past: States = self._nothing

    def push(self, piece: str) -> Answer:
        """See `Stream.push`."""
        self._text = piece if self._text is None else f"{self._text} {piece}"
        tokens = self._model.pipeline.tokens(self._text)
        if not tokens or (self._model.chunks and len(tokens) > self._model.max_tokens):
            # No token is answered as an unknown one. Chunks are of equal length, so each of them
            # changes when the text grows.
            return self._model.answer(tokens)
        return self._model.decide(self._read(tokens[: self._model.max_tokens], tokens))

    def _read(self, tokens: Sequence[str], whole: Sequence[str]) -> Sequence[float]:
        """Bring the states to the end of the tokens; the log-probabilities there.

        Args:
            tokens: that are read.
            whole: all of the text, which evidence is computed of.
        """
        model = self._model
        while self._tokens[: self._marks[-1][0]] != tokens[: self._marks[-1][0]]:
            self._marks.pop()
        self._tokens = tokens
        if self._marks[-1][0] == len(tokens):
            if model.evidence is None or len(whole) == len(tokens):
                return self._marks[-1][2]
            self._marks.pop()  # what is read no longer grows, but what evidence sees does
        end, states, _ = self._marks[-1]
        past = {name: state[:, :end] for name, state in self._past.items()}
        feed = {**model.feed([tokens[end:]]), **states, **past}
        if model.evidence is not None:
            feed["evidence"] = model.evidence(whole)[None]
        found = dict(zip(self._graph.outputs, self._graph(feed), strict=True))
        self._past = {name: found[_NEXT + name] for name in self._nothing}
        logs: list[float] = found["log_probabilities"][0].tolist()
        self._marks.append((len(tokens), {name: found[_NEXT + name] for name in states}, logs))
        return logs
