"""From log-probabilities to predictions, for whole utterances and for streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from seqnlp.types import Prediction
from seqnlp_speech.decoding import Found, GreedySearch, PrefixBeamSearch, align, mean_of

if TYPE_CHECKING:
    from seqnlp_speech.task import SpeechTask

Floats = NDArray[np.float64]
Peaks: TypeAlias = list[tuple[str, float]]


class Search(Protocol):
    """Reads steps and says at any time what has been said so far."""

    def advance(self, logs: Floats) -> None:
        """Read log-probabilities [M, T, V]."""

    def best(self, count: int = 1) -> list[Found]:
        """The best texts so far."""


def search_for(task: SpeechTask) -> Search:
    """A search as the task's options have it, before the first step."""
    options = task.search
    if options.method == "greedy":
        return GreedySearch()
    return PrefixBeamSearch(
        len(task.symbols),
        beam_size=options.beam_size,
        models=len(task.members),
        language_model=task.language_model,
        lm_weight=options.lm_weight,
        symbol_bonus=options.symbol_bonus,
    )


def answer_from(task: SpeechTask, search: Search, logs: Floats) -> Prediction:
    """What a search has found in log-probabilities float [M, T, V].

    The details are `log_probability` in nats, `peaks`: each symbol and the second at which it is
    most certain, `blank`: the share of steps that say nothing; and with a beam and n_best over 1
    `hypotheses`.
    """
    found = search.best(task.search.n_best)
    symbols = found[0].symbols
    mean = mean_of(logs)
    details: dict[str, object] = {
        "log_probability": round(found[0].log_probability, 6),
        "peaks": [
            [task.symbols.decode([number]) or " ", round(second_of(task, step), 3)]
            for number, step in zip(symbols, align(mean, symbols), strict=True)
        ],
        "blank": round(float((mean.argmax(1) == 0).mean()), 4) if len(mean) else 1.0,
    }
    if task.search.n_best > 1:
        details["hypotheses"] = [
            {"text": task.symbols.decode(each.symbols), "score": each.score} for each in found
        ]
    return Prediction(output=task.symbols.decode(symbols), details=details)


def peaks_of(answer: Prediction) -> list[tuple[str, float]]:
    """Each symbol of an answer, and the second at which it is most certain."""
    details = answer.details or {}
    return [(str(symbol), float(second)) for symbol, second in cast("Peaks", details["peaks"])]


def second_of(task: SpeechTask, step: int) -> float:
    """The middle of what a step sees of the sound, in seconds."""
    features = task.options.features
    first = step * features.stride * features.hop_ms
    return (first + ((features.stack - 1) * features.hop_ms + features.window_ms) / 2) / 1000
