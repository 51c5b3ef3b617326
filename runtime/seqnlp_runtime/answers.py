"""What a model says of a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One text that a search found.

    score: what ranked it. log_probability: of its tokens and the end after them, in nats.
    """

    text: str
    score: float
    log_probability: float | None
    tokens: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says of one text.

    output: the label, or the text. probabilities: label to probability, where there are labels.
    hypotheses: the texts that a search found, the best first. source_tokens: what it read.
    """

    output: str
    probabilities: Mapping[str, float] | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    source_tokens: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """JSON values, by the names that `seqnlp predict --format jsonl` has."""
        if self.probabilities is not None:
            return {"label": self.output, "probabilities": dict(self.probabilities)}
        return {
            "output": self.output,
            "source_tokens": list(self.source_tokens),
            "hypotheses": [asdict(each) for each in self.hypotheses],
        }
