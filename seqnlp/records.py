"""Answers as JSON values: the same fields wherever a model answers in JSON."""

from __future__ import annotations

from seqnlp.types import Hypothesis, Prediction

_LEAST_COPIED = 0.01
"""The probability below which it is left out where a token may be from."""


def label_record(text: str, answer: Prediction) -> dict[str, object]:
    """The text, its label and all probabilities; without these, its output. And the details."""
    record: dict[str, object] = {"text": text}
    if answer.probabilities is None:
        record["output"] = answer.output
    else:
        record |= {"label": answer.output, "probabilities": dict(answer.probabilities)}
    return record | dict(answer.details or {})


def text_record(text: str, answer: Prediction, *, maps: bool = False) -> dict[str, object]:
    """The text, what was written of it, and the hypotheses.

    Args:
        text: that was asked about.
        answer: of a task that searches for texts.
        maps: give the weights of attention, too.
    """
    return {
        "text": text,
        "output": answer.output,
        "source_tokens": list(answer.source_tokens),
        "hypotheses": [_hypothesis(each, maps=maps) for each in answer.hypotheses],
    }


def _hypothesis(found: Hypothesis, *, maps: bool) -> dict[str, object]:
    record: dict[str, object] = {
        "text": found.text,
        "score": found.score,
        "log_probability": found.log_probability,
        "tokens": list(found.tokens),
    }
    if maps and found.attention is not None:
        record["attention"] = [[round(float(w), 4) for w in row] for row in found.attention]
    if found.copied is not None:
        places = zip(*(found.copied >= _LEAST_COPIED).nonzero(), strict=True)
        record["copied"] = [
            [int(token), int(source), round(float(found.copied[token, source]), 4)]
            for token, source in places
        ]
    return record
