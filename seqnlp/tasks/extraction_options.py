"""The table `head` of a recipe for extraction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Limit

from seqnlp.config import Section, Settings, validate_section

DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "corpus": {"name": "reports"},
        "text": {"max_tokens": 2000},
        "train": {"batch_tokens": 20_000, "monitor": "rouge1"},
    }
)
"""Settings that suit extraction where a recipe does not say otherwise."""


class Selection(Section):
    """How sentences are chosen by their probabilities."""

    sentences: int | None = Limit(default=None, ge=1)
    """How many; unless given, as many as the best extracts of train have on average."""
    max_words: int | None = Limit(default=None, ge=1)
    """Words, between spaces, that they have together at most; a first sentence of more is cut."""

    n_best: ClassVar[int] = 1
    method: ClassVar[str] = "the best sentences"

    def choose(self, probabilities: NDArray[np.float64], words: Sequence[int]) -> list[int]:
        """The numbers of the sentences to take, ascending.

        They are taken by falling probability, of equal ones the first; one that is too long beside
        those that are taken is passed over.

        Args:
            probabilities: float [S]; that of a sentence that may not be taken is negative.
            words: of each sentence.
        """
        taken: list[int] = []
        room = self.max_words
        for number in np.argsort(-probabilities, kind="stable").tolist():
            if probabilities[number] < 0 or len(taken) == self.sentences:
                break
            if room is not None and taken and words[number] > room:
                continue
            taken.append(number)
            if room is not None:
                room -= words[number]
        return sorted(taken)


class ExtractionOptions(Section):
    """The table `head` of a recipe."""

    pooling: str = "max"
    """What is made of the states of a sentence's words."""
    pooling_options: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    sentence_tokens: int = Limit(default=100, ge=1)
    """Of a longer sentence no more are read."""
    oracle_sentences: int | None = Limit(default=None, ge=1)
    """Sentences of a best extract to learn from, at the most."""
    decoding: Selection = Selection()
    """How many sentences are taken, unless a call says otherwise."""


def options_of(settings: Settings) -> ExtractionOptions:
    """The validated table `head`.

    Raises:
        SettingsError: an unknown key or a value of the wrong type.
    """
    return validate_section(ExtractionOptions, settings.head, "head")
